-- The tags of each person: tag_subscriptions with the names of the tags.
create or replace view `subscriber_tags` as
select m.`subscriber_id`, m.`tag_id`, t.`name` as `tag_name`, m.`created_at`, t.`created_at` as `tag_created_at`,
       m.`_first_seen_at`, m.`_synced_at`, m.`_deleted_at`, m.`_extra`
from `tag_subscriptions` m
join `tags` t on t.`id` = m.`tag_id`;
