-- How many people are in which state?
--
-- state: active, inactive (not confirmed), cancelled, bounced, complained, or what Kit adds
-- people: how many
-- percent: of all people, rounded to one digit

select state, count(*) as people, round(100.0 * count(*) / sum(count(*)) over (), 1) as percent
from subscribers
where _deleted_at is null
group by state
order by people desc, min(id);
