-- Of those who signed up in a month, how many had left again after 30, 90 and 365 days?
--
-- month: month of the sign-up, UTC
-- joined: people who signed up in it
-- left_30, left_90, left_365: how many of them had unsubscribed so many days after their own sign-up, and not come back
--
-- The newest months have not had that many days yet. API v3 does not say when somebody unsubscribed: there, nobody has
-- left.

select to_char(created_at at time zone 'UTC', 'YYYY-MM') as month,
       count(*) as joined,
       count(case when state = 'cancelled' and cancelled_at < created_at + interval '720 hours' then 1 end) as left_30,
       count(case when state = 'cancelled' and cancelled_at < created_at + interval '2160 hours' then 1 end) as left_90,
       count(case when state = 'cancelled' and cancelled_at < created_at + interval '8760 hours' then 1 end) as left_365
from subscribers
where _deleted_at is null
group by to_char(created_at at time zone 'UTC', 'YYYY-MM')
order by month;
