//! Lists that do not end: pages that bring nothing, pages and cursors that come again, more records than there are.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::error::{Error, Kind, Result};
use crate::kit::Following;

/// Empty pages in a row, with more announced, before the list counts as endless.
const EMPTY_PAGES: u32 = 10;
/// Pages in a row that bring nothing new before the list counts as endless.
const REPEATED_PAGES: u32 = 10;
/// Pages of one walk through a list that does not tell its total, before it counts as endless: of the smallest that are
/// asked for, a million records; and close to three hours at Kit's rate.
const MOST_PAGES: u64 = 20_000;
/// Records of one walk through such a list: more people than any account at Kit has.
const MOST_RECORDS: u64 = 10_000_000;

/// What was seen of one walk through a list, as far as it tells whether it ends.
#[derive(Debug, Default)]
pub(super) struct Endless {
    cursors: HashSet<u64>,
    pages: HashSet<u64>,
    walked: u64,
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
        following: &Following,
        keys: &[Vec<i64>],
        records: usize,
        extent: (u64, Option<u64>),
    ) -> Result<bool> {
        let endless = |what: String| Err(Error::new(Kind::SourcePagination, what));
        self.walked += 1;
        let more = !matches!(following, Following::Whole | Following::Cursor { next: None });
        self.empty = if records == 0 && more { self.empty + 1 } else { 0 };
        if self.empty > EMPTY_PAGES {
            return endless(format!("{EMPTY_PAGES} empty pages in a row, and more announced"));
        }
        let mut again = false;
        if records > 0 {
            again = !self.pages.insert(digest(keys));
            self.repeated = if again { self.repeated + 1 } else { 0 };
        }
        if self.repeated >= REPEATED_PAGES && !matches!(following, Following::Numbered { total_pages: None })
        {
            return endless(format!("{REPEATED_PAGES} pages in a row brought nothing new"));
        }
        match (following, extent) {
            (Following::Cursor { .. }, (read, Some(total))) => {
                // Twice the list and ten pages more: rows may arrive while it is read.
                let most = total.saturating_mul(2).saturating_add(10_000);
                if read > most {
                    return endless(format!("{read} records of a list that began with {total}"));
                }
            }
            // Nothing repeats itself, and nothing says how much there is.
            (Following::Cursor { .. } | Following::Numbered { total_pages: None }, (read, _))
                if more && (self.walked >= MOST_PAGES || read >= MOST_RECORDS) =>
            {
                return endless(format!("{read} records on {} pages, and more announced", self.walked));
            }
            _ => {}
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

    /// Walks on, page after page, each with new rows and a new cursor, to where it is refused; the pages and records
    /// before that.
    fn walk(
        per_page: u64,
        total: Option<u64>,
        most: u64,
        following: impl Fn(u64) -> Following,
    ) -> Option<(u64, u64)> {
        let mut endless = Endless::default();
        (1..=most).find_map(|page| {
            let keys = [vec![i64::try_from(page).expect("it is small")]];
            let extent = (page * per_page, total);
            let refused = endless.page(&following(page), &keys, per_page as usize, extent).err()?;
            assert_eq!(refused.kind(), Kind::SourcePagination);
            Some((page, page * per_page))
        })
    }

    fn cursor(page: u64) -> Following {
        Following::Cursor { next: Some(format!("after {page}")) }
    }

    /// H-13, G-03. Ever new rows, and no total: there is an end to it all the same.
    #[test]
    fn a_list_of_ever_new_rows_comes_to_an_end_without_a_total() {
        assert_eq!(walk(1, None, u64::MAX, cursor), Some((MOST_PAGES, MOST_PAGES)));
        assert_eq!(walk(1_000, None, u64::MAX, cursor), Some((MOST_RECORDS / 1_000, MOST_RECORDS)));
        let numbered = |_| Following::Numbered { total_pages: None };
        assert_eq!(walk(50, None, u64::MAX, numbered), Some((MOST_PAGES, MOST_PAGES * 50)));
        // One that says how much there is, is held to that.
        assert_eq!(walk(500, Some(1_000), u64::MAX, cursor), Some((25, 12_500)));
    }

    /// H-13. What is only long is read to its end.
    #[test]
    fn a_long_list_is_not_endless() {
        let last = |page| match page {
            MOST_PAGES => Following::Cursor { next: None },
            page => cursor(page),
        };
        assert_eq!(walk(50, None, MOST_PAGES, last), None);
        assert_eq!(walk(50, Some(4_000_000), 2 * MOST_PAGES, cursor), None);
        let numbered = |_| Following::Numbered { total_pages: Some(1_000_000) };
        assert_eq!(walk(50, None, 2 * MOST_PAGES, numbered), None);
    }

    fn next() -> Following {
        Following::Cursor { next: Some("a".to_owned()) }
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
