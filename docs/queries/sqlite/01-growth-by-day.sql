-- How many people signed up each day, and how many had by then?
--
-- day: day of the sign-up, UTC
-- joined: people who signed up on that day, whatever became of them
-- total: people who had signed up by the end of that day

with days as (
    select substr(created_at, 1, 10) as day, count(*) as joined
    from subscribers
    where _deleted_at is null
    group by substr(created_at, 1, 10)
)
select day, joined, sum(joined) over (order by day) as total
from days
order by day;
