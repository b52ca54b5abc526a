-- Which e-mail addresses belong to several people, ignoring upper and lower case?
--
-- address: the address in lower case
-- people: how many have it
-- first_id, last_id: the smallest and the largest of their ids
--
-- Beyond A to Z, it depends on the engine which letters have a lower case: SQLite knows only A to Z.

select lower(email_address) as address, count(*) as people, min(id) as first_id, max(id) as last_id
from subscribers
where _deleted_at is null and email_address is not null
group by lower(email_address)
having count(*) > 1
order by people desc, first_id, last_id;
