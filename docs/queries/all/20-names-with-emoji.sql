-- Which people and tags have an emoji in their names?
--
-- kind: person or tag
-- id, name: which one
-- state: the person's
--
-- The pattern is the emoji itself; put another one in its place. With MySQL, connect as utf8mb4.

select 'person' as kind, id, first_name as name, state
from subscribers
where _deleted_at is null and first_name like '%🎉%'
union all
select 'tag', id, name, null
from tags
where _deleted_at is null and name like '%🎉%'
order by kind, id;
