//! How a page must not be committed: bugs for the suite to notice.

use std::sync::Arc;

use super::commit::{Commit, write_counts, write_position, write_rows};
use super::connection::Connection;
use super::state::{self, text};
use super::{Progress, Store, Written, now};
use crate::chaos::{Bug, planted};
use crate::error::Result;
use crate::model::{Time, Value};

impl Store {
    /// The page in several transactions, where such a bug is planted.
    pub(super) async fn commit_in_pieces(&self, commit: &Arc<Commit>) -> Option<Result<Written>> {
        if planted(Bug::PositionFirst) {
            return Some(self.position_first(Arc::clone(commit)).await);
        }
        if planted(Bug::TwoTransactions) {
            return Some(self.two_transactions(Arc::clone(commit)).await);
        }
        None
    }

    async fn position_first(&self, commit: Arc<Commit>) -> Result<Written> {
        let first = Arc::clone(&commit);
        self.transaction(move |connection| {
            let commit = Arc::clone(&first);
            Box::pin(async move { write_position(connection, &commit, 0, now()).await })
        })
        .await?;
        self.transaction(move |connection| {
            let commit = Arc::clone(&commit);
            Box::pin(async move {
                let (written, _) = write_rows(connection, &commit, false, now()).await?;
                write_counts(connection, &commit, &written).await?;
                Ok(written)
            })
        })
        .await
    }

    async fn two_transactions(&self, commit: Arc<Commit>) -> Result<Written> {
        let first = Arc::clone(&commit);
        let (written, change) = self
            .transaction(move |connection| {
                let commit = Arc::clone(&first);
                Box::pin(async move { write_rows(connection, &commit, false, now()).await })
            })
            .await?;
        self.transaction(move |connection| {
            let commit = Arc::clone(&commit);
            Box::pin(async move {
                write_position(connection, &commit, change, now()).await?;
                write_counts(connection, &commit, &written).await?;
                Ok(written)
            })
        })
        .await
    }
}

/// Lets the watermark move with a page that does not end its pass.
pub(super) async fn early_watermark(
    connection: &mut Connection,
    commit: (&str, &str),
    progress: &Progress,
    fingerprint: &str,
    now: Time,
) -> Result<()> {
    let Progress::More { checkpoint } = progress else { return Ok(()) };
    let seen: Option<Time> = serde_json::from_str::<serde_json::Value>(checkpoint)
        .ok()
        .and_then(|json| serde_json::from_value(json["seen_max"].clone()).ok());
    let Some(seen) = seen else { return Ok(()) };
    state::ensure(connection, commit.0, commit.1).await?;
    let sql = "update sync_state set watermark = ?, began_at = ?, completed_at = ?, fingerprint = ? \
               where object = ? and \"partition\" = ?";
    let values = [
        Value::Time(seen),
        Value::Time(seen),
        Value::Time(now),
        text(fingerprint),
        text(commit.0),
        text(commit.1),
    ];
    connection.run("write sync_state", sql, &values).await.map(drop)
}
