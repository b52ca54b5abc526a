//! Rows of the small lists: tags, forms, sequences, broadcasts, custom fields.

use chrono::{DateTime, Utc};

use crate::simulator::catalogue::{Broadcast, CustomField, Form, Sequence, Tag};
use crate::simulator::json;
use crate::simulator::request::Version;

pub(in crate::simulator) fn tag(out: &mut String, version: Version, tag: &Tag, count: Option<u64>) {
    out.push('{');
    json::integer_member(out, "id", tag.id);
    json::text_member(out, "name", Some(&tag.name));
    json::key(out, "created_at");
    // v3 shows some tags with milliseconds.
    let fraction = (version == Version::V3 && tag.id % 2 == 1).then_some(0);
    json::time(out, tag.created_at.timestamp(), fraction);
    if let Some(count) = count {
        json::integer_member(out, "subscriber_count", count as i64);
    }
    out.push('}');
}

pub(in crate::simulator) fn form(out: &mut String, version: Version, form: &Form, count: Option<u64>) {
    out.push('{');
    json::integer_member(out, "id", form.id);
    json::text_member(out, "name", Some(&form.name));
    json::time_member(out, "created_at", Some(form.created_at.timestamp()));
    json::text_member(out, "type", Some(form.kind));
    match (&form.legacy, version) {
        (Some(legacy), Version::V3) => {
            json::text_member(out, "url", Some(&legacy.url));
            json::text_member(out, "embed_js", Some(&form.embed_js));
            json::text_member(out, "embed_url", Some(&form.embed_url));
            json::text_member(out, "title", Some(&legacy.title));
            json::text_member(out, "description", Some(&legacy.description));
            json::text_member(out, "sign_up_button_text", Some(&legacy.sign_up_button_text));
            json::text_member(out, "success_message", Some(&legacy.success_message));
        }
        _ => {
            json::text_member(out, "format", form.format);
            json::text_member(out, "embed_js", Some(&form.embed_js));
            json::text_member(out, "embed_url", Some(&form.embed_url));
            json::bool_member(out, "archived", form.archived);
            json::text_member(out, "uid", Some(&form.uid));
        }
    }
    if let Some(count) = count {
        json::integer_member(out, "subscriber_count", count as i64);
    }
    out.push('}');
}

/// A sequence with the five guaranteed members, and all others if `count` is given.
pub(in crate::simulator) fn sequence(out: &mut String, sequence: &Sequence, count: Option<u64>) {
    out.push('{');
    json::integer_member(out, "id", sequence.id);
    json::text_member(out, "name", Some(&sequence.name));
    json::bool_member(out, "hold", sequence.hold);
    json::bool_member(out, "repeat", sequence.repeat);
    json::time_member(out, "created_at", Some(sequence.created_at.timestamp()));
    if let Some(count) = count {
        json::time_member(out, "updated_at", Some(sequence.updated_at.timestamp()));
        json::text_member(out, "email_address", sequence.email_address.as_deref());
        match sequence.email_template_id {
            Some(id) => json::integer_member(out, "email_template_id", id),
            None => json::raw_member(out, "email_template_id", "null"),
        }
        json::integer_member(out, "email_count", sequence.email_count);
        json::integer_member(out, "subscriber_count", count as i64);
        let days: Vec<String> = sequence.send_days.iter().map(|day| format!("\"{day}\"")).collect();
        json::raw_member(out, "send_days", &format!("[{}]", days.join(",")));
        json::integer_member(out, "send_hour", sequence.send_hour);
        json::text_member(out, "time_zone", Some(sequence.time_zone));
        json::bool_member(out, "active", sequence.active);
        json::raw_member(out, "exclude_subscriber_sources", "[]");
    }
    out.push('}');
}

/// A v4 broadcast.
pub(in crate::simulator) fn broadcast(out: &mut String, broadcast: &Broadcast, slim: bool) {
    let seconds = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
    out.push('{');
    json::integer_member(out, "id", broadcast.id);
    json::integer_member(out, "publication_id", broadcast.publication_id);
    json::time_member(out, "created_at", Some(broadcast.created_at.timestamp()));
    json::text_member(out, "subject", broadcast.subject.as_deref());
    json::text_member(out, "preview_text", broadcast.preview_text.as_deref());
    json::text_member(out, "description", broadcast.description.as_deref());
    json::bool_member(out, "public", broadcast.public);
    json::time_member(out, "published_at", seconds(broadcast.published_at));
    json::time_member(out, "send_at", seconds(broadcast.send_at));
    json::text_member(out, "status", Some(broadcast.status));
    json::text_member(out, "thumbnail_alt", broadcast.thumbnail_alt.as_deref());
    json::text_member(out, "thumbnail_url", broadcast.thumbnail_url.as_deref());
    if !slim {
        json::text_member(out, "content", broadcast.content.as_deref());
        json::text_member(out, "public_url", broadcast.public_url.as_deref());
        json::text_member(out, "email_address", broadcast.email_address.as_deref());
        let (id, name) = broadcast.email_template;
        json::raw_member(out, "email_template", &format!(r#"{{"id":{id},"name":"{name}"}}"#));
        json::raw_member(out, "subscriber_filter", broadcast.subscriber_filter);
    }
    out.push('}');
}

/// The three members of v3's list.
pub(in crate::simulator) fn v3_broadcast_stub(out: &mut String, broadcast: &Broadcast) {
    out.push('{');
    json::integer_member(out, "id", broadcast.id);
    json::key(out, "created_at");
    json::time(out, broadcast.created_at.timestamp(), Some(0));
    json::text_member(out, "subject", broadcast.subject.as_deref());
    out.push('}');
}

/// A v3 broadcast.
pub(in crate::simulator) fn v3_broadcast(out: &mut String, broadcast: &Broadcast) {
    let time_member = |out: &mut String, name: &str, time: Option<DateTime<Utc>>| {
        json::key(out, name);
        match time {
            Some(time) => json::time(out, time.timestamp(), Some(0)),
            None => out.push_str("null"),
        }
    };
    out.push('{');
    json::integer_member(out, "id", broadcast.id);
    time_member(out, "created_at", Some(broadcast.created_at));
    json::text_member(out, "subject", broadcast.subject.as_deref());
    json::text_member(out, "description", broadcast.description.as_deref());
    json::text_member(out, "content", broadcast.content.as_deref());
    json::bool_member(out, "public", broadcast.public);
    time_member(out, "published_at", broadcast.published_at);
    time_member(out, "send_at", broadcast.send_at);
    json::text_member(out, "thumbnail_alt", broadcast.thumbnail_alt.as_deref());
    json::text_member(out, "thumbnail_url", broadcast.thumbnail_url.as_deref());
    json::text_member(out, "email_address", broadcast.email_address.as_deref());
    json::text_member(out, "email_layout_template", Some(broadcast.email_template.1));
    out.push('}');
}

pub(in crate::simulator) fn custom_field(out: &mut String, field: &CustomField) {
    out.push('{');
    json::integer_member(out, "id", field.id);
    json::text_member(out, "name", Some(&field.name));
    json::text_member(out, "key", Some(&field.key));
    json::text_member(out, "label", Some(&field.label));
    out.push('}');
}
