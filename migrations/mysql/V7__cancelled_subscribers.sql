-- People who unsubscribed: the rows of subscribers whose state is cancelled.
create or replace view `cancelled_subscribers` as
select `id`, `email_address`, `first_name`, `state`, `created_at`, `cancelled_at`, `fields`, `attribution`, `location`, `_first_seen_at`, `_synced_at`, `_deleted_at`, `_extra`
from `subscribers`
where `state` = 'cancelled';
