-- Which forms bring people who leave again?
--
-- form_id, form: the form
-- joined: people who signed up through it and are in the mirror
-- active, cancelled: how many of them are active or cancelled today
-- churn_percent: cancelled of joined, rounded to one digit; null where nobody joined

select f.id as form_id, f.name as form,
       count(s.id) as joined,
       count(case when s.state = 'active' then 1 end) as active,
       count(case when s.state = 'cancelled' then 1 end) as cancelled,
       round(100.0 * count(case when s.state = 'cancelled' then 1 end) / nullif(count(s.id), 0), 1) as churn_percent
from forms f
left join form_subscriptions m on m.form_id = f.id and m._deleted_at is null
left join subscribers s on s.id = m.subscriber_id and s._deleted_at is null
where f._deleted_at is null
group by f.id, f.name
order by joined desc, f.id;
