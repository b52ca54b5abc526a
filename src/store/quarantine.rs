//! `sync_quarantine`: records that could not be stored, and whose they are.

use sha2::{Digest as _, Sha256};

use super::connection::Connection;
use super::people::People;
use super::spelling::AddressSearch;
use super::state::text;
use super::tables::{REASON_KEPT, RECORD_KEPT};
use crate::error::Result;
use crate::model::record::Record;
use crate::model::text::decode;
use crate::model::{Object, Person, Quarantined, Time, Value, objects};

/// Bytes of a quarantined record that are kept.
const RAW_KEPT: usize = 256 << 10;
/// Notes that are looked at together: no more than some 12 MB.
const READ_AT_ONCE: usize = 50;

/// Writes down what could not be stored, once per record and reason.
pub(super) async fn write(
    connection: &mut Connection,
    object: &'static Object,
    partition: &str,
    notes: &[Quarantined],
    now: Time,
) -> Result<()> {
    let columns = ["object", "partition", "record", "reason", "raw", "first_seen_at", "last_seen_at"]
        .map(|name| (name, "?"));
    let key = ["object", "partition", "record", "reason"];
    let sql =
        connection.dialect().insert_or_update("sync_quarantine", &columns, &key, &["raw", "last_seen_at"]);
    for note in notes {
        let record = note.key.clone().unwrap_or_else(|| digest(&note.raw));
        let storable = |text: &str| text.replace('\0', "\u{2400}");
        let mut raw = storable(&note.raw);
        if raw.len() > RAW_KEPT {
            let cut = (0..=RAW_KEPT).rev().find(|at| raw.is_char_boundary(*at)).unwrap_or(0);
            raw.truncate(cut);
        }
        let short = |text: &str, most: usize| storable(text).chars().take(most).collect::<String>();
        let values = [
            text(object.name),
            text(partition),
            text(&short(&record, RECORD_KEPT)),
            text(&short(&note.reason, REASON_KEPT)),
            text(&raw),
            Value::Time(now),
            Value::Time(now),
        ];
        connection.run("write to quarantine", &sql, &values).await?;
    }
    Ok(())
}

/// Tells records without a key apart, in every version of this program.
fn digest(raw: &str) -> String {
    let digest = Sha256::digest(raw.as_bytes());
    digest.iter().take(8).fold("#".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// A note as it is stored.
pub(super) struct Note {
    key: [Value; 4],
    object: String,
    record: String,
    raw: String,
}

impl Note {
    /// Whether it is about one of these people, or shows an address of theirs.
    pub(super) fn is_about(&self, people: &People, search: Option<&AddressSearch>) -> bool {
        is_about(objects::named(&self.object), Some(&self.record), &self.raw, people)
            || search.is_some_and(|search| search.is_in(&self.raw) || search.is_in(&unescaped(&self.raw)))
    }

    /// The person whose record it is, if the record has this address, in whatever case of letters.
    pub(super) fn person_with(&self, address: &str) -> Option<i64> {
        let person = person_of(objects::named(&self.object)?, &self.record)?;
        let record = Record::parse(&self.raw).ok()?;
        // A membership of v3 holds its person, one of v4 is its person.
        let inner = record.get("subscriber").and_then(|inner| Record::parse(inner.get()).ok());
        let says = |record: &Record<'_>| {
            let said = record.get("email_address").and_then(|said| decode(said.get()));
            said.is_some_and(|said| said.eq_ignore_ascii_case(address))
        };
        (says(&record) || inner.as_ref().is_some_and(says)).then_some(person)
    }
}

/// Whether a record that is about to be set aside is one of these people's.
pub(super) fn is_of(object: &Object, note: &Quarantined, people: &People) -> bool {
    is_about(Some(object), note.key.as_deref(), &note.raw, people)
}

/// By the key of the record. Where that could not be read, a record of a list of people counts as theirs if their
/// number stands anywhere in it: a note too many is lost rather than one too few.
fn is_about(object: Option<&Object>, key: Option<&str>, raw: &str, people: &People) -> bool {
    let Some(object) = object.filter(|object| object.person_column(Person::Id).is_some()) else {
        return false;
    };
    match key.and_then(|key| person_of(object, key)) {
        Some(person) => people.ids.contains(&person),
        None => raw
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .any(|number: i64| people.ids.contains(&number)),
    }
}

/// The person in the key of a record, such as `7`, or `42/7` for a member of 42.
fn person_of(object: &Object, key: &str) -> Option<i64> {
    let column = object.person_column(Person::Id)?;
    let at = object.key.iter().position(|name| *name == column)?;
    key.split('/').nth(at)?.parse().ok()
}

/// A record without the escapes of JSON, however much of it there is.
fn unescaped(raw: &str) -> String {
    decode(&format!("\"{raw}\"")).unwrap_or_default()
}

/// The notes that follow one, a few at a time; nothing when there are no more.
pub(super) async fn following(connection: &mut Connection, last: Option<&Note>) -> Result<Vec<Note>> {
    let (beyond, values) = match last {
        Some(note) => (" where (object, \"partition\", record, reason) > (?, ?, ?, ?)", note.key.to_vec()),
        None => ("", Vec::new()),
    };
    let sql = format!(
        "select object, \"partition\", record, reason, raw from sync_quarantine{beyond} \
         order by object, \"partition\", record, reason limit {READ_AT_ONCE}"
    );
    let rows = connection.rows("read sync_quarantine", &sql, &values).await?;
    let note = |row: &super::connection::Cells| {
        let cell = |at| row.text(at).unwrap_or_default();
        Note {
            key: [0, 1, 2, 3].map(|at| text(cell(at))),
            object: cell(0).to_owned(),
            record: cell(2).to_owned(),
            raw: cell(4).to_owned(),
        }
    };
    Ok(rows.iter().map(note).collect())
}

/// Takes all notes about these people away; how many there were.
pub(super) async fn erase(connection: &mut Connection, people: &People) -> Result<u64> {
    let search = AddressSearch::of(&people.addresses)?;
    let sql =
        "delete from sync_quarantine where object = ? and \"partition\" = ? and record = ? and reason = ?";
    let mut erased = 0;
    let mut notes = following(connection, None).await?;
    while !notes.is_empty() {
        for note in notes.iter().filter(|note| note.is_about(people, search.as_ref())) {
            erased += connection.run("erase from quarantine", sql, &note.key).await?;
        }
        notes = following(connection, notes.last()).await?;
    }
    Ok(erased)
}
