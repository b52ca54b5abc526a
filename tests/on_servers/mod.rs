//! What only a server can do to the program.

mod new_rows;
mod outages;
mod plans;
mod server;
mod settings;
