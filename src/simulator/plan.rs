//! What a simulated account looks like before anything happens to it, and who may ask about it.

use chrono::{DateTime, TimeDelta, Utc};

/// Accepted as `api_secret` by v3 unless the plan says otherwise.
pub const V3_SECRET: &str = "sim-v3-secret-5f1c0b6d";
/// Accepted as `api_key` by v3, where a public key is enough.
pub const V3_KEY: &str = "sim-v3-public-77aa";
/// Accepted as `X-Kit-Api-Key` by v4 unless the plan says otherwise.
pub const V4_KEY: &str = "kit_sim_v4_key_0d9e42";
/// Accepted as bearer token by v4 unless the plan says otherwise.
pub const ACCESS_TOKEN: &str = "sim-access-token-c3a91e";

/// The credentials the simulator accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// v3 `api_secret`.
    pub v3_secret: String,
    /// v3 `api_key`, enough for lists without personal data.
    pub v3_key: String,
    /// v4 `X-Kit-Api-Key`.
    pub v4_key: String,
    /// v4 bearer token.
    pub access_token: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            v3_secret: V3_SECRET.into(),
            v3_key: V3_KEY.into(),
            v4_key: V4_KEY.into(),
            access_token: ACCESS_TOKEN.into(),
        }
    }
}

/// The rules of an account. Equal plans make equal accounts.
#[derive(Debug, Clone)]
pub struct AccountPlan {
    /// Varies names, addresses, gaps between ids and everything else that looks like chance.
    pub seed: u64,
    /// Base subscribers.
    pub subscribers: u64,
    /// Tags.
    pub tags: usize,
    /// Forms; some are archived, one is trashed.
    pub forms: usize,
    /// Sequences.
    pub sequences: usize,
    /// Broadcasts in every status.
    pub broadcasts: usize,
    /// Custom fields.
    pub custom_fields: usize,
    /// Rows with values that break careless readers.
    pub nasty: bool,
    /// Where the clock starts; nothing in the base is younger (odd dates of nasty accounts aside).
    pub starts_at: DateTime<Utc>,
    /// The creation times of the base rows cover this span.
    pub span: TimeDelta,
    /// The lowest subscriber id.
    pub first_subscriber_id: i64,
    /// How many base rows share one second of creation; by default a twentieth, at most 5,000.
    pub imported: Option<u64>,
    /// Members of the first tags, in the order of creation; the rest follow the rule.
    pub tag_sizes: Vec<u64>,
    /// Members of the first forms.
    pub form_sizes: Vec<u64>,
    /// Members of the first sequences.
    pub sequence_sizes: Vec<u64>,
    /// The id `GET /v4/account` shows.
    pub account_id: i64,
    /// The account's name.
    pub account_name: String,
    /// Who may ask.
    pub credentials: Credentials,
}

impl Default for AccountPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            subscribers: 1_000,
            tags: 6,
            forms: 4,
            sequences: 3,
            broadcasts: 12,
            custom_fields: 3,
            nasty: false,
            starts_at: "2026-09-15T12:00:00Z".parse().expect("a valid instant"),
            span: TimeDelta::days(3 * 365),
            first_subscriber_id: 4_300_000_000,
            imported: None,
            tag_sizes: Vec::new(),
            form_sizes: Vec::new(),
            sequence_sizes: Vec::new(),
            account_id: 77,
            account_name: "Alder & Finch Letters".into(),
            credentials: Credentials::default(),
        }
    }
}

impl AccountPlan {
    /// An account of that many subscribers and the usual parents.
    pub fn new(subscribers: u64) -> Self {
        Self { subscribers, ..Self::default() }
    }

    /// 120 subscribers: a few v3 pages, one v4 page; quick to compare row by row.
    pub fn small() -> Self {
        Self::new(120)
    }

    /// 5,000 subscribers: several pages in both versions.
    pub fn medium() -> Self {
        Self::new(5_000)
    }

    /// A million subscribers.
    pub fn large() -> Self {
        Self::new(1_000_000)
    }

    /// No subscribers, no parents.
    pub fn empty() -> Self {
        Self { tags: 0, forms: 0, sequences: 0, broadcasts: 0, custom_fields: 0, ..Self::new(0) }
    }

    /// With that seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With so many tags.
    pub fn tags(self, tags: usize) -> Self {
        Self { tags, ..self }
    }

    /// With so many forms.
    pub fn forms(self, forms: usize) -> Self {
        Self { forms, ..self }
    }

    /// With so many sequences.
    pub fn sequences(self, sequences: usize) -> Self {
        Self { sequences, ..self }
    }

    /// With so many broadcasts.
    pub fn broadcasts(self, broadcasts: usize) -> Self {
        Self { broadcasts, ..self }
    }

    /// With so many custom fields.
    pub fn custom_fields(self, custom_fields: usize) -> Self {
        Self { custom_fields, ..self }
    }

    /// With rows that break careless readers.
    pub fn nasty(self) -> Self {
        Self { nasty: true, ..self }
    }

    /// With the clock starting there.
    pub fn starting_at(self, starts_at: DateTime<Utc>) -> Self {
        Self { starts_at, ..self }
    }

    /// With creation times spread over that span before the start.
    pub fn spanning(self, span: TimeDelta) -> Self {
        Self { span, ..self }
    }

    /// With so many rows created in one second.
    pub fn imported_at_once(self, rows: u64) -> Self {
        Self { imported: Some(rows), ..self }
    }

    /// With the first tags holding so many members.
    pub fn tag_sizes(self, sizes: impl Into<Vec<u64>>) -> Self {
        Self { tag_sizes: sizes.into(), ..self }
    }

    /// With the first forms holding so many members.
    pub fn form_sizes(self, sizes: impl Into<Vec<u64>>) -> Self {
        Self { form_sizes: sizes.into(), ..self }
    }

    /// With the first sequences holding so many members.
    pub fn sequence_sizes(self, sizes: impl Into<Vec<u64>>) -> Self {
        Self { sequence_sizes: sizes.into(), ..self }
    }

    /// As another account: its id, its name and everything in it differ.
    pub fn of_account(self, account_id: i64, name: &str) -> Self {
        Self { account_id, account_name: name.into(), seed: self.seed ^ account_id as u64, ..self }
    }

    /// Guarded by those credentials.
    pub fn guarded_by(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// How many base rows share one second.
    pub(super) fn imported(&self) -> u64 {
        self.imported.unwrap_or((self.subscribers / 20).min(5_000)).min(self.subscribers)
    }
}
