-- Which custom field values do most people have?
--
-- field: key of the custom field
-- value: what people have in it; empty texts and anything that is not text are left out
-- people: how many

select f.key as field, f.value as value, count(*) as people
from subscribers s
join json_each(s.fields) f
where s._deleted_at is null and f.type = 'text' and f.value <> ''
group by f.key, f.value
order by people desc, field, value
limit 60;
