-- E-mail sequences of the account.
create table if not exists `sequences` (
    `id` bigint not null primary key comment 'Kit''s id of the sequence.',
    `name` longtext comment 'Name given by the creator.',
    `hold` tinyint(1) comment 'Whether subscribers are held at the end and get e-mails added later.',
    `repeat` tinyint(1) comment 'Whether a subscriber can go through it more than once.',
    `active` tinyint(1) comment 'Whether it sends (API v4).',
    `email_address` longtext comment 'Sending address (API v4).',
    `email_template_id` bigint comment 'E-mail template (API v4).',
    `send_days` json comment 'Weekdays on which it sends (API v4).',
    `send_hour` bigint comment 'Hour of the day at which it sends, 0 to 23, in time_zone (API v4).',
    `time_zone` longtext comment 'IANA time zone of send_hour (API v4).',
    `email_count` bigint comment 'Number of e-mails in it (API v4).',
    `subscriber_count` bigint comment 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).',
    `created_at` datetime(6) not null comment 'When it was created, by Kit''s clock.',
    `updated_at` datetime(6) comment 'When it was last changed (API v4).',
    `_first_seen_at` datetime(6) not null comment 'When the mirror first stored the row.',
    `_synced_at` datetime(6) not null comment 'When the row''s content last changed here.',
    `_deleted_at` datetime(6) comment 'When a reconcile found the row gone at Kit; null while it is there.',
    `_extra` json comment 'What Kit sent beyond the columns; null as a rule.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'E-mail sequences of the account.';
