-- How many people have no tag, one tag, two tags and so on, and how many of them are active?
--
-- tags: number of tags
-- people: how many have that many
-- active: how many of them are active

with counted as (
    select s.id, s.state, count(m.tag_id) as tags
    from subscribers s
    left join tag_subscriptions m on m.subscriber_id = s.id and m._deleted_at is null
    where s._deleted_at is null
    group by s.id, s.state
)
select tags, count(*) as people, count(case when state = 'active' then 1 end) as active
from counted
group by tags
order by tags;
