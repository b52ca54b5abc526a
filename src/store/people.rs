//! People as the database knows them: by id, and by the addresses they have or had.

use std::collections::BTreeSet;
use std::fmt;

/// Some people, and their addresses. Prints no address: this ends up in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Kit's ids of them.
    pub ids: BTreeSet<i64>,
    /// Addresses that were stored of them, as they were written.
    pub addresses: BTreeSet<String>,
}

impl People {
    /// Takes in others.
    pub fn join(&mut self, others: People) {
        self.ids.extend(others.ids);
        self.addresses.extend(others.addresses);
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "People {:?} with {} addresses", self.ids, self.addresses.len())
    }
}

/// Whom somebody wants to be forgotten.
#[derive(Clone, PartialEq, Eq)]
pub enum Who {
    /// The person of this id, known here or not.
    Id(i64),
    /// Everybody who has this address, in whatever case of letters.
    Address(String),
}

impl std::str::FromStr for Who {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        match text.parse() {
            Ok(id) if id > 0 => Ok(Who::Id(id)),
            _ if is_address(text) => Ok(Who::Address(text.to_owned())),
            _ => Err("neither Kit's id of a person nor an e-mail address"),
        }
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Id(id) => write!(f, "Id({id})"),
            Who::Address(_) => f.write_str("Address(***)"),
        }
    }
}

/// Whether a text can be told from any other text as somebody's address.
pub(super) fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_named_by_id_or_address() {
        assert_eq!(" 42 ".parse(), Ok(Who::Id(42)));
        assert_eq!(" Ann@x.org".parse(), Ok(Who::Address("Ann@x.org".to_owned())));
        for nobody in ["", "ann", "@x.org", "ann@", "-1", "0", "1.5", "9223372036854775808"] {
            assert!(nobody.parse::<Who>().is_err(), "{nobody}");
        }
    }

    /// S-10.
    #[test]
    fn nobodys_address_is_printed() {
        let people = People { ids: [7].into(), addresses: ["ann@x.org".to_owned()].into() };
        let printed = format!("{people:?} {:?}", Who::Address("ann@x.org".to_owned()));
        assert!(!printed.contains("ann"), "{printed}");
    }
}
