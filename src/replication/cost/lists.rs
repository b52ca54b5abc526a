//! Asks Kit how long its lists are.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::kit::{Following, KitClient, Meter, Page, PageRequest, Position, Precedence};
use crate::model::record::Record;
use crate::model::{Endpoint, Object, Paging, V3_PER_PAGE};
use crate::replication::endless::Endless;

/// The lists of an account; those that were read as a whole are remembered.
pub(in crate::replication) struct Lists<'s> {
    kit: &'s KitClient,
    meter: &'s Meter,
    read: HashMap<&'static str, Vec<Listed>>,
}

/// A record of a list whose records may have lists of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    /// Its id.
    pub id: i64,
    /// How many members Kit counts in its list.
    pub members: Option<u64>,
}

impl<'s> Lists<'s> {
    pub(in crate::replication) fn new(kit: &'s KitClient, meter: &'s Meter) -> Self {
        Lists { kit, meter, read: HashMap::new() }
    }

    /// All records of the list of `object`.
    pub(super) async fn all(&mut self, object: &'static Object) -> Result<&[Listed]> {
        if !self.is_read(object) {
            let records = match object.endpoint(self.kit.version()) {
                Some(endpoint) => self.every_page(endpoint).await?,
                None => Vec::new(),
            };
            self.read.insert(object.name, records);
        }
        Ok(self.read.get(object.name).map_or(&[], Vec::as_slice))
    }

    /// Whether the list of `object` has been read.
    pub(super) fn is_read(&self, object: &Object) -> bool {
        self.read.contains_key(object.name)
    }

    /// How many members Kit counts in one parent's list, if the parents have been read and tell.
    pub(super) fn members(&self, parent: &Object, id: &str) -> Option<u64> {
        let id: i64 = id.parse().ok()?;
        self.read.get(parent.name)?.iter().find(|listed| listed.id == id)?.members
    }

    /// What the first page of a list says about the length of all of it.
    pub(in crate::replication) async fn total(&self, endpoint: &Endpoint, partition: &str) -> Result<u64> {
        self.total_with(endpoint, partition, None).await
    }

    /// The same with another value for one of its parameters.
    pub(in crate::replication) async fn total_with(
        &self,
        endpoint: &Endpoint,
        partition: &str,
        other: Option<(&str, &str)>,
    ) -> Result<u64> {
        let paging = match endpoint.paging {
            Paging::Cursor { .. } => Paging::Cursor { per_page: 1 },
            other => other,
        };
        let page = self.page_with(endpoint, partition, paging, Position::First, other).await?;
        let pages = match page.following {
            Following::Numbered { total_pages } => total_pages,
            Following::Whole | Following::Cursor { .. } => None,
        };
        page.total.or(pages.map(|pages| pages.saturating_mul(V3_PER_PAGE.into()))).ok_or_else(|| {
            let path = endpoint.path_for(partition);
            Error::new(Kind::SourceShape, format!("{path} does not say how long it is"))
        })
    }

    /// Counts a list that says nothing about its length, page by page.
    pub(super) async fn count(&self, endpoint: &Endpoint, partition: &str) -> Result<u64> {
        let (mut rows, mut number, mut endless) = (0, 1, Endless::default());
        loop {
            let page = self.page(endpoint, partition, endpoint.paging, Position::Number(number)).await?;
            let records = page.records().len();
            if records == 0 || endless.page(&page.following, &keys(&page), records, (rows, page.total))? {
                // Behind the end, or a source that ignores page numbers and shows the same ones again.
                return Ok(rows);
            }
            rows += records as u64;
            if records < usize::from(V3_PER_PAGE) {
                return Ok(rows);
            }
            number += 1;
        }
    }

    async fn every_page(&self, endpoint: &Endpoint) -> Result<Vec<Listed>> {
        let (mut records, mut position, mut endless) = (Vec::new(), Position::First, Endless::default());
        loop {
            let page = self.page(endpoint, "", endpoint.paging, position).await?;
            records.extend(page.records().filter_map(listed));
            let read = records.len() as u64;
            endless.page(&page.following, &keys(&page), page.records().len(), (read, page.total))?;
            match page.following {
                Following::Cursor { next: Some(cursor) } if endless.is_new(&cursor) => {
                    position = Position::After(cursor);
                }
                _ => return Ok(records),
            }
        }
    }

    async fn page(
        &self,
        endpoint: &Endpoint,
        partition: &str,
        paging: Paging,
        position: Position,
    ) -> Result<Page> {
        self.page_with(endpoint, partition, paging, position, None).await
    }

    async fn page_with(
        &self,
        endpoint: &Endpoint,
        partition: &str,
        paging: Paging,
        position: Position,
        other: Option<(&str, &str)>,
    ) -> Result<Page> {
        let kept = |(name, _): &&(&str, &str)| other.is_none_or(|(changed, _)| changed != *name);
        let query = endpoint.query.iter().filter(kept).copied().chain(other);
        let request = PageRequest {
            path: endpoint.path_for(partition),
            list: endpoint.list,
            paging,
            query: query.map(|(name, value)| (name.into(), value.into())).collect(),
            position,
            with_total: paging == Paging::Cursor { per_page: 1 },
            precedence: Precedence::Following,
        };
        self.kit.page(&request, self.meter).await
    }
}

/// By which a page is recognised when it comes again.
fn keys(page: &Page) -> Vec<Vec<i64>> {
    page.records().filter_map(listed).map(|listed| vec![listed.id]).collect()
}

fn listed(record: &str) -> Option<Listed> {
    let record = Record::parse(record).ok()?;
    let number = |name: &str| record.get(name).and_then(|raw| raw.get().parse::<i64>().ok());
    let members = number("subscriber_count").and_then(|count| u64::try_from(count).ok());
    Some(Listed { id: number("id")?, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_without_a_count_is_listed_all_the_same() {
        let parent = listed(r#"{"id": 7, "name": "x", "subscriber_count": 12}"#).unwrap();
        assert_eq!((parent.id, parent.members), (7, Some(12)));
        assert_eq!(listed(r#"{"id": 7, "subscriber_count": null}"#).unwrap().members, None);
        assert!(listed(r#"{"name": "x"}"#).is_none());
    }
}
