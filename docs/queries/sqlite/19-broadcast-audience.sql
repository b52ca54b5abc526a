-- Who does each broadcast go to?
--
-- broadcast_id: the broadcast
-- group_number: from 1; a person has to match one of the groups
-- rule: all, any or none of the conditions of a group have to hold
-- condition_number: from 1
-- type: all_subscribers, segment, tag and so on
-- id: the segment, tag or other thing that is meant; null where none is named
--
-- API v4 only: API v3 does not provide it, so there are no rows.

select b.id as broadcast_id, g.key + 1 as group_number, r.key as rule, c.key + 1 as condition_number,
       json_extract(c.value, '$.type') as type, i.value as id
from broadcasts b
join json_each(b.subscriber_filter) g
join json_each(g.value) r
join json_each(r.value) c
left join json_each(c.value, '$.ids') i on true
where b._deleted_at is null
order by broadcast_id, group_number, rule, condition_number, id;
