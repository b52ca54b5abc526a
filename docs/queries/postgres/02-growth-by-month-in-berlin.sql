-- How many people signed up each month, by Berlin time?
--
-- month: month of the sign-up in Berlin, which is two hours ahead of UTC in summer and one in winter
-- joined: people who signed up in it
--
-- Any IANA time zone name will do in place of Europe/Berlin. The queries for the other engines follow the
-- rule in force since 1996; before that they may differ from this one.

with local_times as (
    select created_at at time zone 'Europe/Berlin' as local_time
    from subscribers
    where _deleted_at is null
)
select to_char(local_time, 'YYYY-MM') as month, count(*) as joined
from local_times
group by to_char(local_time, 'YYYY-MM')
order by month;
