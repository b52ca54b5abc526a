-- How many people have both tags of a pair, for every pair of tags that anybody has together?
--
-- tag_id, tag, other_tag_id, other_tag: the pair, the smaller id first
-- people: how many have both

select a.tag_id, ta.name as tag, b.tag_id as other_tag_id, tb.name as other_tag, count(*) as people
from tag_subscriptions a
join tag_subscriptions b on b.subscriber_id = a.subscriber_id and b.tag_id > a.tag_id
join tags ta on ta.id = a.tag_id
join tags tb on tb.id = b.tag_id
where a._deleted_at is null and b._deleted_at is null
  and ta._deleted_at is null and tb._deleted_at is null
group by a.tag_id, ta.name, b.tag_id, tb.name
order by people desc, a.tag_id, b.tag_id;
