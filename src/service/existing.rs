//! A mirror that is there already, only to be looked at.

use crate::error::{Error, Kind, Result};
use crate::store::{Access, Place, Store, latest};

/// The mirror behind `url`, if there is one with its tables. Changes nothing where there is none.
///
/// # Errors
/// Those of the database, and `SchemaMismatch` for tables of an older version.
pub async fn existing(url: &str) -> Result<Option<Store>> {
    if !Place::of(url)?.exists() {
        return Ok(None);
    }
    let store = Store::open(url, Access::Existing).await?;
    match store.schema_version().await? {
        None => {
            store.close().await;
            Ok(None)
        }
        Some(version) if version == latest(store.dialect().await) => Ok(Some(store)),
        Some(version) => Err(Error::new(
            Kind::SchemaMismatch,
            format!(
                "the tables have schema version {version}, an older one; `kitmirror migrate` upgrades them"
            ),
        )),
    }
}
