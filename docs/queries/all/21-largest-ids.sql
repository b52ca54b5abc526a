-- Who has the largest ids?
--
-- id: the person; up to 9223372036854775807, more than a spreadsheet keeps exactly
-- email_address, state: the same person's
-- follows: by how much the id exceeds the next smaller one in the mirror

select id, email_address, state, id - lag(id) over (order by id) as follows
from subscribers
where _deleted_at is null
order by id desc
limit 10;
