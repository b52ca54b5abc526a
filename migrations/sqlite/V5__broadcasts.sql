-- Broadcasts: e-mails sent, or to be sent, to many subscribers at once; drafts included.
create table "broadcasts" (
    "id" integer not null primary key, -- Kit's id of the broadcast.
    "publication_id" integer, -- Links a broadcast to its post (API v4).
    "subject" text, -- Subject line; null for a draft without one.
    "preview_text" text, -- Preview text (API v4).
    "description" text, -- Internal description.
    "content" text, -- HTML of the e-mail.
    "public" integer, -- Whether it is published on the web.
    "status" text, -- draft, scheduled, sending, completed or aborted (API v4).
    "published_at" text, -- When it was or will be published on the web.
    "send_at" text, -- When it was or will be sent; null for a draft.
    "thumbnail_alt" text, -- Alternative text of the thumbnail.
    "thumbnail_url" text, -- Address of the thumbnail.
    "public_url" text, -- Address on the web (API v4).
    "email_address" text, -- Sending address.
    "email_layout_template" text, -- Name of the layout (API v3).
    "email_template_id" integer, -- E-mail template (API v4).
    "email_template_name" text, -- Name of the e-mail template (API v4).
    "subscriber_filter" text, -- Who it goes to (API v4).
    "created_at" text not null, -- When it was created, by Kit's clock.
    "_first_seen_at" text not null, -- When the mirror first stored the row.
    "_synced_at" text not null, -- When the row's content last changed here.
    "_deleted_at" text, -- When a reconcile found the row gone at Kit; null while it is there.
    "_extra" text -- What Kit sent beyond the columns; null as a rule.
) strict;
