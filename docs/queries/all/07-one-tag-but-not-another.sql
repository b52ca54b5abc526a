-- Who has the tag "customer" but not the tag "VIP – émigré 🎉"?
--
-- id, email_address, state: the person

select s.id, s.email_address, s.state
from subscribers s
where s._deleted_at is null
  and exists (
      select 1 from subscriber_tags t
      where t.subscriber_id = s.id and t.tag_name = 'customer' and t._deleted_at is null
  )
  and not exists (
      select 1 from subscriber_tags t
      where t.subscriber_id = s.id and t.tag_name = 'VIP – émigré 🎉' and t._deleted_at is null
  )
order by s.id;
