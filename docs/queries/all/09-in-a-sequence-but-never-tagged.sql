-- Who is in a sequence but never had a tag, as far as the mirror remembers?
--
-- id, email_address, state: the person
-- sequences: how many sequences the person is in
--
-- Tags removed since the mirror was created count as had: the query looks at their rows, too.

select s.id, s.email_address, s.state, count(*) as sequences
from subscribers s
join sequence_subscriptions m on m.subscriber_id = s.id and m._deleted_at is null
where s._deleted_at is null
  and not exists (select 1 from tag_subscriptions t where t.subscriber_id = s.id)
group by s.id, s.email_address, s.state
order by s.id;
