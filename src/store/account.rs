//! Whose mirror it is, and what was learned about the API: `sync_account`.

use super::connection::Connection;
use super::state::text;
use super::{Store, now};
use crate::error::Result;
use crate::model::{Time, Value};

/// The one row of `sync_account`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccountRow {
    /// Kit's id; v3 gives none.
    pub account_id: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// The owner's address.
    pub primary_email_address: Option<String>,
    /// `v3` or `v4`, the one used last.
    pub api_version: Option<String>,
}

impl std::fmt::Debug for AccountRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountRow").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

impl Store {
    /// The account the mirror belongs to, if it belongs to one yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn account(&self) -> Result<Option<AccountRow>> {
        self.read(|connection| Box::pin(async move { account(connection).await })).await
    }

    /// Writes which account the mirror belongs to.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_account(&self, row: AccountRow) -> Result<()> {
        self.transaction(move |connection| {
            let row = row.clone();
            Box::pin(async move { set_account(connection, &row, now()).await })
        })
        .await
    }

    /// Reads a note about the account (JSON).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note(&self, note: AccountNote) -> Result<Option<String>> {
        self.read(move |connection| Box::pin(async move { self::note(connection, note).await })).await
    }

    /// Writes a note about the account (JSON).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_note(&self, note: AccountNote, json: String) -> Result<()> {
        self.transaction(move |connection| {
            let json = json.clone();
            Box::pin(async move { set_note(connection, note, &json).await })
        })
        .await
    }
}

/// The account the mirror belongs to, if it belongs to one yet.
pub(super) async fn account(connection: &mut Connection) -> Result<Option<AccountRow>> {
    let sql = "select account_id, name, primary_email_address, api_version from sync_account where id = 1 and confirmed_at is not null";
    let rows = connection.rows("read sync_account", sql, &[]).await?;
    Ok(rows.first().map(|row| AccountRow {
        account_id: row.int(0),
        name: row.text(1).map(str::to_owned),
        primary_email_address: row.text(2).map(str::to_owned),
        api_version: row.text(3).map(str::to_owned),
    }))
}

/// Writes which account the mirror belongs to; an id once known stays.
async fn set_account(connection: &mut Connection, row: &AccountRow, now: Time) -> Result<()> {
    ensure_account(connection).await?;
    let optional = |value: &Option<String>| value.as_deref().map_or(Value::Null, text);
    let sql = "update sync_account set account_id = coalesce(?, account_id), name = ?, primary_email_address = ?, api_version = ?, \
               confirmed_at = ? where id = 1";
    let values = [
        row.account_id.map_or(Value::Null, Value::Int),
        optional(&row.name),
        optional(&row.primary_email_address),
        optional(&row.api_version),
        Value::Time(now),
    ];
    connection.run("write sync_account", sql, &values).await.map(drop)
}

async fn ensure_account(connection: &mut Connection) -> Result<()> {
    let sql = connection.dialect().insert_or_update("sync_account", &[("id", "1")], &["id"], &[]);
    connection.run("write sync_account", &sql, &[]).await.map(drop)
}

/// Two notes about the account that are JSON: `findings` and `sent_requests`.
async fn note(connection: &mut Connection, column: AccountNote) -> Result<Option<String>> {
    let sql = format!("select {} from sync_account where id = 1", column.name());
    let rows = connection.rows("read sync_account", &sql, &[]).await?;
    Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
}

/// Writes one of them.
async fn set_note(connection: &mut Connection, column: AccountNote, json: &str) -> Result<()> {
    ensure_account(connection).await?;
    let sql = format!("update sync_account set {} = ? where id = 1", column.name());
    connection.run("write sync_account", &sql, &[text(json)]).await.map(drop)
}

/// What is noted about an account.
#[derive(Debug, Clone, Copy)]
pub enum AccountNote {
    /// Facts about the API that its documents leave open.
    Findings,
    /// What was sent in the last minute.
    SentRequests,
}

impl AccountNote {
    fn name(self) -> &'static str {
        match self {
            AccountNote::Findings => "findings",
            AccountNote::SentRequests => "sent_requests",
        }
    }
}
