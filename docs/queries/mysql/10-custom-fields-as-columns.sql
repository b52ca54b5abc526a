-- What are the custom fields of the first hundred people, with a column for each field?
--
-- id: the person
-- the other columns: one custom field each; null where the person has no value
--
-- A key is in double quotes within the path, so it may contain spaces and dots. Upper and lower case differ.
-- JSON's null would come out as the text null, hence the case.

select id,
       case json_type(json_extract(fields, '$."company"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."company"')) end as company,
       case json_type(json_extract(fields, '$."last_name"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."last_name"')) end as last_name,
       case json_type(json_extract(fields, '$."with space"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."with space"')) end as with_space,
       case json_type(json_extract(fields, '$."do.t"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."do.t"')) end as dotted,
       case json_type(json_extract(fields, '$."Name"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."Name"')) end as upper_name,
       case json_type(json_extract(fields, '$."name"')) when 'NULL' then null else json_unquote(json_extract(fields, '$."name"')) end as lower_name
from subscribers
where _deleted_at is null and fields is not null
order by created_at, id
limit 100;
