-- People on the list, one row per person, with the current state.
create table if not exists `subscribers` (
    `id` bigint not null primary key comment 'Kit''s id of the person.',
    `email_address` longtext comment 'E-mail address. Not unique: addresses move between people.',
    `first_name` longtext comment 'First name.',
    `state` longtext not null comment 'active, inactive (not confirmed), cancelled, bounced or complained.',
    `created_at` datetime(6) not null comment 'When the person signed up, by Kit''s clock.',
    `cancelled_at` datetime(6) comment 'When the person last unsubscribed, where the API tells.',
    `fields` json comment 'Custom field values by key.',
    `attribution` json comment 'Where the person came from: referrer, utm_source and so on; null where unknown (API v4).',
    `location` json comment 'Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).',
    `_first_seen_at` datetime(6) not null comment 'When the mirror first stored the row.',
    `_synced_at` datetime(6) not null comment 'When the row''s content last changed here.',
    `_deleted_at` datetime(6) comment 'When a reconcile found the row gone at Kit; null while it is there.',
    `_extra` json comment 'What Kit sent beyond the columns; null as a rule.',
    index `subscribers_created_at` (`created_at`),
    index `subscribers_email_address` (`email_address`(191)),
    index `subscribers_state` (`state`(191))
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'People on the list, one row per person, with the current state.';
