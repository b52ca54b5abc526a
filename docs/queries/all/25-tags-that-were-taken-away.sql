-- How many people have each tag, and how many had it once?
--
-- tag_id, tag: the tag
-- have_it: people who have it now
-- had_it: people who had it and no longer do, as far as the mirror remembers
--
-- That a tag was taken away is found by a reconcile, and remembered for as long as the setting purge_after says: 30 days
-- unless it was changed.

select t.id as tag_id, t.name as tag,
       count(case when m._deleted_at is null then 1 end) as have_it,
       count(m._deleted_at) as had_it
from tags t
join tag_subscriptions m on m.tag_id = t.id
where t._deleted_at is null
group by t.id, t.name
order by t.id;
