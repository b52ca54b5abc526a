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

select b.id as broadcast_id, g.number as group_number, r.rule, c.number as condition_number,
       c.value ->> 'type' as type, cast(i.id as bigint) as id
from broadcasts b
cross join lateral jsonb_array_elements(b.subscriber_filter) with ordinality g(value, number)
cross join lateral jsonb_each(g.value) r(rule, conditions)
cross join lateral jsonb_array_elements(r.conditions) with ordinality c(value, number)
left join lateral jsonb_array_elements_text(c.value -> 'ids') i(id) on true
where b._deleted_at is null
order by broadcast_id, group_number, r.rule collate "C", condition_number, id;
