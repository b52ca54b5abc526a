//! Which objects have to be read one after the other, so that the others may be read beside them. Pure.

use crate::model::Object;

/// Families in the order of their first members. One family are a list and what hangs on it, whose lists of members are
/// found in its table; and objects that write into one table, of whom the later must not be overwritten by what the
/// earlier has read before.
pub(super) fn of(objects: &[&'static Object]) -> Vec<Vec<&'static Object>> {
    let mut families: Vec<Vec<&'static Object>> = Vec::new();
    for object in objects {
        match families.iter_mut().find(|family| root(family[0]) == root(object)) {
            Some(family) => family.push(object),
            None => families.push(vec![object]),
        }
    }
    families
}

/// The table at the head of the family.
fn root(object: &'static Object) -> &'static str {
    object.parent().map_or(object.table, root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects;

    #[test]
    fn children_follow_their_parents_and_writers_of_one_table_each_other() {
        let families = of(&objects::ALL);
        let names =
            |family: &Vec<&'static Object>| -> Vec<&str> { family.iter().map(|one| one.name).collect() };
        let families: Vec<Vec<&str>> = families.iter().map(names).collect();
        let together = |one: &str, other: &str| {
            let family = families.iter().find(|family| family.contains(&one)).expect("it is in a family");
            family.iter().position(|name| *name == one) < family.iter().position(|name| *name == other)
        };
        assert!(together("tags", "tag_subscriptions"));
        assert!(together("forms", "form_subscriptions"));
        assert!(together("sequences", "sequence_subscriptions"));
        assert!(together("subscribers", "cancelled_subscribers"));
        assert!(!together("subscribers", "tags"));
        assert_eq!(families.iter().map(Vec::len).sum::<usize>(), objects::ALL.len());
    }
}
