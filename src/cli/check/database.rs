//! What `check` says about the database: file, tables, who may read it, who writes to it.

use std::path::Path;

use super::{Points, rights};
use crate::config::Settings;
use crate::error::{Error, Kind};
use crate::service::place;
use crate::store::{Access, Store, folder_of, latest, shared_by};

/// Looks at the database; gives it when it is a mirror that can be written to.
pub(super) async fn look(settings: &Settings, points: &mut Points) -> Option<Store> {
    match inspect(settings, points).await {
        Ok(store) => store,
        Err(error) => {
            let is_schema = error.kind().policy().exit_code == Kind::SchemaMismatch.policy().exit_code;
            points.failed(if is_schema { "schema" } else { "database" }, &error);
            None
        }
    }
}

async fn inspect(settings: &Settings, points: &mut Points) -> Result<Option<Store>, Error> {
    let place = place(settings)?;
    if place.is_in_memory() {
        points.warning(
            "database",
            "is in memory, and gone when the program ends",
            "Give it a file: database_url = \"sqlite://kitmirror.db\".",
        );
        return Ok(None);
    }
    let file = place.file();
    if let Some(file) = file
        && !is_usable(file, points)?
    {
        return Ok(None);
    }
    let store = Store::open(&place, Access::Existing).await?;
    points.ok("database", format!("{place} answers"));
    if let Some(weakness) = place.weakness() {
        points.warning(
            "tls",
            format!("{place} is spoken to {weakness}, as database_url asks"),
            "Leave out sslmode or ssl-mode; an authority of your own is named by sslrootcert=ca.pem (PostgreSQL) or \
             ssl-ca=ca.pem (MySQL).",
        );
    }
    let is_ready = schema(&store, points).await?;
    if let Some(file) = file {
        private(file, points);
    }
    if !is_ready {
        store.close().await;
        return Ok(None);
    }
    lease(&store, points).await;
    Ok(Some(store))
}

/// Whether there is a file that can be opened.
fn is_usable(file: &Path, points: &mut Points) -> Result<bool, Error> {
    let folder = folder_of(file);
    if !folder.is_dir() {
        let what = format!("there is no folder {} for the database", folder.display());
        let error = Error::new(Kind::DatabaseUnavailable, what);
        points.failed_with("database", &error, "Create the folder, or correct database_url.");
        return Ok(false);
    }
    if let Some(system) = shared_by(file) {
        points.warning(
            "database",
            format!("{} lies on {system}, which other machines may see as well", file.display()),
            "Let only one machine use it, analysts included; a database server is for more.",
        );
    }
    // SQLite writes its log beside the file, so the folder has to be writable in any case.
    for path in [folder, file] {
        if let Some(why) = rights::refusal(path) {
            return Err(Error::new(Kind::DatabaseRefused, format!("{} {why}", path.display())));
        }
    }
    if !file.exists() {
        points.ok("database", format!("{} is not there yet; sync creates it", file.display()));
        return Ok(false);
    }
    Ok(true)
}

/// Whether the tables are there, of this version and what they should be.
async fn schema(store: &Store, points: &mut Points) -> Result<bool, Error> {
    let version = store.schema_version().await?;
    let newest = latest(store.dialect());
    match version {
        None => match store.refuses_tables().await? {
            None => points.ok("schema", "no tables yet; sync creates them"),
            Some(why) => points.failed_with(
                "permissions",
                &Error::new(Kind::DatabaseRefused, why),
                "Grant the rights that the README lists under \"The database\", or set database_schema = \"kit\" for a \
                 schema of its own.",
            ),
        },
        Some(version) if version < newest => {
            points.ok("schema", format!("version {version}; sync upgrades it to {newest}"));
        }
        Some(version) => {
            store.check_schema().await?;
            points.ok("schema", format!("version {version}, every table as it should be"));
            return Ok(true);
        }
    }
    Ok(false)
}

fn private(file: &Path, points: &mut Points) {
    match rights::open_to_others(file) {
        Some(mode) => points.warning(
            "permissions",
            format!(
                "others on this machine can get at {} ({mode:04o}), and it holds personal data",
                file.display()
            ),
            format!("chmod 600 {}", file.display()),
        ),
        None => points.ok("permissions", "only its owner can read the database"),
    }
}

async fn lease(store: &Store, points: &mut Points) {
    match store.lease_holder().await {
        Ok(None) => points.ok("lease", "free: nobody else writes to this mirror"),
        Ok(Some(holder)) => points.warning(
            "lease",
            format!(
                "another kitmirror ({}) has been writing to this mirror since {}",
                holder.shown(),
                holder.since
            ),
            "That is fine if it is your service; `sync` has to wait until it is done.",
        ),
        Err(error) => points.failed("lease", &error),
    }
}
