-- How many broadcasts are in which status, and how many of them are public?
--
-- status: draft, scheduled, sending, completed or aborted; null in a mirror filled through API v3, which does not say
-- broadcasts: how many
-- public_ones: how many of them are on the web
-- without_subject: how many have no subject
-- newest_id: the id of the newest of them

select status, count(*) as broadcasts,
       count(case when public then 1 end) as public_ones,
       count(case when subject is null then 1 end) as without_subject,
       max(id) as newest_id
from broadcasts
where _deleted_at is null
group by status
order by broadcasts desc, newest_id;
