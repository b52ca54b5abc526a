-- People who were erased by `kitmirror forget`; whatever Kit still shows of them is left out. Without its row here, a person is mirrored again.
create table "sync_forgotten" (
    "subscriber_id" bigint not null primary key, -- Kit's id of the person.
    "forgotten_at" timestamp with time zone not null -- When the person was erased here.
);
comment on table "sync_forgotten" is 'People who were erased by `kitmirror forget`; whatever Kit still shows of them is left out. Without its row here, a person is mirrored again.';
comment on column "sync_forgotten"."subscriber_id" is 'Kit''s id of the person.';
comment on column "sync_forgotten"."forgotten_at" is 'When the person was erased here.';

-- What is marked as gone, to be found when its time has come.
create index "forms__deleted_at" on "forms" ("_deleted_at") where "_deleted_at" is not null;
create index "sequences__deleted_at" on "sequences" ("_deleted_at") where "_deleted_at" is not null;
create index "tags__deleted_at" on "tags" ("_deleted_at") where "_deleted_at" is not null;
create index "broadcasts__deleted_at" on "broadcasts" ("_deleted_at") where "_deleted_at" is not null;
create index "subscribers__deleted_at" on "subscribers" ("_deleted_at") where "_deleted_at" is not null;
create index "form_subscriptions__deleted_at" on "form_subscriptions" ("_deleted_at") where "_deleted_at" is not null;
create index "sequence_subscriptions__deleted_at" on "sequence_subscriptions" ("_deleted_at") where "_deleted_at" is not null;
create index "tag_subscriptions__deleted_at" on "tag_subscriptions" ("_deleted_at") where "_deleted_at" is not null;
