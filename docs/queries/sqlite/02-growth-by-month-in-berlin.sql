-- How many people signed up each month, by Berlin time?
--
-- month: month of the sign-up in Berlin, which is two hours ahead of UTC in summer and one in winter
-- joined: people who signed up in it
--
-- The engine needs no time zone table: summer time lasts from the last Sunday of March to the last Sunday of
-- October, changing at 01:00 UTC, as everywhere in the European Union since 1996. Before 1996 it is an
-- approximation. For a zone without summer time, just add its hours.

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
