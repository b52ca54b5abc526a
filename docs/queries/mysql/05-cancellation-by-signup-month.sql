-- Of those who signed up in a month, how many have unsubscribed since?
--
-- month: month of the sign-up, UTC
-- joined: people who signed up in it
-- cancelled: how many of them are unsubscribed today
-- cancelled_percent: cancelled of joined, rounded to one digit

select date_format(created_at, '%Y-%m') as month,
       count(*) as joined,
       count(case when state = 'cancelled' then 1 end) as cancelled,
       round(100.0 * count(case when state = 'cancelled' then 1 end) / count(*), 1) as cancelled_percent
from subscribers
where _deleted_at is null
group by date_format(created_at, '%Y-%m')
order by month;
