-- People who were erased by `kitmirror forget`; whatever Kit still shows of them is left out. Without its row here, a person is mirrored again.
create table if not exists `sync_forgotten` (
    `subscriber_id` bigint not null primary key comment 'Kit''s id of the person.',
    `forgotten_at` datetime(6) not null comment 'When the person was erased here.'
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment 'People who were erased by `kitmirror forget`; whatever Kit still shows of them is left out. Without its row here, a person is mirrored again.';

-- What is marked as gone, to be found when its time has come.
set @make = (select if(count(*) = 0, 'create index `forms__deleted_at` on `forms` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'forms' and index_name = 'forms__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `sequences__deleted_at` on `sequences` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'sequences' and index_name = 'sequences__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `tags__deleted_at` on `tags` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'tags' and index_name = 'tags__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `broadcasts__deleted_at` on `broadcasts` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'broadcasts' and index_name = 'broadcasts__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `subscribers__deleted_at` on `subscribers` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'subscribers' and index_name = 'subscribers__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `form_subscriptions__deleted_at` on `form_subscriptions` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'form_subscriptions' and index_name = 'form_subscriptions__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `sequence_subscriptions__deleted_at` on `sequence_subscriptions` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'sequence_subscriptions' and index_name = 'sequence_subscriptions__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
set @make = (select if(count(*) = 0, 'create index `tag_subscriptions__deleted_at` on `tag_subscriptions` (`_deleted_at`)', 'do 0') from information_schema.statistics
    where table_schema = database() and table_name = 'tag_subscriptions' and index_name = 'tag_subscriptions__deleted_at');
prepare make from @make;
execute make;
deallocate prepare make;
