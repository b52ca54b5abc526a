//! Lists that do not end: pages that bring nothing, pages and cursors that come again, more records than there are.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::error::{Error, Kind, Result};
use crate::kit::Place;

/// Empty pages in a row, with more announced, before the list counts as endless.
const EMPTY_PAGES: u32 = 10;
/// Pages in a row that bring nothing new before the list counts as endless.
const REPEATED_PAGES: u32 = 10;

/// What was seen of one walk through a list, as far as it tells whether it ends.
#[derive(Debug, Default)]
pub(super) struct Endless {
    cursors: HashSet<u64>,
    pages: HashSet<u64>,
    empty: u32,
    repeated: u32,
}

impl Endless {
    /// Looks at a page by the keys of its rows; whether the same page was there before. `extent` is how many records
    /// were read by now, and how many the list had when it began, where it said so.
    ///
    /// # Errors
    /// `SourcePagination` when the list does not end.
    pub(super) fn page(
        &mut self,
        place: &Place,
        keys: &[Vec<i64>],
        records: usize,
        extent: (u64, Option<u64>),
    ) -> Result<bool> {
        let endless = |what: String| Err(Error::new(Kind::SourcePagination, what));
        let more = !matches!(place, Place::Whole | Place::Cursor { next: None });
        self.empty = if records == 0 && more { self.empty + 1 } else { 0 };
        if self.empty > EMPTY_PAGES {
            return endless(format!("{EMPTY_PAGES} empty pages in a row, and more announced"));
        }
        let mut again = false;
        if records > 0 {
            again = !self.pages.insert(digest(keys));
            self.repeated = if again { self.repeated + 1 } else { 0 };
        }
        if self.repeated >= REPEATED_PAGES && !matches!(place, Place::Numbered { total_pages: None }) {
            return endless(format!("{REPEATED_PAGES} pages in a row brought nothing new"));
        }
        if let (Place::Cursor { .. }, (read, Some(total))) = (place, extent) {
            // Twice the list and ten pages more: rows may arrive while it is read.
            let most = total.saturating_mul(2).saturating_add(10_000);
            if read > most {
                return endless(format!("{read} records of a list that began with {total}"));
            }
        }
        Ok(again)
    }

    /// Whether a cursor is met for the first time.
    pub(super) fn is_new(&mut self, cursor: &str) -> bool {
        self.cursors.insert(digest(cursor))
    }

    /// Pages in a row that were there before.
    pub(super) fn repeated(&self) -> u32 {
        self.repeated
    }
}

fn digest<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next() -> Place {
        Place::Cursor { next: Some("a".to_owned()) }
    }

    #[test]
    fn ten_empty_pages_in_a_row_are_borne_and_do_not_count_as_one_that_comes_again() {
        let mut endless = Endless::default();
        for _ in 0..10 {
            assert!(!endless.page(&next(), &[], 0, (0, None)).unwrap());
        }
        assert!(endless.page(&next(), &[], 0, (0, None)).is_err());
    }

    #[test]
    fn a_list_may_show_twice_what_it_announced_and_ten_pages_more() {
        let read = |read| Endless::default().page(&next(), &[vec![1]], 1, (read, Some(5)));
        assert!(read(10_010).is_ok() && read(10_011).is_err());
    }

    #[test]
    fn what_comes_again_is_counted_until_something_new_comes() {
        let mut endless = Endless::default();
        assert!(endless.is_new("a") && !endless.is_new("a") && endless.is_new("b"));
        let repeated = [1, 1, 1, 2].map(|id| {
            endless.page(&next(), &[vec![id]], 1, (0, None)).unwrap();
            endless.repeated()
        });
        assert_eq!(repeated, [0, 1, 2, 0]);
    }
}
