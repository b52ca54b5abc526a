//! What is wrong with the settings, in words that lead to the repair and hold no secrets.

use std::fmt;

use super::sources::Origin;

/// Why one value was refused. Holds no value of a secret kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}; allowed: {allowed}")]
pub struct Invalid {
    /// What is wrong, to be read after the key: "is under 10 minutes".
    pub wrong: String,
    /// What is allowed instead.
    pub allowed: String,
}

impl Invalid {
    pub(super) fn new(wrong: impl Into<String>, allowed: impl Into<String>) -> Self {
        Invalid { wrong: wrong.into(), allowed: allowed.into() }
    }

    /// "`5 minits` is not a duration". Only for values of plain kind.
    pub(super) fn value(value: &str, wrong: &str, allowed: impl Into<String>) -> Self {
        Invalid::new(format!("{} {wrong}", quoted(value)), allowed)
    }
}

impl From<Invalid> for Vec<Invalid> {
    fn from(invalid: Invalid) -> Self {
        vec![invalid]
    }
}

/// One thing to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, or the name that is not a key.
    pub key: String,
    /// Where the value came from; none where the problem is that there is no value.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub wrong: String,
    /// What is allowed.
    pub allowed: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, origin: Option<Origin>, invalid: Invalid) -> Self {
        Problem { key: key.into(), origin, wrong: invalid.wrong, allowed: invalid.allowed }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key.escape_debug())?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}\n    allowed: {}", self.wrong, self.allowed)
    }
}

/// Everything that is wrong with the settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "settings are refused for a reason");
        Problems(problems)
    }

    /// The problems, sources first, then values in the order of the keys.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("one problem in the settings:")?,
            count => write!(f, "{count} problems in the settings:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl Problems {
    /// All of it in one line, for logs.
    pub fn one_line(&self) -> String {
        self.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

impl std::error::Error for Problems {}

/// A value of plain kind as part of a message: escaped, and cut where it stops being useful to read.
pub(super) fn quoted(value: &str) -> String {
    /// A line of a terminal with room for the sentence around it.
    const MAX_CHARS: usize = 60;
    let cut = value.chars().count() > MAX_CHARS;
    let start: String = value.chars().take(MAX_CHARS).collect();
    format!("`{}{}`", start.escape_debug(), if cut { "…" } else { "" })
}

/// What is wrong with a name that nobody knows, and what was probably meant.
pub(super) fn unknown(wrong: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("{wrong}; did you mean `{near}`?"),
        None => wrong.to_owned(),
    }
}

/// The known name that `name` was probably meant to be.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is still a slip; more is another word.
    let reach = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or changed to make `a` into `b` (Levenshtein), one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}
