-- Which custom field values do most people have?
--
-- field: key of the custom field
-- value: what people have in it; empty texts and anything that is not text are left out
-- people: how many
--
-- Keys and values are compared byte by byte: text collations would treat "name" and "name " as equal.

with pairs as (
    select json_unquote(json_extract(json_keys(s.fields), concat('$[', k.place - 1, ']'))) as field,
           json_extract(json_extract(s.fields, '$.*'), concat('$[', k.place - 1, ']')) as value
    from subscribers s
    join json_table(json_keys(s.fields), '$[*]' columns (place for ordinality)) k
    where s._deleted_at is null
)
select min(field) as field, min(json_unquote(value)) as value, count(*) as people
from pairs
where json_type(value) = 'STRING' and char_length(json_unquote(value)) > 0
group by cast(field as binary), cast(json_unquote(value) as binary)
order by people desc, cast(field as binary), cast(json_unquote(value) as binary)
limit 60;
