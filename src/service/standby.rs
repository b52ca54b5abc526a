//! Waiting for another kitmirror to give up the lease: it ended, or has not been heard of for as long as a lease lasts.

use std::time::Duration;

use crate::error::Result;
use crate::replication::Stop;
use crate::store::{Access, Holder, Place, Store};

/// How often it is looked whether the lease is free.
const LOOKED_EVERY: Duration = Duration::from_secs(3);

/// Waits until nobody holds the lease, or somebody asks to stop. Every look that finds a holder is told.
///
/// Only reads, whatever version the tables are of: the other one may be an older kitmirror that this one is to replace.
///
/// # Errors
/// Those of the database.
pub async fn stand_by(place: &Place, stop: &Stop, mut told: impl FnMut(&Holder) + Send) -> Result<()> {
    let store = Store::open(place, Access::Existing).await?;
    let looking = async {
        while let Some(holder) = store.lease_holder().await? {
            told(&holder);
            tokio::time::sleep(LOOKED_EVERY).await;
        }
        Ok(())
    };
    let looked = tokio::select! {
        looked = looking => looked,
        () = stop.requested() => Ok(()),
    };
    store.close().await;
    looked
}
