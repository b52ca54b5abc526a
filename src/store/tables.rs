//! Every table of the mirror as data: those of the objects, and those in which kitmirror keeps its own
//! progress. `dialect` writes them as SQL, `schema` compares them with a database.

use crate::model::{Object, Type, objects};

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it is; becomes its comment.
    pub about: &'static str,
    /// Its columns, in order.
    pub fields: Vec<Field>,
    /// The columns of its primary key.
    pub key: &'static [&'static str],
    /// Indexes an analyst needs: the columns of each.
    pub indexes: &'static [&'static [&'static str]],
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Content,
    /// Whether it must not be null.
    pub required: bool,
    /// What it is; becomes its comment.
    pub about: &'static str,
}

/// What a column holds, as far as engines differ in declaring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A logical type of the model.
    Plain(Type),
    /// Text that is part of a key: no longer than so many characters.
    Key(u16),
    /// A number that counts from 0.
    Count,
    /// False until set.
    Flag,
    /// The number of a row, given by the database.
    Serial,
    /// The number 1: the table has one row.
    One,
}

/// Columns every object's table has beside its own.
const BOOKKEEPING: [Field; 4] = [
    required("_first_seen_at", TIME, "When the mirror first stored the row."),
    required("_synced_at", TIME, "When the row's content last changed here."),
    optional("_deleted_at", TIME, "When a reconcile found the row gone at Kit; null while it is there."),
    optional("_extra", Content::Plain(Type::JsonObject), "What Kit sent beyond the columns; null as a rule."),
];

const TEXT: Content = Content::Plain(Type::Text);
const TIME: Content = Content::Plain(Type::Time);
const INT: Content = Content::Plain(Type::Int);
/// Names of objects and ids of parents, as part of keys.
const NAME: Content = Content::Key(64);

/// The longest record key that is kept in quarantine, in characters.
pub const RECORD_KEPT: usize = 190;
/// The longest reason that is kept in quarantine, in characters. Together with the rest of the key it stays
/// within the 3,072 bytes that MySQL indexes.
pub const REASON_KEPT: usize = 400;

const fn required(name: &'static str, kind: Content, about: &'static str) -> Field {
    Field { name, kind, required: true, about }
}

const fn optional(name: &'static str, kind: Content, about: &'static str) -> Field {
    Field { name, kind, required: false, about }
}

/// The table of an object; of one that is a view, what the view shows.
pub fn of(object: &Object) -> Table {
    let own = object.columns.iter().map(|column| Field {
        name: column.name,
        kind: Content::Plain(column.kind),
        required: column.required,
        about: column.about,
    });
    Table {
        name: object.name,
        about: object.about,
        fields: own.chain(BOOKKEEPING).collect(),
        key: object.key,
        indexes: object.indexes,
    }
}

/// Whether the entries of an index on these columns come in no order, however the rows do.
pub fn is_scattered(columns: &[&str]) -> bool {
    columns == ["email_address"]
}

/// The name of an index.
pub fn index_name(table: &Table, columns: &[&str]) -> String {
    format!("{}_{}", table.name, columns[0])
}

/// All tables, those of the objects first; no views.
pub fn all() -> Vec<Table> {
    objects::ALL
        .iter()
        .filter(|object| !object.is_view())
        .map(|object| of(object))
        .chain(bookkeeping())
        .chain([forgotten()])
        .collect()
}

/// The names of all views.
pub fn views() -> Vec<&'static str> {
    objects::ALL
        .iter()
        .filter(|object| object.is_view())
        .map(|object| object.name)
        .chain(["sync_status"])
        .collect()
}

/// What kitmirror knows about its own work, in the same database as the rows, so that a backup or a restore keeps
/// rows and progress together.
pub fn bookkeeping() -> Vec<Table> {
    vec![
        Table {
            name: "sync_state",
            about: "One row per object and partition. The partition is the parent's id as text, or empty for a whole list.",
            fields: vec![
                required("object", NAME, "The object."),
                required("partition", NAME, "The parent's id, or empty."),
                optional(
                    "watermark",
                    TIME,
                    "Everything the source dates up to here, less the overlap, is in the table.",
                ),
                optional("began_at", TIME, "The source's clock at the first page of the last complete pass."),
                optional("completed_at", TIME, "When the last complete pass ended."),
                optional("checkpoint", TEXT, "JSON: where an unfinished pass stopped; null between passes."),
                optional("fingerprint", TEXT, "What the watermark was made under: API version and request."),
                required("rows", Content::Count, "Live rows of the partition."),
                optional(
                    "full_requested_at",
                    TIME,
                    "When a full load was asked for that is not complete yet.",
                ),
                optional(
                    "reconcile_requested_at",
                    TIME,
                    "When a reconcile was asked for that has not been tried yet.",
                ),
                optional("reconciled_at", TIME, "When vanished rows were last looked for."),
                optional(
                    "held_deletions",
                    INT,
                    "Rows that the last reconcile did not meet and left alone, because there were too many or it had doubts.",
                ),
                optional("counted", INT, "Members that Kit counted when the last complete pass was planned."),
                optional("counted_since", TIME, "When a pass first was complete with that count."),
                required("unavailable", Content::Flag, "Whether Kit refuses it to this account."),
                optional("last_error", TEXT, "What failed last, if it has not succeeded since."),
                optional("last_error_advice", TEXT, "What to do about it."),
                optional("last_error_at", TIME, "When it failed."),
            ],
            key: &["object", "partition"],
            indexes: &[],
        },
        Table {
            name: "sync_met",
            about: "The keys that a reconcile under way has met, so that it can go on after anything. Empty between passes.",
            fields: vec![
                required("object", NAME, "The object."),
                required("partition", NAME, "The parent's id, or empty."),
                required("chunk", INT, "Counts the commits of the pass."),
                required(
                    "ids",
                    TEXT,
                    "Ids of the rows met, ascending, each as the difference from the one before.",
                ),
            ],
            key: &["object", "partition", "chunk"],
            indexes: &[],
        },
        Table {
            name: "sync_runs",
            about: "One row per object and run. Kept 90 days.",
            fields: vec![
                required("id", Content::Serial, "Its number."),
                required("object", NAME, "The object."),
                required("mode", TEXT, "full, incremental or reconcile."),
                required("started_at", TIME, "When it began."),
                optional("finished_at", TIME, "When it ended."),
                required(
                    "outcome",
                    TEXT,
                    "running, complete, incomplete, failed, unavailable, stopped or interrupted.",
                ),
                required("requests", Content::Count, "Requests sent, repeated ones included."),
                required("retries", Content::Count, "Requests sent again."),
                required("pages", Content::Count, "Pages committed."),
                required("rows_read", Content::Count, "Records read."),
                required("rows_inserted", Content::Count, "Rows that were new."),
                required("rows_updated", Content::Count, "Rows that had changed."),
                required("rows_deleted", Content::Count, "Rows that were marked as gone."),
                required("rows_quarantined", Content::Count, "Records set aside."),
                optional("error", TEXT, "Why it failed."),
            ],
            key: &["id"],
            indexes: &[&["object", "id"], &["started_at"]],
        },
        Table {
            name: "sync_quarantine",
            about: "Records that could not be stored, or not wholly. Kept 30 days after they were last seen.",
            fields: vec![
                required("object", NAME, "The object."),
                required("partition", NAME, "The parent's id, or empty."),
                required(
                    "record",
                    Content::Key(RECORD_KEPT as u16),
                    "The record's key where it could be read, else a digest of it.",
                ),
                required("reason", Content::Key(REASON_KEPT as u16), "Which column, and why."),
                required("raw", TEXT, "The record as it came."),
                required("first_seen_at", TIME, "When it was first seen."),
                required("last_seen_at", TIME, "When it was last seen."),
            ],
            key: &["object", "partition", "record", "reason"],
            indexes: &[],
        },
        Table {
            name: "sync_lease",
            about: "Who may write, by the database's clock. The epoch is checked in every commit.",
            fields: vec![
                required("id", Content::One, "Always 1."),
                required("owner", TEXT, "Host and process."),
                required("epoch", INT, "Grows with every take-over."),
                required(
                    "commits",
                    INT,
                    "Number of the holder's last commit, so that one whose answer was lost can be told.",
                ),
                required("acquired_at", TIME, "Since when."),
                required("expires_at", TIME, "Until when, if it is not renewed."),
            ],
            key: &["id"],
            indexes: &[],
        },
        Table {
            name: "sync_account",
            about: "Which Kit account this is, and what was learned about the API on the way.",
            fields: vec![
                required("id", Content::One, "Always 1."),
                optional("account_id", Content::Plain(Type::Id), "Kit's id; API v3 gives none."),
                optional("name", TEXT, "Its name."),
                optional("primary_email_address", TEXT, "The owner's address."),
                optional("api_version", TEXT, "The API version used last."),
                optional("confirmed_at", TIME, "When the credential last showed that it is this account."),
                optional("findings", TEXT, "JSON: facts about the API that its documents leave open."),
                optional(
                    "sent_requests",
                    TEXT,
                    "JSON: what was sent to Kit in the last minute, for the rate limit.",
                ),
            ],
            key: &["id"],
            indexes: &[],
        },
    ]
}

/// Who was forgotten and must not come back. Of them it holds nothing but the number, without which they could not
/// be told from others.
pub fn forgotten() -> Table {
    Table {
        name: "sync_forgotten",
        about: "People who were erased by `kitmirror forget`; whatever Kit still shows of them is left out. Without its \
                row here, a person is mirrored again.",
        fields: vec![
            required("subscriber_id", Content::Plain(Type::Id), "Kit's id of the person."),
            required("forgotten_at", TIME, "When the person was erased here."),
        ],
        key: &["subscriber_id"],
        indexes: &[],
    }
}
