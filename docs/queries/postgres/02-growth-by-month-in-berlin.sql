-- How many people signed up each month by the calendar of Berlin?
--
-- month: month of the sign-up in Berlin, whose clocks show two hours more than UTC in summer and one in winter
-- joined: people who signed up in it
--
-- Any name of the IANA time zones will do in place of Europe/Berlin. The texts for the other engines follow the
-- rule that holds since 1996; before that they may differ from this one.

with local_times as (
    select created_at at time zone 'Europe/Berlin' as local_time
    from subscribers
    where _deleted_at is null
)
select to_char(local_time, 'YYYY-MM') as month, count(*) as joined
from local_times
group by to_char(local_time, 'YYYY-MM')
order by month;
