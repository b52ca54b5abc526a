-- One row per object and partition. The partition is the parent's id as text, or empty for a whole list.
create table "sync_state" (
    "object" text not null, -- The object.
    "partition" text not null, -- The parent's id, or empty.
    "watermark" text, -- Everything the source dates up to here, less the overlap, is in the table.
    "began_at" text, -- The source's clock at the first page of the last complete pass.
    "completed_at" text, -- When the last complete pass ended.
    "checkpoint" text, -- JSON: where an unfinished pass stopped; null between passes.
    "fingerprint" text, -- What the watermark was made under: API version and request.
    "rows" integer not null default 0, -- Live rows of the partition.
    "full_requested_at" text, -- When a full load was asked for that is not complete yet.
    "reconcile_requested_at" text, -- When a reconcile was asked for that has not been tried yet.
    "reconciled_at" text, -- When vanished rows were last looked for.
    "held_deletions" integer, -- Rows that the last reconcile did not meet and left alone, because there were too many or it had doubts.
    "counted" integer, -- Members that Kit counted when the last complete pass was planned.
    "counted_since" text, -- When a pass first was complete with that count.
    "unavailable" integer not null default false, -- Whether Kit refuses it to this account.
    "last_error" text, -- What failed last, if it has not succeeded since.
    "last_error_advice" text, -- What to do about it.
    "last_error_at" text, -- When it failed.
    primary key ("object", "partition")
) strict, without rowid;

-- The keys that a reconcile under way has met, so that it can go on after anything. Empty between passes.
create table "sync_met" (
    "object" text not null, -- The object.
    "partition" text not null, -- The parent's id, or empty.
    "chunk" integer not null, -- Counts the commits of the pass.
    "ids" text not null, -- Ids of the rows met, ascending, each as the difference from the one before.
    primary key ("object", "partition", "chunk")
) strict, without rowid;

-- One row per object and run. Kept 90 days.
create table "sync_runs" (
    "id" integer not null primary key, -- Its number.
    "object" text not null, -- The object.
    "mode" text not null, -- full, incremental or reconcile.
    "started_at" text not null, -- When it began.
    "finished_at" text, -- When it ended.
    "outcome" text not null, -- running, complete, incomplete, failed, unavailable, stopped or interrupted.
    "requests" integer not null default 0, -- Requests sent, repeated ones included.
    "retries" integer not null default 0, -- Requests sent again.
    "pages" integer not null default 0, -- Pages committed.
    "rows_read" integer not null default 0, -- Records read.
    "rows_inserted" integer not null default 0, -- Rows that were new.
    "rows_updated" integer not null default 0, -- Rows that had changed.
    "rows_deleted" integer not null default 0, -- Rows that were marked as gone.
    "rows_quarantined" integer not null default 0, -- Records set aside.
    "error" text -- Why it failed.
) strict;
create index "sync_runs_object" on "sync_runs" ("object", "id");
create index "sync_runs_started_at" on "sync_runs" ("started_at");

-- Records that could not be stored, or not wholly. Kept 30 days after they were last seen.
create table "sync_quarantine" (
    "object" text not null, -- The object.
    "partition" text not null, -- The parent's id, or empty.
    "record" text not null, -- The record's key where it could be read, else a digest of it.
    "reason" text not null, -- Which column, and why.
    "raw" text not null, -- The record as it came.
    "first_seen_at" text not null, -- When it was first seen.
    "last_seen_at" text not null, -- When it was last seen.
    primary key ("object", "partition", "record", "reason")
) strict, without rowid;

-- Who may write, by the database's clock. The epoch is checked in every commit.
create table "sync_lease" (
    "id" integer not null primary key check ("id" = 1), -- Always 1.
    "owner" text not null, -- Host and process.
    "epoch" integer not null, -- Grows with every take-over.
    "commits" integer not null, -- Number of the holder's last commit, so that one whose answer was lost can be told.
    "acquired_at" text not null, -- Since when.
    "expires_at" text not null -- Until when, if it is not renewed.
) strict;

-- Which Kit account this is, and what was learned about the API on the way.
create table "sync_account" (
    "id" integer not null primary key check ("id" = 1), -- Always 1.
    "account_id" integer, -- Kit's id; API v3 gives none.
    "name" text, -- Its name.
    "primary_email_address" text, -- The owner's address.
    "api_version" text, -- The API version used last.
    "confirmed_at" text, -- When the credential last showed that it is this account.
    "findings" text, -- JSON: facts about the API that its documents leave open.
    "sent_requests" text -- JSON: what was sent to Kit in the last minute, for the rate limit.
) strict;
