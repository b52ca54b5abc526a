-- How many people signed up each month by the calendar of Berlin?
--
-- month: month of the sign-up in Berlin, whose clocks show two hours more than UTC in summer and one in winter
-- joined: people who signed up in it
--
-- The engine needs no table of time zones: summer lasts from the last Sunday of March to the last Sunday of
-- October, changing at 01:00 UTC, as everywhere in the European Union since 1996. Before 1996 it is an
-- approximation. For a zone without summer time, add its hours alone.

with local_times as (
    select datetime(created_at, case
        when created_at >= date(substr(created_at, 1, 4) || '-03-25', 'weekday 0') || 'T01'
         and created_at < date(substr(created_at, 1, 4) || '-10-25', 'weekday 0') || 'T01' then '+2 hours'
        else '+1 hours'
    end) as local_time
    from subscribers
    where _deleted_at is null
)
select substr(local_time, 1, 7) as month, count(*) as joined
from local_times
group by substr(local_time, 1, 7)
order by month;
