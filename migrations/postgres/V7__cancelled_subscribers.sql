-- People who unsubscribed: the rows of subscribers whose state is cancelled.
create view "cancelled_subscribers" as
select "id", "email_address", "first_name", "state", "created_at", "cancelled_at", "fields", "attribution", "location", "_first_seen_at", "_synced_at", "_deleted_at", "_extra"
from "subscribers"
where "state" = 'cancelled';
comment on view "cancelled_subscribers" is 'People who unsubscribed: the rows of subscribers whose state is cancelled.';
comment on column "cancelled_subscribers"."id" is 'Kit''s id of the person.';
comment on column "cancelled_subscribers"."email_address" is 'E-mail address. Not unique: addresses move between people.';
comment on column "cancelled_subscribers"."first_name" is 'First name.';
comment on column "cancelled_subscribers"."state" is 'active, inactive (not confirmed), cancelled, bounced or complained.';
comment on column "cancelled_subscribers"."created_at" is 'When the person signed up, by Kit''s clock.';
comment on column "cancelled_subscribers"."cancelled_at" is 'When the person last unsubscribed, where the API tells.';
comment on column "cancelled_subscribers"."fields" is 'Custom field values by key.';
comment on column "cancelled_subscribers"."attribution" is 'Where the person came from: referrer, utm_source and so on; null where unknown (API v4).';
comment on column "cancelled_subscribers"."location" is 'Where the person is, as Kit believes: city, country and so on; null where unknown (API v4).';
comment on column "cancelled_subscribers"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "cancelled_subscribers"."_synced_at" is 'When the row''s content last changed here.';
comment on column "cancelled_subscribers"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "cancelled_subscribers"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
