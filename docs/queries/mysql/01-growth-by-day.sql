-- How many people signed up each day, and how many had by then?
--
-- day: day of the sign-up, UTC
-- joined: people who signed up on that day, whatever became of them
-- total: people who had signed up by the end of that day

with days as (
    select date_format(created_at, '%Y-%m-%d') as day, count(*) as joined
    from subscribers
    where _deleted_at is null
    group by date_format(created_at, '%Y-%m-%d')
)
select day, joined, sum(joined) over (order by day) as total
from days
order by day;
