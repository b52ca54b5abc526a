//! The bytes of a SQLite database. What was deleted is overwritten with zeros (`secure_delete`), but where a page of
//! an index was split, a copy may stay behind in its unused part (measured: of one address in some 500); older states
//! of pages stand in the write-ahead log until it is cut off; and what a file held before is not known at all. Only
//! rewriting the file removes everything, and only reading it proves that.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connection::{Connection, lock_wait};
use super::folder_of;
use super::spelling::{AddressSearch, Others, goes_on};
use crate::error::{Error, Kind, Result};

/// How long one try to cut off the log waits, while nobody else can write.
const CUT_WAITS: Duration = Duration::from_millis(500);
/// How long others can write between two tries.
const CUT_PAUSE: Duration = Duration::from_millis(100);

/// What was found in the bytes of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bytes {
    /// How many were read: the file, its write-ahead log and its journal.
    pub read: u64,
    /// Places at which an address stands that is not a part of somebody else's.
    pub found: u64,
}

/// Writes the whole file anew, without what it does not hold any more. Others can read meanwhile, and wait to write.
/// Needs room for two more of it in its folder.
pub(super) async fn rewrite(connection: &mut Connection, file: &Path) -> Result<()> {
    // Where the database is, there is room for it, and nobody else looks; a container may have no other place.
    let folder = folder_of(file).display().to_string().replace('\'', "''");
    let set = format!("pragma temp_store_directory = '{folder}'");
    if let Err(error) = connection.script("choose a folder", &set).await {
        tracing::debug!("{}", error.one_line());
    }
    connection.script("rewrite the database file", "vacuum").await
}

/// Brings everything from the write-ahead log into the file and cuts the log off; whether that was possible. While
/// somebody reads an older state it is not, nor in the moments in which somebody else does the same.
pub(super) async fn cut_log(connection: &mut Connection, patience: Duration) -> Result<bool> {
    let wait = |patience: Duration| format!("pragma busy_timeout = {}", patience.as_millis());
    let since = Instant::now();
    connection.script("set how long to wait", &wait(CUT_WAITS)).await?;
    let cut = loop {
        let cut = connection.rows("cut off the log", "pragma wal_checkpoint(truncate)", &[]).await;
        let cut = cut.map(|rows| rows.first().and_then(|row| row.int(0)) == Some(0));
        if !matches!(cut, Ok(false)) || since.elapsed() >= patience {
            break cut;
        }
        tokio::time::sleep(CUT_PAUSE).await;
    };
    connection.script("set how long to wait", &wait(lock_wait())).await?;
    cut
}

/// What tells that a place at which an address was found is nothing to worry about.
pub(super) enum Explained {
    /// The address of somebody else who is stored, of which it is a part.
    By(Others),
    /// Whatever makes it look like the end of a longer address: good enough to decide whether rewriting is worth it.
    ByLooks,
}

/// Reads every byte of a database.
pub(super) async fn read(file: PathBuf, search: AddressSearch, explained: Explained) -> Result<Bytes> {
    let name = file.display().to_string();
    let read = tokio::task::spawn_blocking(move || read_all(&file, &search, &explained)).await;
    let failed =
        |error: io::Error| Error::new(Kind::DatabaseRefused, "could not read the file").because(error);
    match read {
        Ok(read) => read.map_err(failed).map_err(|error| error.about(name)),
        Err(error) => Err(Error::new(Kind::Internal, "reading the file ended in a panic").because(error)),
    }
}

fn read_all(file: &Path, search: &AddressSearch, explained: &Explained) -> io::Result<Bytes> {
    let mut bytes = Bytes::default();
    for suffix in ["", "-wal", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match File::open(&name) {
            Ok(part) => read_part(part, search, explained, &mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn read_part(
    mut part: File,
    search: &AddressSearch,
    explained: &Explained,
    bytes: &mut Bytes,
) -> io::Result<()> {
    let places: Vec<(u64, u64)> = search.positions_in(&part).collect::<io::Result<_>>()?;
    bytes.read += part.stream_position()?;
    let (before, behind) = match explained {
        Explained::By(others) => others.reach(),
        Explained::ByLooks => (1, 0),
    };
    for (start, _) in places {
        let from = start.saturating_sub(before as u64);
        let at = (start - from) as usize;
        part.seek(SeekFrom::Start(from))?;
        let mut piece = Vec::new();
        (&part).take((at + behind) as u64).read_to_end(&mut piece)?;
        let is_explained = match explained {
            Explained::By(others) => others.hold(&piece, at),
            Explained::ByLooks => at > 0 && piece.first().is_some_and(goes_on),
        };
        bytes.found += u64::from(!is_explained);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spelling::Found;

    /// S-17.
    #[test]
    fn every_byte_beside_the_addresses_of_others_is_held_against_an_address() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mirror.db");
        let search = AddressSearch::of(&["ann@x.org".to_owned()].into())
            .expect("it can be prepared")
            .expect("an address");
        let mut others = Others::default();
        for found in search.found_in("joann@x.org") {
            if let Found::Longer(longer) = found {
                others.add(&longer);
            }
        }
        let mut content = vec![0; 100_000];
        content.extend(b"\x01joann@x.orgJo");
        std::fs::write(&file, &content).expect("it can be written");
        let read = |others: &Others| {
            read_all(&file, &search, &Explained::By(others.clone())).expect("it can be read")
        };
        assert_eq!(read(&others), Bytes { read: 100_014, found: 0 });
        assert_eq!(read(&Others::default()).found, 1, "nobody else is known");
        // Across the pieces in which a file is read, and in what stands beside it.
        content[65_530..65_539].copy_from_slice(b"ANN@x.org");
        std::fs::write(&file, &content).expect("it can be written");
        std::fs::write(folder.path().join("mirror.db-wal"), b"..ann@x.org").expect("it can be written");
        assert_eq!(read(&others), Bytes { read: 100_025, found: 2 });
        let by_looks = read_all(&file, &search, &Explained::ByLooks).expect("it can be read");
        // Of these, the one behind a full stop looks like the end of a longer one.
        assert_eq!(by_looks.found, 1);
    }
}
