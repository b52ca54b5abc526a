//! A mirror that is there already, only to be looked at.

use crate::error::{Error, Kind, Result};
use crate::store::{Access, Place, Store, latest};

/// The mirror at a place, if there is one with its tables. Changes nothing where there is none.
///
/// # Errors
/// Those of the database, and `SchemaMismatch` for tables of an older version.
pub async fn existing(place: &Place) -> Result<Option<Store>> {
    if !place.exists() {
        return Ok(None);
    }
    let store = Store::open(place, Access::Existing).await?;
    match store.schema_version().await? {
        None | Some(0) => {
            store.close().await;
            Ok(None)
        }
        Some(version) if version == latest(store.dialect()) => Ok(Some(store)),
        Some(version) => Err(Error::new(
            Kind::SchemaMismatch,
            format!(
                "the tables have schema version {version}, an older one; `kitmirror migrate` upgrades them"
            ),
        )),
    }
}

/// The same for those who need one.
///
/// # Errors
/// `NoMirror`, and those of [`existing`].
pub async fn mirror(place: &Place) -> Result<Store> {
    let found = existing(place).await?;
    found.ok_or_else(|| Error::new(Kind::NoMirror, "there is no mirror yet").about(place))
}
