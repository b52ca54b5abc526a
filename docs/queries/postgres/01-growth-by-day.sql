-- How many people signed up each day, and how many had by then?
--
-- day: day of the sign-up, UTC
-- joined: people who signed up on that day, whatever became of them
-- total: people who had signed up by the end of that day

with days as (
    select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as joined
    from subscribers
    where _deleted_at is null
    group by to_char(created_at at time zone 'UTC', 'YYYY-MM-DD')
)
select day, joined, sum(joined) over (order by day) as total
from days
order by day;
