-- Which countries are people in?
--
-- country: as Kit has it; null where Kit knows no place
-- people: how many there are
-- active: how many of them are active
--
-- Change country to city, state or timezone for those, and location to attribution for where people came from: it
-- has referrer, utm_source, utm_medium, utm_campaign and more. API v3 has neither.

with places as (
    select json_extract(location, '$.country') as country, state
    from subscribers
    where _deleted_at is null
)
select country, count(*) as people, count(case when state = 'active' then 1 end) as active
from places
group by country
order by people desc, country is null, country;
