//! The small lists of an account: tags, forms, sequences, broadcasts and custom fields, with every
//! column Kit serves. All in memory; a few thousand of each are fine.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::base::mix;
use super::members::ParentKind;
use super::plan::{AccountPlan, V3_KEY};
use super::quirks::ODD_TEXTS;

/// A tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tag {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A form or landing page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Form {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// `embed` or `hosted`.
    pub kind: &'static str,
    /// How an embedded form shows.
    pub format: Option<&'static str>,
    /// The script to embed; older ones carry the v3 key.
    pub embed_js: String,
    /// The page to embed; older ones carry the v3 key.
    pub embed_url: String,
    /// Archived?
    pub archived: bool,
    /// In the trash? v4 shows it for `status=trashed` and `status=all`, v3 never.
    pub trashed: bool,
    /// Its public id.
    pub uid: String,
    /// What only v3 shows, and only of old forms.
    pub legacy: Option<LegacyForm>,
}

/// Members that only v3 has, and only for old forms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LegacyForm {
    /// Its page.
    pub url: String,
    /// The headline.
    pub title: String,
    /// The text.
    pub description: String,
    /// The button.
    pub sign_up_button_text: String,
    /// What people see afterwards.
    pub success_message: String,
}

/// A sequence of mails.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sequence {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Paused?
    pub hold: bool,
    /// May people go through it again?
    pub repeat: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The sender.
    pub email_address: Option<String>,
    /// The template.
    pub email_template_id: Option<i64>,
    /// How many mails.
    pub email_count: i64,
    /// Days on which it sends.
    pub send_days: Vec<&'static str>,
    /// The hour at which it sends.
    pub send_hour: i64,
    /// The zone of that hour.
    pub time_zone: &'static str,
    /// Published?
    pub active: bool,
}

/// A broadcast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Broadcast {
    /// Its id.
    pub id: i64,
    /// The post that goes with it.
    pub publication_id: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The subject; drafts may have none.
    pub subject: Option<String>,
    /// What mail programs show beside the subject.
    pub preview_text: Option<String>,
    /// The author's note.
    pub description: Option<String>,
    /// The mail.
    pub content: Option<String>,
    /// Shown on the web?
    pub public: bool,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// When it is, or was, to be sent.
    pub send_at: Option<DateTime<Utc>>,
    /// `draft`, `scheduled`, `sending`, `completed`, `aborted`.
    pub status: &'static str,
    /// Text of the thumbnail.
    pub thumbnail_alt: Option<String>,
    /// The thumbnail.
    pub thumbnail_url: Option<String>,
    /// Where it is shown.
    pub public_url: Option<String>,
    /// The sender.
    pub email_address: Option<String>,
    /// v4's template: id and name. v3 shows the name as `email_layout_template`.
    pub email_template: (i64, &'static str),
    /// v4's `subscriber_filter`, as JSON.
    pub subscriber_filter: &'static str,
}

/// A custom field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CustomField {
    /// Its id.
    pub id: i64,
    /// `ck_field_<id>_<key>`, as it was created.
    pub name: String,
    /// The key in subscribers' `fields`.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// Its place among the fields the account began with.
    #[serde(skip)]
    pub(super) ordinal: Option<u64>,
}

/// How many base members the `ordinal`-th parent of a kind has: one with none, one with exactly a v3
/// page, one with exactly a v4 page, one with a single member, a few large ones.
pub(super) fn member_count(plan: &AccountPlan, kind: ParentKind, ordinal: u64) -> u64 {
    let people = plan.subscribers;
    let given = match kind {
        ParentKind::Tag => &plan.tag_sizes,
        ParentKind::Form => &plan.form_sizes,
        ParentKind::Sequence => &plan.sequence_sizes,
    };
    if let Some(size) = given.get(ordinal as usize) {
        return (*size).min(people);
    }
    let few = mix(plan.seed ^ mix(ordinal)) % 200;
    let wanted = match (kind, ordinal) {
        (ParentKind::Tag, 0) => people / 3,
        (ParentKind::Tag, 1) => 0,
        (ParentKind::Tag, 2) => 1_000,
        (ParentKind::Tag, 3) => 50,
        (ParentKind::Tag, 4) => 1,
        (ParentKind::Tag, 5) => people / 10,
        (ParentKind::Form, 0) => people * 7 / 10,
        (ParentKind::Form, 1) => people / 20,
        (ParentKind::Form, 2) => 50,
        (ParentKind::Form, 3) => 1,
        (ParentKind::Form, 4) => 0,
        (ParentKind::Sequence, 0) => people / 4,
        (ParentKind::Sequence, 1) => 0,
        (ParentKind::Sequence, 2) => 1_000,
        _ => few,
    };
    wanted.min(people)
}

pub(super) fn tag(plan: &AccountPlan, ordinal: u64) -> Tag {
    const NAMES: [&str; 6] = ["customer", "VIP – émigré 🎉", "webinar", "Lead: warm", "beta", "reader"];
    let name = match NAMES.get(ordinal as usize) {
        _ if plan.nasty && ordinal >= 2 => odd_name(ordinal),
        Some(name) => (*name).to_string(),
        None => format!("tag {ordinal}"),
    };
    Tag { id: 23_217_323 + ordinal as i64 * 3, name, created_at: early(plan, ordinal) }
}

pub(super) fn form(plan: &AccountPlan, ordinal: u64) -> Form {
    const NAMES: [&str; 4] = ["Newsletter", "Spring page", "Legacy form", "Thrown away"];
    let id = 3_893_419 + ordinal as i64;
    let uid = format!("{:010x}", mix(plan.seed ^ mix(ordinal + 77)) & 0xff_ffff_ffff);
    let name = match NAMES.get(ordinal as usize) {
        _ if plan.nasty && ordinal >= 3 => odd_name(ordinal),
        Some(name) => (*name).to_string(),
        None => format!("form {ordinal}"),
    };
    let legacy = (ordinal == 2).then(|| LegacyForm {
        url: format!("https://app.kit.example/landing_pages/{id}"),
        title: "Join".into(),
        description: "<p>Letters &amp; notes</p>".into(),
        sign_up_button_text: "Subscribe".into(),
        success_message: "Check your inbox.".into(),
    });
    let (embed_js, embed_url) = match legacy.is_some() {
        true => (
            format!("https://api.kit.example/v3/forms/{id}.js?api_key={V3_KEY}"),
            format!("https://api.kit.example/v3/forms/{id}.html?api_key={V3_KEY}"),
        ),
        false => {
            (format!("https://alder.kit.example/{uid}/index.js"), format!("https://alder.kit.example/{uid}"))
        }
    };
    Form {
        id,
        name,
        created_at: early(plan, ordinal),
        kind: if ordinal == 1 { "hosted" } else { "embed" },
        format: match ordinal {
            1 | 2 => None,
            n => Some(["inline", "modal", "slide in", "sticky bar"][n as usize % 4]),
        },
        embed_js,
        embed_url,
        archived: ordinal == 1,
        trashed: ordinal == 3,
        uid,
        legacy,
    }
}

pub(super) fn sequence(plan: &AccountPlan, ordinal: u64) -> Sequence {
    const NAMES: [&str; 3] = ["Welcome", "Evergreen", "Course"];
    let created_at = early(plan, ordinal);
    let name = match NAMES.get(ordinal as usize) {
        _ if plan.nasty && ordinal >= 2 => odd_name(ordinal),
        Some(name) => (*name).to_string(),
        None => format!("sequence {ordinal}"),
    };
    Sequence {
        id: 880_011 + ordinal as i64,
        name,
        hold: ordinal == 1,
        repeat: ordinal % 3 == 1,
        created_at,
        updated_at: created_at + TimeDelta::days(ordinal as i64),
        email_address: (ordinal != 1).then(|| "letters@example.org".into()),
        email_template_id: (ordinal != 1).then_some(38),
        email_count: (ordinal * 4) as i64,
        send_days: if ordinal == 0 { vec!["monday", "friday"] } else { EVERY_DAY.to_vec() },
        send_hour: 9 + (ordinal % 10) as i64,
        time_zone: if ordinal.is_multiple_of(2) { "America/Los_Angeles" } else { "Europe/Berlin" },
        active: ordinal != 1,
    }
}

const EVERY_DAY: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub(super) const EVERYBODY: &str = r#"[{"all":[{"type":"all_subscribers"}]}]"#;
const A_SEGMENT: &str = r#"[{"all":[{"type":"segment","ids":[18]},{"type":"tag","ids":[23217323]}]}]"#;

pub(super) fn broadcast(plan: &AccountPlan, ordinal: u64) -> Broadcast {
    let status =
        ["completed", "completed", "draft", "completed", "scheduled", "aborted"][ordinal as usize % 6];
    let created_at =
        plan.starts_at - plan.span + plan.span / (plan.broadcasts as i32 + 1) * (ordinal as i32 + 1);
    let created_at = DateTime::from_timestamp(created_at.timestamp(), 0).unwrap_or_default();
    let sent = status == "completed";
    let id = 301 + ordinal as i64;
    Broadcast {
        id,
        publication_id: 9_000 + id,
        created_at,
        subject: match status {
            "draft" => None,
            _ if plan.nasty => Some(odd_name(ordinal)),
            _ => Some(format!("Letter {}: hello & welcome", ordinal + 1)),
        },
        preview_text: sent.then(|| "Hi".into()),
        description: sent.then(|| format!("number {}", ordinal + 1)),
        content: (status != "draft").then(|| format!("<p>Hi {{{{ subscriber.first_name }}}} {ordinal}</p>")),
        public: sent && ordinal.is_multiple_of(2),
        published_at: sent.then(|| created_at + TimeDelta::days(1)),
        send_at: match status {
            "completed" => Some(created_at + TimeDelta::days(1)),
            "scheduled" => Some(plan.starts_at + TimeDelta::days(30)),
            _ => None,
        },
        status,
        thumbnail_alt: (ordinal == 0).then(|| "A letter".into()),
        thumbnail_url: (ordinal == 0).then(|| "https://img.example.org/a.jpg".into()),
        public_url: (sent && ordinal.is_multiple_of(2))
            .then(|| format!("https://alder.kit.example/posts/{id}")),
        email_address: (status != "draft").then(|| "letters@example.org".into()),
        email_template: (6, "Text Only"),
        subscriber_filter: if ordinal == 0 { A_SEGMENT } else { EVERYBODY },
    }
}

pub(super) fn custom_field(ordinal: u64) -> CustomField {
    const KEYS: [(&str, &str); 3] = [("last_name", "Last name"), ("company", "Company"), ("score", "Score")];
    let (key, label) = match KEYS.get(ordinal as usize) {
        Some((key, label)) => ((*key).to_string(), (*label).to_string()),
        None => (format!("field_{ordinal}"), format!("Field {ordinal}")),
    };
    let id = 61 + ordinal as i64;
    CustomField { id, name: format!("ck_field_{id}_{key}"), key, label, ordinal: Some(ordinal) }
}

/// Parents are older than the base rows.
fn early(plan: &AccountPlan, ordinal: u64) -> DateTime<Utc> {
    let time = plan.starts_at - plan.span - TimeDelta::days(30) + TimeDelta::minutes(ordinal as i64 * 7);
    DateTime::from_timestamp(time.timestamp(), 0).unwrap_or_default()
}

fn odd_name(ordinal: u64) -> String {
    ODD_TEXTS[(ordinal as usize * 7 + 1) % ODD_TEXTS.len()].to_string()
}
