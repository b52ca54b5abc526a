//! One JSON record of Kit, cut into its members without building a tree of it.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

use super::text::SYMBOL_FOR_NULL;

/// The members of a JSON object in the order in which they came, each value still text.
#[derive(Debug, Default)]
pub struct Record<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Record<'a> {
    /// Cuts the text of a JSON object.
    ///
    /// # Errors
    /// When the text is not one JSON object.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of a member; the last one where a name is repeated.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().rev().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// The members as they came, repeated names included.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The members sorted by name, the last of a repeated name only.
    pub fn into_sorted(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        let mut members = self.members;
        // Stable, so that of equal names the last one stays last, and is the one kept.
        members.sort_by(|a, b| a.0.cmp(&b.0));
        members.reverse();
        members.dedup_by(|later, kept| later.0 == kept.0);
        members.reverse();
        members
    }
}

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Record { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed from the text where it holds no escape. U+0000, which is always escaped, is replaced
/// here: later, a name that is replaced may stand in another place, or may be one that is there already.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;

        impl<'de> Visitor<'de> for Borrowed {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.replace('\0', SYMBOL_FOR_NULL))))
            }
        }

        deserializer.deserialize_str(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_counts_with_its_last_value() {
        let record = Record::parse(r#"{"id": 1, "name": "a", "id": 2}"#).unwrap();
        assert_eq!(record.get("id").map(RawValue::get), Some("2"));
        assert_eq!(record.into_sorted().len(), 2);
    }

    /// P-01, P-05.
    #[test]
    fn a_name_that_an_engine_cannot_hold_is_replaced_before_names_are_compared() {
        let text = r#"{"\u0000": 1, "a": 2, "\u2400": 3}"#;
        let members = Record::parse(text).unwrap().into_sorted();
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(members, [("a", "2"), ("\u{2400}", "3")]);
    }

    #[test]
    fn what_is_not_an_object_is_not_a_record() {
        for text in ["[]", "null", "1", "\"x\"", "{", ""] {
            assert!(Record::parse(text).is_err(), "{text}");
        }
    }
}
