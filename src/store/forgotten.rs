//! Who was forgotten and must not come back: `sync_forgotten`. A commit leaves these people out, whatever Kit shows.

use super::connection::Connection;
use super::people::People;
use crate::error::Result;
use crate::model::{Time, Value};

/// Everybody on the list. As a rule it is empty or short.
pub(super) async fn everybody(connection: &mut Connection) -> Result<People> {
    let rows =
        connection.rows("read sync_forgotten", "select subscriber_id from sync_forgotten", &[]).await?;
    Ok(People { ids: rows.iter().filter_map(|row| row.int(0)).collect(), ..People::default() })
}

/// Puts people on the list; those who are on it stay.
pub(super) async fn add(connection: &mut Connection, people: &People, now: Time) -> Result<()> {
    let columns = ["subscriber_id", "forgotten_at"].map(|name| (name, "?"));
    let sql = connection.dialect().insert_or_update("sync_forgotten", &columns, &["subscriber_id"], &[]);
    for id in &people.ids {
        connection.run("write sync_forgotten", &sql, &[Value::Int(*id), Value::Time(now)]).await?;
    }
    Ok(())
}
