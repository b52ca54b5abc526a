-- Which custom field values do most people have?
--
-- field: key of the custom field
-- value: what people have in it; empty texts and anything that is not text are left out
-- people: how many

select f.key as field, f.value #>> '{}' as value, count(*) as people
from subscribers s
cross join lateral jsonb_each(s.fields) f
where s._deleted_at is null and jsonb_typeof(f.value) = 'string' and f.value #>> '{}' <> ''
group by f.key, f.value
order by people desc, f.key collate "C", (f.value #>> '{}') collate "C"
limit 60;
