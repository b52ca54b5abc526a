-- Sign-up forms and landing pages of the account, archived ones included.
create table "forms" (
    "id" integer not null primary key, -- Kit's id of the form.
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
    "archived" integer, -- Whether the creator archived it.
    "uid" text, -- Public identifier in the form's address.
    "subscriber_count" integer, -- Kit's own count, as a rule of active people only, so less than the rows here (API v4).
    "created_at" text not null, -- When it was created, by Kit's clock.
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text -- What Kit sent beyond the columns; null as a rule.
) strict;
