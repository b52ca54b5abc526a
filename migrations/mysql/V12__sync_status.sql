-- What an analyst asks first: what is in the mirror, and how fresh is it? One row per object.
-- state: ok, syncing (a pass is under way or was never finished), stale (not complete for 25 hours),
-- failed (see last_error), unavailable (Kit refuses it to this account).
create or replace view `sync_status` as
with
    -- Each object, the object whose passes bring its rows, and its newest row.
    `relations` (`object`, `brought_by`, `newest_row`) as (
        select 'forms', 'forms', (select `created_at` from `forms` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'sequences', 'sequences', (select `created_at` from `sequences` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'tags', 'tags', (select `created_at` from `tags` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'broadcasts', 'broadcasts', (select `created_at` from `broadcasts` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'subscribers', 'subscribers', (select `created_at` from `subscribers` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'cancelled_subscribers', 'cancelled_subscribers', (select max(`cancelled_at`) from `subscribers` where `_deleted_at` is null and `state` = 'cancelled')
        union all
        select 'form_subscriptions', 'form_subscriptions', (select `created_at` from `form_subscriptions` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'sequence_subscriptions', 'sequence_subscriptions', (select `created_at` from `sequence_subscriptions` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'tag_subscriptions', 'tag_subscriptions', (select `created_at` from `tag_subscriptions` where `_deleted_at` is null order by `created_at` desc limit 1)
        union all
        select 'subscriber_tags', 'tag_subscriptions', (select `created_at` from `tag_subscriptions` where `_deleted_at` is null order by `created_at` desc limit 1)
    ),
    `partitions` (`object`, `rows`, `unfinished`, `error`, `held`) as (
        select `object`, cast(sum(`rows`) as signed), count(`checkpoint`), max(`last_error`), cast(sum(`held_deletions`) as signed)
        from `sync_state` group by `object`
    )
select
    r.`object`,
    case
        when s.`unavailable` = true then 'unavailable'
        when coalesce(s.`last_error`, p.`error`) is not null then 'failed'
        when s.`completed_at` is null or p.`unfinished` > 0 or s.`full_requested_at` is not null then 'syncing'
        when timestampdiff(second, s.`completed_at`, utc_timestamp(6)) > 90000 then 'stale'
        else 'ok'
    end as `state`,
    case r.`object`
        -- People are counted by the object that found them first, and shown by both.
        when 'subscribers' then (select cast(coalesce(sum(`rows`), 0) as signed) from `sync_state` where `object` in ('subscribers', 'cancelled_subscribers'))
        when 'cancelled_subscribers' then (select count(*) from `subscribers` where `state` = 'cancelled' and `_deleted_at` is null)
        else coalesce(p.`rows`, 0)
    end as `rows`,
    r.`newest_row`,
    s.`completed_at` as `last_complete_at`,
    timestampdiff(second, s.`completed_at`, utc_timestamp(6)) as `lag_seconds`,
    s.`reconciled_at` as `last_reconcile_at`,
    timestampdiff(second, s.`reconciled_at`, utc_timestamp(6)) as `reconcile_lag_seconds`,
    p.`held` as `held_deletions`,
    coalesce(s.`last_error`, p.`error`) as `last_error`,
    (select max(`last_error_advice`) from `sync_state` e where e.`object` = r.`brought_by` and e.`last_error` is not null) as `last_error_advice`
from `relations` r
left join `sync_state` s on s.`object` = r.`brought_by` and s.`partition` = ''
left join `partitions` p on p.`object` = r.`brought_by`;
