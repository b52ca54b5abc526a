-- How many people have each tag, and how many had it once?
--
-- tag_id, tag: the tag
-- have_it: people who have it now
-- had_it: people who had it and no longer do, as far as the mirror remembers; people who are deleted at Kit do not count
--
-- That a tag was taken away is found by a reconcile, and remembered for as long as the setting purge_after says: 30 days
-- unless it was changed.

select t.id as tag_id, t.name as tag,
       count(case when m._deleted_at is null and gone.id is null then m.tag_id end) as have_it,
       count(case when m._deleted_at is not null and gone.id is null then m.tag_id end) as had_it
from tags t
left join tag_subscriptions m on m.tag_id = t.id
left join subscribers gone on gone.id = m.subscriber_id and gone._deleted_at is not null
where t._deleted_at is null
group by t.id, t.name
order by t.id;
