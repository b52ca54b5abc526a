-- Sign-up forms and landing pages of the account, archived ones included.
create table "forms" (
    "id" bigint not null primary key, -- Kit's id of the form.
    "name" text, -- Name given by the creator.
    "type" text, -- embed = form, hosted = landing page.
    "format" text, -- inline, modal, slide in, sticky bar; null for landing pages and legacy forms.
    "url" text, -- Address of a legacy form or landing page (API v3).
    "embed_js" text, -- Address of the embed script.
    "embed_url" text, -- Address of the embeddable page.
    "title" text, -- Title of a legacy form (API v3).
    "description" text, -- Description of a legacy form (API v3).
    "sign_up_button_text" text, -- Text on the button of a legacy form (API v3).
    "success_message" text, -- Message after signing up, legacy forms (API v3).
    "archived" boolean, -- Whether the creator archived it.
    "uid" text, -- Public identifier in the form's address.
    "subscriber_count" bigint, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" timestamp with time zone not null, -- When it was created, by Kit's clock.
    "_first_seen_at" timestamp with time zone not null, -- When the mirror first stored the row.
    "_synced_at" timestamp with time zone not null, -- When the row's content last changed here.
    "_deleted_at" timestamp with time zone, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" jsonb -- What Kit sent beyond the columns; null as a rule.
);
comment on table "forms" is 'Sign-up forms and landing pages of the account, archived ones included.';
comment on column "forms"."id" is 'Kit''s id of the form.';
comment on column "forms"."name" is 'Name given by the creator.';
comment on column "forms"."type" is 'embed = form, hosted = landing page.';
comment on column "forms"."format" is 'inline, modal, slide in, sticky bar; null for landing pages and legacy forms.';
comment on column "forms"."url" is 'Address of a legacy form or landing page (API v3).';
comment on column "forms"."embed_js" is 'Address of the embed script.';
comment on column "forms"."embed_url" is 'Address of the embeddable page.';
comment on column "forms"."title" is 'Title of a legacy form (API v3).';
comment on column "forms"."description" is 'Description of a legacy form (API v3).';
comment on column "forms"."sign_up_button_text" is 'Text on the button of a legacy form (API v3).';
comment on column "forms"."success_message" is 'Message after signing up, legacy forms (API v3).';
comment on column "forms"."archived" is 'Whether the creator archived it.';
comment on column "forms"."uid" is 'Public identifier in the form''s address.';
comment on column "forms"."subscriber_count" is 'Kit''s own count, as a rule of active people only, so less than the rows here (API v4).';
comment on column "forms"."created_at" is 'When it was created, by Kit''s clock.';
comment on column "forms"."_first_seen_at" is 'When the mirror first stored the row.';
comment on column "forms"."_synced_at" is 'When the row''s content last changed here.';
comment on column "forms"."_deleted_at" is 'When a reconcile found the row gone at Kit; null while it is there.';
comment on column "forms"."_extra" is 'What Kit sent beyond the columns; null as a rule.';
