-- The tags of each person: tag_subscriptions with the names of the tags.
create view "subscriber_tags" as
select m."subscriber_id", m."tag_id", t."name" as "tag_name", m."created_at", t."created_at" as "tag_created_at",
       m."_first_seen_at", m."_synced_at", m."_deleted_at", m."_extra"
from "tag_subscriptions" m
join "tags" t on t."id" = m."tag_id";
comment on view "subscriber_tags" is 'The tags of each person: tag_subscriptions with the names of the tags.';
comment on column "subscriber_tags"."subscriber_id" is 'The person; see subscribers.';
comment on column "subscriber_tags"."tag_id" is 'The tag; see tags.';
comment on column "subscriber_tags"."tag_name" is 'Name of the tag.';
comment on column "subscriber_tags"."created_at" is 'When the person was tagged.';
comment on column "subscriber_tags"."tag_created_at" is 'When the tag was created.';
comment on column "subscriber_tags"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "subscriber_tags"."_synced_at" is 'When the row''s content last changed here.';
comment on column "subscriber_tags"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "subscriber_tags"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
