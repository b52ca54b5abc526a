//! The mirror held against the account: by Kit's own totals where it tells them, row by row where these differ or
//! somebody wants to know. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::cost::Lists;
use super::object::subject;
use super::pass::{Pass, Seen, Terms, Turn};
use super::plan::Mode;
use super::stop::Stop;
use super::tally::REFUSALS;
use crate::error::{Error, Kind, Result};
use crate::kit::{KitClient, Meter};
use crate::model::{Endpoint, Mapping, Object, Paging, Source};
use crate::store::{Members, Met, Progress, Store, VanishedSearch};

/// Ids that are named; the others are only counted.
const NAMED: usize = 20;

/// What is compared, and how thoroughly.
pub struct Comparison<'c> {
    /// The door to the source.
    pub kit: &'c KitClient,
    /// The mirror.
    pub store: &'c Store,
    /// The objects, in the order of running.
    pub objects: &'c [&'static Object],
    /// Every row, not only where totals differ.
    pub deep: bool,
    /// No list is begun when so many requests have been sent.
    pub most_requests: Option<u64>,
    /// v3's member lists without a state filter are known to show people of every state.
    pub lists_show_everybody: bool,
    /// For how long Kit's lists may not show what is there.
    pub visibility_lag: chrono::TimeDelta,
    /// Counts the requests.
    pub meter: &'c Meter,
    /// Whether somebody has asked us to stop.
    pub stop: &'c Stop,
}

/// How a list was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// By its length.
    Total,
    /// Row by row.
    Rows,
    /// Not at all: Kit refused it, the requests were used up, or a stop was asked for.
    Skipped,
}

/// Rows of one kind of difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// How many.
    pub count: u64,
    /// The first of them: the person's id in a membership, else the row's.
    pub ids: Vec<i64>,
}

impl From<&Met> for Ids {
    fn from(met: &Met) -> Self {
        Ids { count: met.count(), ids: met.iter().take(NAMED).collect() }
    }
}

/// What came of one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListCompared {
    /// Whose rows.
    pub object: &'static str,
    /// Parent's id, or empty.
    pub partition: String,
    /// How it was compared.
    pub how: How,
    /// Rows that Kit shows, where they were counted.
    pub at_kit: Option<u64>,
    /// Live rows here that the list should show.
    pub here: u64,
    /// At Kit and not here.
    pub missing: Ids,
    /// Here and not at Kit.
    pub extra: Ids,
    /// In both places, with other content.
    pub different: Ids,
    /// Why Kit did not show the list.
    pub error: Option<String>,
    /// What to do about that.
    pub advice: Option<&'static str>,
}

impl ListCompared {
    /// A list that was not compared.
    fn skipped(object: &Object, partition: &str) -> Self {
        ListCompared {
            object: object.name,
            partition: partition.to_owned(),
            how: How::Skipped,
            at_kit: None,
            here: 0,
            missing: Ids::default(),
            extra: Ids::default(),
            different: Ids::default(),
            error: None,
            advice: None,
        }
    }

    /// One that Kit does not show.
    fn refused(object: &Object, partition: &str, error: &Error) -> Self {
        let (error, advice) = (Some(error.one_line()), Some(error.advice()));
        ListCompared { error, advice, ..ListCompared::skipped(object, partition) }
    }

    /// Whether there is a difference.
    pub fn differs(&self) -> bool {
        let by_rows = self.missing.count + self.extra.count + self.different.count > 0;
        by_rows || (self.how == How::Total && self.at_kit.is_some_and(|rows| rows != self.here))
    }
}

impl Comparison<'_> {
    /// Compares all lists of the objects.
    ///
    /// # Errors
    /// Those of client and store.
    pub async fn run(&self) -> Result<Vec<ListCompared>> {
        let mut all = Vec::new();
        // Parents that Kit shows and that are not here, or marked as gone, and so are their members.
        let mut unknown: BTreeMap<&'static str, Met> = BTreeMap::new();
        for object in self.objects {
            let Some(endpoint) = object.endpoint(self.kit.version()) else { continue };
            let partitions: Vec<String> = match &object.source {
                Source::PerParent { parent, .. } => {
                    let stored = self.store.ids(parent).await?;
                    let unknown = unknown.get(parent.name).into_iter().flat_map(Met::iter);
                    let all: BTreeSet<i64> = stored.into_iter().chain(unknown).collect();
                    all.iter().map(i64::to_string).collect()
                }
                Source::List(_) | Source::ViewOf(_) => vec![String::new()],
            };
            let mut differing = Met::default();
            all.extend(self.lists(object, endpoint, &partitions, &mut differing).await?);
            if self
                .objects
                .iter()
                .any(|child| child.parent().is_some_and(|parent| parent.name == object.name))
            {
                unknown.insert(object.name, differing);
            }
        }
        Ok(all)
    }

    /// Compares the lists of an object. One that Kit refuses keeps no other from being compared, unless it refuses all.
    async fn lists(
        &self,
        object: &'static Object,
        endpoint: &'static Endpoint,
        partitions: &[String],
        differing: &mut Met,
    ) -> Result<Vec<ListCompared>> {
        let mut lists = Vec::new();
        let (mut shown, mut refused) = (false, None::<(usize, Error)>);
        for partition in partitions {
            if let Some((REFUSALS.., error)) = &refused
                && !shown
            {
                lists.push(ListCompared::refused(object, partition, error));
                continue;
            }
            match self.list(object, endpoint, partition, differing).await {
                Ok(compared) => {
                    shown |= compared.how != How::Skipped;
                    lists.push(compared);
                }
                // Gone since its parent was listed: that is the parent's difference.
                Err(error) if error.kind() == Kind::SourceNotFound && !partition.is_empty() => {}
                Err(error) if error.kind().policy().others_go_on => {
                    let error = error.about(subject(object, partition));
                    lists.push(ListCompared::refused(object, partition, &error));
                    refused = Some((refused.map_or(0, |(count, _)| count) + 1, error));
                }
                Err(error) => return Err(error.about(object.name)),
            }
        }
        Ok(lists)
    }

    /// Compares a list. Rows that are not here, or not as Kit shows them, are added to `differing`.
    async fn list(
        &self,
        object: &'static Object,
        endpoint: &'static Endpoint,
        partition: &str,
        differing: &mut Met,
    ) -> Result<ListCompared> {
        let search = VanishedSearch {
            object,
            partition: partition.to_owned(),
            only: endpoint.shows_only,
            people: Members::of_a_list(endpoint.may_hide_people(self.lists_show_everybody)),
            before: crate::model::time::now() - self.visibility_lag,
            after: i64::MIN,
            most: 0,
        };
        let here = self.store.vanished(search.clone(), Arc::new(Met::default())).await?.live;
        let mut compared = ListCompared { here, ..ListCompared::skipped(object, partition) };
        if self.is_over() {
            return Ok(compared);
        }
        if !self.deep
            && let Some(total) = self.total(object, endpoint, partition).await?
        {
            compared.at_kit = Some(total);
            if total == here && self.states_agree(object, endpoint).await? {
                compared.how = How::Total;
                return Ok(compared);
            }
            if self.is_over() {
                compared.how = How::Total;
                return Ok(compared);
            }
        }
        self.rows(endpoint, search, &mut compared, differing).await?;
        Ok(compared)
    }

    /// Whether no other list is to be begun.
    fn is_over(&self) -> bool {
        self.stop.is_requested() || self.most_requests.is_some_and(|most| self.meter.requests() >= most)
    }

    /// How long the list is by Kit's own count, where it tells at a smaller price than that of reading the list.
    async fn total(&self, object: &Object, endpoint: &Endpoint, partition: &str) -> Result<Option<u64>> {
        let lists = Lists::new(self.kit, self.meter);
        let hides = endpoint.may_hide_people(self.lists_show_everybody);
        match endpoint.paging {
            Paging::Numbered { totals: true } | Paging::Cursor { .. } if !hides => {
                lists.total(endpoint, partition).await.map(Some)
            }
            // Few rows in an answer or two: compared row by row at once.
            _ => Ok(None),
        }
        .map_err(|error| error.about(object.name))
    }

    /// Whether Kit counts as many people in each state as are stored, for the list that shows all states.
    async fn states_agree(&self, object: &'static Object, endpoint: &Endpoint) -> Result<bool> {
        const STATES: [&str; 5] = ["active", "inactive", "cancelled", "bounced", "complained"];
        let shows_all = endpoint.query.contains(&("status", "all")) && object.column_index("state").is_some();
        if !shows_all || object.parent().is_some() {
            return Ok(true);
        }
        let lists = Lists::new(self.kit, self.meter);
        for state in STATES {
            let at_kit = lists.total_with(endpoint, "", Some(("status", state))).await?;
            if at_kit != self.store.count_where(object, "state", state).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the whole list and compares every row.
    async fn rows(
        &self,
        endpoint: &'static Endpoint,
        search: VanishedSearch,
        compared: &mut ListCompared,
        differing: &mut Met,
    ) -> Result<()> {
        let (object, version) = (search.object, self.kit.version());
        let fingerprint = object.shape(version);
        let terms = Terms {
            object,
            endpoint,
            version,
            partition: &search.partition,
            fingerprint: &fingerprint,
            overlap: chrono::TimeDelta::zero(),
            now: self.kit.source_now(),
            opened_at: crate::model::time::now(),
            asked: Mode::Full,
            counted: None,
        };
        let mapping = Mapping::new(object, endpoint, version, &search.partition);
        let mut pass = Pass::open(&terms, None);
        let (mut met, mut missing, mut different) = (Met::default(), Met::default(), Met::default());
        loop {
            if self.stop.is_requested() {
                compared.how = How::Skipped;
                return Ok(());
            }
            let page = match self.kit.page(&pass.request(), self.meter).await {
                Err(error) if matches!(error.kind(), Kind::SourceBadRequest) => {
                    pass.restart(error)?;
                    continue;
                }
                page => page?,
            };
            let batch = mapping.rows(page.records());
            super::gathered::met(&batch, object).into_iter().for_each(|id| met.add(id));
            let found = self.store.compare(object, batch.rows.clone()).await?;
            found.missing.into_iter().for_each(|id| missing.add(id));
            found.different.into_iter().for_each(|id| different.add(id));
            let seen = Seen { others: self.lists_show_everybody, ..Seen::default() };
            let turn = Turn {
                following: &page.following,
                total: page.total,
                served_at: page.served_at,
                records: page.listed,
                batch: &batch,
                seen,
            };
            if let Progress::Done { .. } = pass.absorb(&turn)? {
                break;
            }
        }
        compared.how = How::Rows;
        compared.at_kit = Some(met.count());
        (compared.missing, compared.different) = (Ids::from(&missing), Ids::from(&different));
        missing.iter().chain(different.iter()).for_each(|id| differing.add(id));
        let met = Arc::new(met);
        let count = self.store.vanished(search.clone(), Arc::clone(&met)).await?.count;
        if count > 0 {
            let first = self.store.vanished(VanishedSearch { most: NAMED, ..search }, met).await?;
            compared.extra = Ids { count, ids: first.ids };
        }
        Ok(())
    }
}
