-- Who has the longest first names?
--
-- id: the person
-- characters: length of the name in Unicode characters; an emoji may be made of several
-- begins: its first 24 characters

select id, length(first_name) as characters, substr(first_name, 1, 24) as begins
from subscribers
where _deleted_at is null and first_name is not null
order by characters desc, id
limit 12;
