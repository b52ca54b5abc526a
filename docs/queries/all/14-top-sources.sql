-- Where do sign-ups through forms come from?
--
-- utm_source, utm_campaign, referrer: where the visit came from; null where it is not known
-- signups: sign-ups from there
-- people: different people among them

select utm_source, utm_campaign, referrer, count(*) as signups, count(distinct subscriber_id) as people
from form_subscriptions
where _deleted_at is null
group by utm_source, utm_campaign, referrer
order by signups desc, min(subscriber_id), max(subscriber_id), min(form_id), max(form_id)
limit 20;
