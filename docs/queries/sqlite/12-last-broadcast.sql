-- Which broadcast was sent last, and how long was that before the newest sign-up through a form?
--
-- id, subject: the broadcast
-- sent_on: day it was sent, UTC
-- newest_signup_on: day of the newest sign-up, UTC
-- days_since: days between the two
--
-- The newest sign-up stands for today, so that the answer depends on the data alone; put strftime('%Y-%m-%dT%H:%M:%f', 'now') in its place
-- to count to today.

with newest as (
    select max(created_at) as newest from form_subscriptions where _deleted_at is null
)
select b.id, b.subject,
       substr(b.send_at, 1, 10) as sent_on,
       substr(n.newest, 1, 10) as newest_signup_on,
       cast(julianday(date(n.newest)) - julianday(date(b.send_at)) as integer) as days_since
from broadcasts b
cross join newest n
where b._deleted_at is null and coalesce(b.status, 'completed') = 'completed' and b.send_at <= n.newest
order by b.send_at desc, b.id desc
limit 1;
