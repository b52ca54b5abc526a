//! What only a server can do to the program.

mod outages;
mod server;
mod settings;
