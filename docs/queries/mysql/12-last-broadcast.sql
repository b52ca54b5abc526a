-- Which broadcast was sent last, and how long was that before the newest sign-up through a form?
--
-- id, subject: the broadcast
-- sent_on: day it was sent, UTC
-- newest_signup_on: day of the newest sign-up, UTC
-- days_since: days between the two
--
-- The newest sign-up stands for today, so that the answer depends on the data alone; put utc_timestamp() in its place
-- to count to today.

with newest as (
    select max(created_at) as newest from form_subscriptions where _deleted_at is null
)
select b.id, b.subject,
       date_format(b.send_at, '%Y-%m-%d') as sent_on,
       date_format(n.newest, '%Y-%m-%d') as newest_signup_on,
       datediff(n.newest, b.send_at) as days_since
from broadcasts b
cross join newest n
where b._deleted_at is null and coalesce(b.status, 'completed') = 'completed' and b.send_at <= n.newest
order by b.send_at desc, b.id desc
limit 1;
