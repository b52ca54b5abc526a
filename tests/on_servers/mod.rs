//! What only a server can do to the program.

mod outages;
mod plans;
mod server;
mod settings;
