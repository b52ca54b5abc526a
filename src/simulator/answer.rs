//! An answer before it becomes bytes: a page keeps its rows and its envelope apart, so that a fault can
//! change one row or one member without parsing what was just written.

use super::faults::ListMember;
use super::json;

/// What a face says.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A list.
    Page(Page),
    /// Any other JSON with 200.
    Object(String),
    /// An error.
    Failure(Failure),
}

/// An error of Kit's own making.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Failure {
    /// v3's error shape.
    pub(super) fn v3(status: u16, error: &str, message: &str) -> Failure {
        let mut body = String::from("{");
        json::text_member(&mut body, "error", Some(error));
        json::text_member(&mut body, "message", Some(message));
        body.push('}');
        Failure { status, body }
    }

    /// v4's error shape.
    pub(super) fn v4(status: u16, error: &str) -> Failure {
        let mut body = String::from(r#"{"errors":["#);
        json::string(&mut body, error);
        body.push_str("]}");
        Failure { status, body }
    }
}

/// A list of records with what stands around it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The member that holds the rows.
    pub(super) key: &'static str,
    pub(super) rows: Rows,
    pub(super) envelope: Envelope,
    /// Anything but rows only if a fault says so.
    pub(super) list: ListMember,
}

/// The JSON of several rows in one text.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    text: String,
    ends: Vec<usize>,
}

/// What a list says about itself; numbers and words as raw JSON, so that faults can say anything.
#[derive(Debug, Clone)]
pub(super) enum Envelope {
    /// Nothing: v3's unpaged lists and its broadcasts.
    Bare,
    /// v3's totals.
    Numbers { total_key: &'static str, total: String, page: String, total_pages: String },
    /// v4's `pagination`; an absent value leaves the member out.
    Cursors(Cursors),
    /// A fault took v4's `pagination` away.
    Stripped,
}

/// v4's `pagination`.
#[derive(Debug, Clone)]
pub(super) struct Cursors {
    pub(super) has_previous_page: Option<String>,
    pub(super) has_next_page: Option<String>,
    pub(super) start_cursor: Option<String>,
    pub(super) end_cursor: Option<String>,
    pub(super) per_page: u64,
    pub(super) total_count: Option<u64>,
}

impl Rows {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { text: String::with_capacity(rows * 280), ends: Vec::with_capacity(rows) }
    }

    /// Adds the row that `write` writes.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let row = &self.text[start..*end];
            start = *end;
            row
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn write(&self, out: &mut String) {
        out.reserve(self.text.len() + self.ends.len());
        out.push('[');
        for (n, row) in self.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out.push_str(row);
        }
        out.push(']');
    }
}

impl FromIterator<String> for Rows {
    fn from_iter<I: IntoIterator<Item = String>>(rows: I) -> Self {
        let mut all = Rows::default();
        for row in rows {
            all.push(|out| out.push_str(&row));
        }
        all
    }
}

impl Answer {
    /// Status and body.
    pub(super) fn render(self) -> (u16, String) {
        match self {
            Answer::Page(page) => (200, page.render()),
            Answer::Object(body) => (200, body),
            Answer::Failure(failure) => (failure.status, failure.body),
        }
    }
}

impl Page {
    pub(super) fn new(key: &'static str, rows: Rows, envelope: Envelope) -> Self {
        Self { key, rows, envelope, list: ListMember::Rows }
    }

    fn render(&self) -> String {
        let mut out = String::from("{");
        if let Envelope::Numbers { total_key, total, page, total_pages } = &self.envelope {
            json::raw_member(&mut out, total_key, total);
            json::raw_member(&mut out, "page", page);
            json::raw_member(&mut out, "total_pages", total_pages);
        }
        match self.list {
            ListMember::Rows => {
                json::key(&mut out, self.key);
                self.rows.write(&mut out);
            }
            ListMember::Null => json::raw_member(&mut out, self.key, "null"),
            ListMember::Missing => {}
        }
        if let Envelope::Cursors(cursors) = &self.envelope {
            json::key(&mut out, "pagination");
            cursors.write(&mut out);
        }
        out.push('}');
        out
    }
}

impl Cursors {
    fn write(&self, out: &mut String) {
        out.push('{');
        for (name, value) in [
            ("has_previous_page", &self.has_previous_page),
            ("has_next_page", &self.has_next_page),
            ("start_cursor", &self.start_cursor),
            ("end_cursor", &self.end_cursor),
        ] {
            if let Some(value) = value {
                json::raw_member(out, name, value);
            }
        }
        json::integer_member(out, "per_page", self.per_page as i64);
        if let Some(total) = self.total_count {
            json::integer_member(out, "total_count", total as i64);
        }
        out.push('}');
    }
}
