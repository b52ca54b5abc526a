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

select b.id as broadcast_id, g.number as group_number, r.rule, c.number as condition_number, c.type, c.id
from broadcasts b
join json_table(b.subscriber_filter, '$[*]' columns (number for ordinality)) g
join (select 'all' as rule union all select 'any' union all select 'none') r
join json_table(json_extract(b.subscriber_filter, concat('$[', g.number - 1, '].', r.rule)), '$[*]' columns (
    number for ordinality,
    type varchar(100) path '$.type',
    nested path '$.ids[*]' columns (id bigint path '$')
)) c
where b._deleted_at is null
order by broadcast_id, group_number, r.rule, condition_number, c.id;
