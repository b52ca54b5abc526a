-- Who has which tag, and since when.
create table if not exists `tag_subscriptions` (
    `tag_id` bigint not null comment 'The tag; see tags.',
    `subscriber_id` bigint not null comment 'The person; see subscribers.',
    `created_at` datetime(6) not null comment 'When the person was tagged.',
    `subscription_id` bigint comment 'Kit''s id of the membership (API v3).',
    `state` longtext comment 'State of the membership, not of the person (API v3).',
    `source` longtext comment 'How the person got here (API v3).',
    `referrer` longtext comment 'Page the person came from (API v3).',
    `_first_seen_at` datetime(6) not null comment 'When the mirror first stored the row.',
    `_synced_at` datetime(6) not null comment 'When the row''s content last changed here.',
    `_deleted_at` datetime(6) comment 'When a reconcile found the row gone at Kit; null while it is there.',
    `_extra` json comment 'What Kit sent beyond the columns; null as a rule.',
    primary key (`tag_id`, `subscriber_id`),
    index `tag_subscriptions_subscriber_id` (`subscriber_id`),
    index `tag_subscriptions_created_at` (`created_at`)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Who has which tag, and since when.';
