-- What kitmirror knows about its own work, in the same database as the rows, so that a backup or a
-- restore keeps rows and progress together.

-- One row per object and partition. The partition is the parent's id as text, or empty for a whole list.
create table "sync_state" (
    "object" text not null,
    "partition" text not null,
    "watermark" text,              -- everything the source dates up to here, less the overlap, is in the table
    "began_at" text,               -- the source's clock at the first page of the last complete pass
    "completed_at" text,           -- when the last complete pass ended
    "checkpoint" text,             -- JSON: where an unfinished pass stopped; null between passes
    "fingerprint" text,            -- what the watermark was made under: API version and request
    "rows" integer not null default 0,
    "full_requested_at" text,      -- a full load that was asked for and is not complete
    "unavailable" integer not null default 0,
    "last_error" text,
    "last_error_advice" text,
    "last_error_at" text,
    primary key ("object", "partition")
) strict, without rowid;

-- One row per object and run. Kept 90 days.
create table "sync_runs" (
    "id" integer not null primary key,
    "object" text not null,
    "mode" text not null,          -- full, incremental or reconcile
    "started_at" text not null,
    "finished_at" text,
    "outcome" text not null,       -- running, complete, incomplete, failed, unavailable, stopped or interrupted
    "requests" integer not null default 0,
    "retries" integer not null default 0,
    "pages" integer not null default 0,
    "rows_read" integer not null default 0,
    "rows_inserted" integer not null default 0,
    "rows_updated" integer not null default 0,
    "rows_deleted" integer not null default 0,
    "rows_quarantined" integer not null default 0,
    "error" text
) strict;
create index "sync_runs_object" on "sync_runs" ("object", "id");
create index "sync_runs_started_at" on "sync_runs" ("started_at");

-- Records that could not be stored, or not wholly. Kept 30 days after they were last seen.
create table "sync_quarantine" (
    "object" text not null,
    "partition" text not null,
    "record" text not null,        -- the record's key where it could be read, else a digest of it
    "reason" text not null,
    "raw" text not null,           -- the record as it came
    "first_seen_at" text not null,
    "last_seen_at" text not null,
    primary key ("object", "partition", "record", "reason")
) strict, without rowid;

-- Who may write, by the database's clock. The epoch is checked in every commit.
create table "sync_lease" (
    "id" integer not null primary key check ("id" = 1),
    "owner" text not null,
    "epoch" integer not null,
    "acquired_at" text not null,
    "expires_at" text not null
) strict;

-- Which Kit account this is, and what was learned about the API on the way.
create table "sync_account" (
    "id" integer not null primary key check ("id" = 1),
    "account_id" integer,
    "name" text,
    "primary_email_address" text,
    "api_version" text,
    "confirmed_at" text,           -- when the credential last showed that it is this account
    "findings" text,               -- JSON: facts about the API that its documents leave open
    "sent_requests" text           -- JSON: what was sent to Kit in the last minute, for the rate limit
) strict;
