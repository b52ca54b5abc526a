//! What no engine has a part in: the command line, the logs, the recorded answers, and what is shipped beside the
//! program. Where a mirror is needed, SQLite holds it.

mod cli;
#[cfg(feature = "chaos")]
mod days;
mod fixtures;
mod logs;
mod packaging;
mod sources;
mod tls;
mod traceability;
