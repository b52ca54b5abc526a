-- What are the custom fields of the first hundred people, with a column for each field?
--
-- id: the person
-- the other columns: one custom field each; null where the person has no value
--
-- A key is plain text after ->>, so it may contain anything. Upper and lower case differ.

select id,
       fields ->> 'company' as company,
       fields ->> 'last_name' as last_name,
       fields ->> 'with space' as with_space,
       fields ->> 'do.t' as dotted,
       fields ->> 'Name' as upper_name,
       fields ->> 'name' as lower_name
from subscribers
where _deleted_at is null and fields is not null
order by created_at, id
limit 100;
