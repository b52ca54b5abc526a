-- Which countries are people in?
--
-- country: as Kit has it; null where Kit knows no place
-- people: how many there are
-- active: how many of them are active
--
-- For cities, states or time zones, write city, state or timezone instead of the country in quotation marks. To see
-- where people came from, write attribution instead of location, and referrer, utm_source, utm_medium or utm_campaign
-- instead of that country. API v3 has neither.

with places as (
    select location ->> 'country' as country, state as person_state
    from subscribers
    where _deleted_at is null
)
select country, count(*) as people, count(case when person_state = 'active' then 1 end) as active
from places
group by country
order by people desc, country is null, country collate "C";
