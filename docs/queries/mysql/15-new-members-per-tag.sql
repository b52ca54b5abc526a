-- How many people got which tag within the last 30 days?
--
-- tag_id, tag: the tag
-- new_members: people who got it in the 30 days before the day of the newest tagging of all, or on that day, UTC
-- members: people who have it
--
-- The newest tagging stands for today, so that the answer depends on the data alone; put utc_timestamp()
-- in its place to count back from today.

with newest as (
    select max(created_at) as newest from tag_subscriptions where _deleted_at is null
)
select t.id as tag_id, t.name as tag,
       count(case when m.created_at >= date(n.newest) - interval 30 day then 1 end) as new_members,
       count(m.subscriber_id) as members
from tags t
cross join newest n
left join tag_subscriptions m on m.tag_id = t.id and m._deleted_at is null
where t._deleted_at is null
group by t.id, t.name
order by new_members desc, t.id;
