-- How many people entered which sequence in which week?
--
-- sequence_id, sequence: the sequence
-- week: the Monday the week began on, UTC
-- entered: people who were added in it and are still there

select q.id as sequence_id, q.name as sequence, date(m.created_at, 'weekday 0', '-6 days') as week, count(*) as entered
from sequence_subscriptions m
join sequences q on q.id = m.sequence_id
where m._deleted_at is null and q._deleted_at is null
group by q.id, q.name, date(m.created_at, 'weekday 0', '-6 days')
order by q.id, week;
