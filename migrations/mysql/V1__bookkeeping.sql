-- One row per object and partition. The partition is the parent's id as text, or empty for a whole list.
create table if not exists `sync_state` (
    `object` varchar(64) not null comment 'The object.',
    `partition` varchar(64) not null comment 'The parent''s id, or empty.',
    `watermark` datetime(6) comment 'Everything the source dates up to here, less the overlap, is in the table.',
    `began_at` datetime(6) comment 'The source''s clock at the first page of the last complete pass.',
    `completed_at` datetime(6) comment 'When the last complete pass ended.',
    `checkpoint` longtext comment 'JSON: where an unfinished pass stopped; null between passes.',
    `fingerprint` longtext comment 'What the watermark was made under: API version and request.',
    `rows` bigint not null default 0 comment 'Live rows of the partition.',
    `full_requested_at` datetime(6) comment 'When a full load was asked for that is not complete yet.',
    `reconcile_requested_at` datetime(6) comment 'When a reconcile was asked for that has not been tried yet.',
    `reconciled_at` datetime(6) comment 'When vanished rows were last looked for.',
    `held_deletions` bigint comment 'Rows that the last reconcile did not meet and left alone, because there were too many or it had doubts.',
    `counted` bigint comment 'Members that Kit counted when the last complete pass was planned.',
    `counted_since` datetime(6) comment 'When a pass first was complete with that count.',
    `unavailable` tinyint(1) not null default false comment 'Whether Kit refuses it to this account.',
    `last_error` longtext comment 'What failed last, if it has not succeeded since.',
    `last_error_advice` longtext comment 'What to do about it.',
    `last_error_at` datetime(6) comment 'When it failed.',
    primary key (`object`, `partition`)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'One row per object and partition. The partition is the parent''s id as text, or empty for a whole list.';

-- The keys that a reconcile under way has met, so that it can go on after anything. Empty between passes.
create table if not exists `sync_met` (
    `object` varchar(64) not null comment 'The object.',
    `partition` varchar(64) not null comment 'The parent''s id, or empty.',
    `chunk` bigint not null comment 'Counts the commits of the pass.',
    `ids` longtext not null comment 'Ids of the rows met, ascending, each as the difference from the one before.',
    primary key (`object`, `partition`, `chunk`)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'The keys that a reconcile under way has met, so that it can go on after anything. Empty between passes.';

-- One row per object and run. Kept 90 days.
create table if not exists `sync_runs` (
    `id` bigint not null auto_increment primary key comment 'Its number.',
    `object` varchar(64) not null comment 'The object.',
    `mode` longtext not null comment 'full, incremental or reconcile.',
    `started_at` datetime(6) not null comment 'When it began.',
    `finished_at` datetime(6) comment 'When it ended.',
    `outcome` longtext not null comment 'running, complete, incomplete, failed, unavailable, stopped or interrupted.',
    `requests` bigint not null default 0 comment 'Requests sent, repeated ones included.',
    `retries` bigint not null default 0 comment 'Requests sent again.',
    `pages` bigint not null default 0 comment 'Pages committed.',
    `rows_read` bigint not null default 0 comment 'Records read.',
    `rows_inserted` bigint not null default 0 comment 'Rows that were new.',
    `rows_updated` bigint not null default 0 comment 'Rows that had changed.',
    `rows_deleted` bigint not null default 0 comment 'Rows that were marked as gone.',
    `rows_quarantined` bigint not null default 0 comment 'Records set aside.',
    `error` longtext comment 'Why it failed.',
    index `sync_runs_object` (`object`, `id`),
    index `sync_runs_started_at` (`started_at`)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'One row per object and run. Kept 90 days.';

-- Records that could not be stored, or not wholly. Kept 30 days after they were last seen.
create table if not exists `sync_quarantine` (
    `object` varchar(64) not null comment 'The object.',
    `partition` varchar(64) not null comment 'The parent''s id, or empty.',
    `record` varchar(190) not null comment 'The record''s key where it could be read, else a digest of it.',
    `reason` varchar(400) not null comment 'Which column, and why.',
    `raw` longtext not null comment 'The record as it came.',
    `first_seen_at` datetime(6) not null comment 'When it was first seen.',
    `last_seen_at` datetime(6) not null comment 'When it was last seen.',
    primary key (`object`, `partition`, `record`, `reason`)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Records that could not be stored, or not wholly. Kept 30 days after they were last seen.';

-- Who may write, by the database's clock. The epoch is checked in every commit.
create table if not exists `sync_lease` (
    `id` bigint not null primary key comment 'Always 1.' check (`id` = 1),
    `owner` longtext not null comment 'Host and process.',
    `epoch` bigint not null comment 'Grows with every take-over.',
    `commits` bigint not null comment 'Number of the holder''s last commit, so that one whose answer was lost can be told.',
    `acquired_at` datetime(6) not null comment 'Since when.',
    `expires_at` datetime(6) not null comment 'Until when, if it is not renewed.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Who may write, by the database''s clock. The epoch is checked in every commit.';

-- Which Kit account this is, and what was learned about the API on the way.
create table if not exists `sync_account` (
    `id` bigint not null primary key comment 'Always 1.' check (`id` = 1),
    `account_id` bigint comment 'Kit''s id; API v3 gives none.',
    `name` longtext comment 'Its name.',
    `primary_email_address` longtext comment 'The owner''s address.',
    `api_version` longtext comment 'The API version used last.',
    `confirmed_at` datetime(6) comment 'When the credential last showed that it is this account.',
    `findings` longtext comment 'JSON: facts about the API that its documents leave open.',
    `sent_requests` longtext comment 'JSON: what was sent to Kit in the last minute, for the rate limit.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Which Kit account this is, and what was learned about the API on the way.';
