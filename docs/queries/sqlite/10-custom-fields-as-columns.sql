-- What are the custom fields of the first hundred people, with a column for each field?
--
-- id: the person
-- the other columns: one custom field each; null where the person has no value
--
-- A key is in double quotes within the path, so it may contain spaces and dots. Upper and lower case differ.

select id,
       json_extract(fields, '$."company"') as company,
       json_extract(fields, '$."last_name"') as last_name,
       json_extract(fields, '$."with space"') as with_space,
       json_extract(fields, '$."do.t"') as dotted,
       json_extract(fields, '$."Name"') as upper_name,
       json_extract(fields, '$."name"') as lower_name
from subscribers
where _deleted_at is null and fields is not null
order by created_at, id
limit 100;
