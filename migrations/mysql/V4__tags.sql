-- Tags of the account.
create table if not exists `tags` (
    `id` bigint not null primary key comment 'Kit''s id of the tag.',
    `name` longtext comment 'Name given by the creator.',
    `subscriber_count` bigint comment 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).',
    `created_at` datetime(6) not null comment 'When it was created, by Kit''s clock.',
    `_first_seen_at` datetime(6) not null comment 'When the mirror first stored the row.',
    `_synced_at` datetime(6) not null comment 'When the row''s content last changed here.',
    `_deleted_at` datetime(6) comment 'When a reconcile found the row gone at Kit; null while it is there.',
    `_extra` json comment 'What Kit sent beyond the columns; null as a rule.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Tags of the account.';
