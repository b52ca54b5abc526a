-- How many people signed up each month, by Berlin time?
--
-- month: month of the sign-up in Berlin, which is two hours ahead of UTC in summer and one in winter
-- joined: people who signed up in it
--
-- The engine needs no time zone table: summer time lasts from the last Sunday of March to the last Sunday of
-- October, changing at 01:00 UTC, as everywhere in the European Union since 1996. Before 1996 it is an
-- approximation. For a zone without summer time, just add its hours. If the server has its time zones loaded,
-- convert_tz(created_at, 'UTC', 'Europe/Berlin') gives the same.

with years as (
    select created_at,
           cast(concat(year(created_at), '-03-25') as date) as march,
           cast(concat(year(created_at), '-10-25') as date) as october
    from subscribers
    where _deleted_at is null
),
local_times as (
    select created_at + interval case
        when created_at >= march + interval 6 - weekday(march) day + interval 1 hour
         and created_at < october + interval 6 - weekday(october) day + interval 1 hour then 2
        else 1
    end hour as local_time
    from years
)
select date_format(local_time, '%Y-%m') as month, count(*) as joined
from local_times
group by date_format(local_time, '%Y-%m')
order by month;
