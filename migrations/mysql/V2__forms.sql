-- Sign-up forms and landing pages of the account, archived ones included.
create table if not exists `forms` (
    `id` bigint not null primary key comment 'Kit''s id of the form.',
    `name` longtext comment 'Name given by the creator.',
    `type` longtext comment 'embed = form, hosted = landing page.',
    `format` longtext comment 'inline, modal, slide in, sticky bar; null for landing pages and legacy forms.',
    `url` longtext comment 'Address of a legacy form or landing page (API v3).',
    `embed_js` longtext comment 'Address of the embed script.',
    `embed_url` longtext comment 'Address of the embeddable page.',
    `title` longtext comment 'Title of a legacy form (API v3).',
    `description` longtext comment 'Description of a legacy form (API v3).',
    `sign_up_button_text` longtext comment 'Text on the button of a legacy form (API v3).',
    `success_message` longtext comment 'Message after signing up, legacy forms (API v3).',
    `archived` tinyint(1) comment 'Whether the creator archived it.',
    `uid` longtext comment 'Public identifier in the form''s address.',
    `subscriber_count` bigint comment 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).',
    `created_at` datetime(6) not null comment 'When it was created, by Kit''s clock.',
    `_first_seen_at` datetime(6) not null comment 'When the mirror first stored the row.',
    `_synced_at` datetime(6) not null comment 'When the row''s content last changed here.',
    `_deleted_at` datetime(6) comment 'When a reconcile found the row gone at Kit; null while it is there.',
    `_extra` json comment 'What Kit sent beyond the columns; null as a rule.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'Sign-up forms and landing pages of the account, archived ones included.';
