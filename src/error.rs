//! The one error type, its kinds, and the one table that says what each kind means: worth
//! another try or not, which exit code, and what the person reading it should do next.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A setting or a flag is wrong.
    Settings,
    /// Kit answered 401 to the account request: the credential itself is no good.
    SourceRejectedKey,
    /// Kit refuses this one object (401, 402 or 403) while others work.
    SourceRefused,
    /// Kit could not be reached, broke off, or answered 5xx, for longer than we are patient.
    SourceUnavailable,
    /// Kit answers other requests, but not for this list or this record, for longer than we are patient.
    SourceListUnavailable,
    /// The TLS certificate of the source was not accepted.
    SourceUntrusted,
    /// Kit keeps answering 429.
    SourceThrottled,
    /// The parent or record does not exist (404).
    SourceNotFound,
    /// Kit does not understand the request (400, 422): a stale cursor, or our mistake.
    SourceBadRequest,
    /// The answer is not what the API documents: HTML, a missing list, a redirect elsewhere.
    SourceShape,
    /// The answer is larger than we decode.
    SourceTooLarge,
    /// The list repeats itself or never ends.
    SourcePagination,
    /// Too many records of one page could not be stored: the API has probably changed.
    SchemaDrift,
    /// A reconcile did not meet rows and left them alone: too many, or there is doubt.
    DeletionsHeld,
    /// The parents of an object could not be read, so its partitions are not known.
    ParentsUnknown,
    /// The credential belongs to another account than the mirror.
    AccountMismatch,
    /// There is no mirror in the database yet.
    NoMirror,
    /// The database cannot be reached or is busy.
    DatabaseUnavailable,
    /// The database refuses: read-only, no rights, disk full.
    DatabaseRefused,
    /// A table is not what it should be.
    SchemaMismatch,
    /// The database was migrated by a newer kitmirror.
    SchemaNewer,
    /// Another kitmirror holds the lease of this mirror.
    LeaseHeld,
    /// Another kitmirror took the lease while this one worked.
    LeaseLost,
    /// A signal asked us to stop before the work was complete.
    Stopped,
    /// The command line asks for something that cannot be, beyond what a setting says.
    Usage,
    /// Nobody takes what is printed.
    OutputRefused,
    /// The system gives this process too few files or threads, or too little memory.
    SystemRefused,
    /// A broken invariant of ours.
    Internal,
}

/// What follows from a [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Process exit code when this error ends the command (README, "Exit codes").
    pub exit_code: u8,
    /// Whether other objects can go on after it.
    pub others_go_on: bool,
    /// What the person reading it should do.
    pub advice: &'static str,
}

impl Kind {
    /// The table. No `_` arm: a new kind does not compile until someone has decided.
    pub fn policy(self) -> Policy {
        let policy = |exit_code, others_go_on, advice| Policy { exit_code, others_go_on, advice };
        match self {
            Kind::Settings => {
                policy(2, false, "Correct the setting; `kitmirror config` shows where each value comes from.")
            }
            Kind::SourceRejectedKey => policy(
                2,
                false,
                "Check the credential: kit_api_secret is the v3 API secret, kit_api_key a v4 API key, \
                 kit_access_token an OAuth token; they are not interchangeable. Then run `kitmirror check`.",
            ),
            Kind::SourceRefused => policy(
                5,
                true,
                "The account or the credential may not read this object. The other objects are read; leave this one \
                 out with the `objects` setting if that is how it should be.",
            ),
            Kind::SourceUnavailable => policy(
                5,
                false,
                "Kit could not be reached. Check the network, DNS and kit_api_url, then run it again: nothing was \
                 lost, and it resumes where it stopped.",
            ),
            Kind::SourceListUnavailable => policy(
                5,
                true,
                "Kit is up, but does not answer for this list. The other lists are read, and the next run tries this one \
                 again; if it persists, tell Kit's support which list it is.",
            ),
            Kind::SourceUntrusted => policy(
                5,
                false,
                "The certificate of the API host was refused. Check kit_api_url, the machine's clock and its root \
                 certificates; there is no switch to skip verification.",
            ),
            Kind::SourceThrottled => policy(
                5,
                false,
                "Kit keeps answering that there are too many requests. Something else uses the same key: lower \
                 requests_per_minute, or run it again later.",
            ),
            Kind::SourceNotFound => {
                policy(5, true, "The parent was deleted at Kit; it is skipped until it appears again.")
            }
            Kind::SourceBadRequest => policy(
                5,
                true,
                "Kit did not accept the request. The API may have changed: please report the object, the API version \
                 and this message.",
            ),
            Kind::SourceShape => policy(
                5,
                true,
                "The answer is not what Kit's API documents; something in between may have answered instead (a proxy, \
                 a maintenance page). Nothing was changed. Try again later; report it if it persists.",
            ),
            Kind::SourceTooLarge => policy(
                5,
                true,
                "One answer is larger than 32 MiB even at the smallest page size. Please report the object.",
            ),
            Kind::SourcePagination => policy(
                5,
                true,
                "The list did not end in a way that can be trusted, so the watermark was not moved. Run it again; \
                 report it if it persists.",
            ),
            Kind::SchemaDrift => policy(
                5,
                true,
                "More than 5 % of a page could not be stored, so the pass stopped before its watermark moved. See the \
                 reasons in sync_quarantine; the API may have changed, please report it.",
            ),
            Kind::DeletionsHeld => policy(
                5,
                true,
                "Nothing was marked as deleted there. Check at Kit whether they are really gone; if so, \
                 `kitmirror sync --reconcile --accept-deletions` marks them (stop a service first).",
            ),
            Kind::ParentsUnknown => {
                policy(5, true, "See the error of the parent object; fix that, then run it again.")
            }
            Kind::AccountMismatch => policy(
                2,
                false,
                "One database holds one account. Give this account its own database_url, or use a credential of the \
                 account the mirror belongs to. If it is the same account under a new name or address, \
                 `delete from sync_account` in the mirror and run it again.",
            ),
            Kind::NoMirror => policy(
                3,
                false,
                "Run `kitmirror sync` to create it. If it is elsewhere, set database_url (on PostgreSQL also \
                 database_schema).",
            ),
            Kind::DatabaseUnavailable => policy(
                3,
                false,
                "Check database_url and that the database is up and not locked by another program. Run it again, it \
                 resumes where it stopped.",
            ),
            Kind::DatabaseRefused => policy(
                3,
                false,
                "Check database_url, the rights of the database user or file, and the free space on its disk.",
            ),
            Kind::SchemaMismatch => {
                policy(4, false, "Run `kitmirror schema --check` to see every difference.")
            }
            Kind::SchemaNewer => policy(
                4,
                false,
                "Use that newer kitmirror, or another database_url. The database was left untouched.",
            ),
            Kind::LeaseHeld => policy(
                75,
                false,
                "Only one kitmirror writes to a mirror at a time. Wait until the other one is done, or stop it.",
            ),
            Kind::LeaseLost => policy(
                75,
                false,
                "This one was paused or cut off for too long; the other one goes on. Nothing was lost.",
            ),
            Kind::Stopped => policy(130, false, "Run it again; `kitmirror sync` resumes where it stopped."),
            Kind::Usage => policy(2, false, "See `--help` of the command."),
            Kind::OutputRefused => policy(
                1,
                false,
                "What was to be done is done, only its result is not all there. Make room for it or send it elsewhere.",
            ),
            Kind::SystemRefused => policy(
                1,
                false,
                "Give it more of them, 64 open files at least (`ulimit -n`, `-u` and `-v`; the limits of the service or \
                 container), then run it again.",
            ),
            Kind::Internal => {
                policy(1, false, "This is a bug in kitmirror: please report it with this message.")
            }
        }
    }

    /// A short stable name, for logs and `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Settings => "settings",
            Kind::SourceRejectedKey => "source_rejected_key",
            Kind::SourceRefused => "source_refused",
            Kind::SourceUnavailable => "source_unavailable",
            Kind::SourceListUnavailable => "source_list_unavailable",
            Kind::SourceUntrusted => "source_untrusted",
            Kind::SourceThrottled => "source_throttled",
            Kind::SourceNotFound => "source_not_found",
            Kind::SourceBadRequest => "source_bad_request",
            Kind::SourceShape => "source_shape",
            Kind::SourceTooLarge => "source_too_large",
            Kind::SourcePagination => "source_pagination",
            Kind::SchemaDrift => "schema_drift",
            Kind::DeletionsHeld => "deletions_held",
            Kind::ParentsUnknown => "parents_unknown",
            Kind::AccountMismatch => "account_mismatch",
            Kind::NoMirror => "no_mirror",
            Kind::DatabaseUnavailable => "database_unavailable",
            Kind::DatabaseRefused => "database_refused",
            Kind::SchemaMismatch => "schema_mismatch",
            Kind::SchemaNewer => "schema_newer",
            Kind::LeaseHeld => "lease_held",
            Kind::LeaseLost => "lease_lost",
            Kind::Stopped => "stopped",
            Kind::Usage => "usage",
            Kind::OutputRefused => "output_refused",
            Kind::SystemRefused => "system_refused",
            Kind::Internal => "internal",
        }
    }
}

/// What failed, for what, and why. Never holds a secret, a URL with its query, or an e-mail address.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    subject: Option<String>,
    what: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `what` names the operation and what came of it, in one clause.
    pub fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, subject: None, what: what.into(), source: None }
    }

    /// Keeps the cause. The caller sees to it that the cause prints no secret and no URL.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Names the object, or object and partition, that the error is about. The first name given stays.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject.get_or_insert_with(|| subject.to_string());
        self
    }

    /// The kind, on which decisions are made.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the person reading the error should do.
    pub fn advice(&self) -> &'static str {
        self.kind.policy().advice
    }

    /// The message with its causes, in one line, without the advice.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line.replace(['\n', '\r'], " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_subject_operation_and_cause_in_one_line() {
        let cause = std::io::Error::other("connection\nreset");
        let error =
            Error::new(Kind::SourceUnavailable, "could not read page 3").about("tags/42").because(cause);
        assert_eq!(error.one_line(), "tags/42: could not read page 3: connection reset");
        assert_eq!(error.about("forms").to_string(), "tags/42: could not read page 3");
    }
}
