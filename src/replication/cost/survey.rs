//! How large the lists are: from the mirror where it knows, from Kit where it does not, in as few requests
//! as that takes. Writes nothing.

use serde::Serialize;
use std::collections::HashMap;
use std::time::SystemTime;

use super::{Certainty, Cost};
use crate::error::{Error, Kind, Result};
use crate::kit::{KitClient, Meter, Page, PageRequest, Place, Position};
use crate::model::record::Record;
use crate::model::{Endpoint, Object, Paging, Time, V3_PER_PAGE, time};
use crate::replication::emptied_tables;
use crate::replication::pass::{Pass, Terms};
use crate::replication::plan::{self, Mode, ObjectPlan, PartitionPlan};
use crate::store::{State, Store};

/// What the next run over some objects is asked about.
pub struct Survey<'s> {
    /// The door to Kit.
    pub kit: &'s KitClient,
    /// The mirror, if there is one.
    pub store: Option<&'s Store>,
    /// The objects, in the order of running; parents are among them.
    pub objects: &'s [&'static Object],
    /// Whether everything is to be read again.
    pub full: bool,
    /// How far behind the watermark incremental passes begin.
    pub overlap: chrono::TimeDelta,
    /// v3's member lists without a state filter are known to show people of every state.
    pub lists_show_everybody: bool,
    /// Counts what the survey itself asks.
    pub meter: &'s Meter,
}

/// What the next pass over one object takes.
#[derive(Debug, Clone, Serialize)]
pub struct Surveyed {
    /// Its name.
    pub object: &'static str,
    /// Full if any of its lists is read in full; none for a view.
    pub mode: Option<Mode>,
    /// How many lists that are.
    pub lists: usize,
    /// What they take together.
    #[serde(flatten)]
    pub cost: Cost,
    /// What the numbers leave open.
    pub notes: Vec<String>,
}

impl Survey<'_> {
    /// Surveys the objects, in the order of running.
    ///
    /// # Errors
    /// Those of client and store. An object that Kit refuses is noted and is no error.
    pub async fn run(&self) -> Result<Vec<Surveyed>> {
        let mut asked = Asked { survey: self, listed: HashMap::new() };
        let mut all = Vec::with_capacity(self.objects.len());
        for &object in self.objects {
            all.push(asked.object(object).await.map_err(|error| error.about(object.name))?);
        }
        Ok(all)
    }
}

/// The survey under way, with the lists that were read for it.
struct Asked<'s> {
    survey: &'s Survey<'s>,
    listed: HashMap<&'static str, Vec<Listed>>,
}

/// A record of a list whose records have lists of their own.
#[derive(Debug, Clone, Copy)]
struct Listed {
    id: i64,
    members: Option<u64>,
}

impl Asked<'_> {
    async fn object(&mut self, object: &'static Object) -> Result<Surveyed> {
        let mut surveyed =
            Surveyed { object: object.name, mode: None, lists: 0, cost: Cost::default(), notes: Vec::new() };
        match self.passes(object, &mut surveyed).await {
            Ok(()) => Ok(surveyed),
            Err(error) if error.kind() == Kind::SourceRefused => {
                surveyed.cost = Cost { requests: 1, ..Cost::default() };
                surveyed.notes.push(format!("Kit refuses it, and it will be left out: {}", error.one_line()));
                Ok(surveyed)
            }
            Err(error) => Err(error),
        }
    }

    async fn passes(&mut self, object: &'static Object, surveyed: &mut Surveyed) -> Result<()> {
        let Some(mut plan) = self.plan(object).await? else {
            surveyed.notes.push(format!("a view of {}, no requests of its own", object.table));
            return Ok(());
        };
        let counted = matches!(plan.endpoint.paging, Paging::Cursor { .. });
        if let Some(parent) = object.parent().filter(|_| counted && plan.mode == Mode::Full) {
            // The list of the parents tells the sizes of theirs, and parents the mirror does not know yet.
            self.list(parent).await?;
            plan = self.plan(object).await?.unwrap_or(plan);
        }
        surveyed.lists = plan.partitions.len();
        surveyed.mode = Some(Mode::Incremental);
        let mut resumed = 0;
        for partition in &plan.partitions {
            let terms = Terms {
                object,
                endpoint: plan.endpoint,
                version: self.survey.kit.version(),
                partition: &partition.partition,
                fingerprint: &plan.fingerprint,
                overlap: self.survey.overlap,
                now: self.survey.kit.source_now(),
                full: partition.full,
            };
            let pass = Pass::open(&terms, partition.state.as_ref());
            resumed += u64::from(pass.is_resumed());
            if pass.mode() == Mode::Full {
                surveyed.mode = Some(Mode::Full);
            }
            surveyed.cost = surveyed.cost + self.pass(&plan, partition, &pass).await?;
        }
        self.remark(object, &plan, resumed, surveyed);
        Ok(())
    }

    /// The plan the run will make, without what it writes on the way.
    async fn plan(&mut self, object: &'static Object) -> Result<Option<ObjectPlan>> {
        let mut states = Vec::new();
        let mut full = self.survey.full;
        if let Some(store) = self.survey.store {
            states = store.states(object).await?;
            full |= emptied_tables(store).await?.contains(&object.table);
        }
        if full && !states.iter().any(|state| state.partition.is_empty()) {
            states.push(State::default());
        }
        if let Some(whole) = states.iter_mut().find(|state| full && state.partition.is_empty()) {
            // By our own clock, as the run would note it.
            whole.full_requested_at.get_or_insert(Time::from(SystemTime::now()));
        }
        let parents = match object.parent() {
            Some(parent) => self.parents(parent).await?,
            None => Vec::new(),
        };
        Ok(plan::object(object, self.survey.kit.version(), states, &parents))
    }

    async fn parents(&mut self, parent: &'static Object) -> Result<Vec<i64>> {
        let mut ids = Vec::new();
        if let Some(store) = self.survey.store
            && !self.survey.full
            && !self.listed.contains_key(parent.name)
        {
            ids = store.ids(parent).await?;
        }
        if ids.is_empty() {
            ids = self.list(parent).await?.iter().map(|parent| parent.id).collect();
        }
        Ok(ids)
    }

    async fn pass(&mut self, plan: &ObjectPlan, partition: &PartitionPlan, pass: &Pass) -> Result<Cost> {
        if let (true, (Some(total), read)) = (pass.is_resumed(), pass.extent()) {
            let rows = total.saturating_sub(read);
            return Ok(Cost {
                requests: super::whole(plan.endpoint, rows),
                rows,
                certainty: Certainty::About,
            });
        }
        match (pass.mode(), &partition.state, self.survey.store) {
            (Mode::Incremental, Some(state), Some(store)) => fresh(plan, state, self.survey, store).await,
            _ => match self.whole(plan, &partition.partition).await {
                // Deleted since its parent was listed: the run finds that out with a request, too.
                Err(error) if error.kind() == Kind::SourceNotFound => {
                    Ok(Cost { requests: 1, ..Cost::default() })
                }
                sized => {
                    let (rows, certainty) = sized?;
                    Ok(Cost { requests: super::whole(plan.endpoint, rows), rows, certainty })
                }
            },
        }
    }

    /// The rows of all of a list.
    async fn whole(&mut self, plan: &ObjectPlan, partition: &str) -> Result<(u64, Certainty)> {
        let (object, endpoint) = (plan.object, plan.endpoint);
        let rows = match endpoint.paging {
            Paging::Single => self.list(object).await?.len() as u64,
            Paging::Numbered { totals: true } => self.total(endpoint, partition, endpoint.paging).await?,
            Paging::Numbered { totals: false } => self.counted(endpoint, partition).await?,
            Paging::Cursor { per_page } => {
                let has_children = self
                    .survey
                    .objects
                    .iter()
                    .any(|child| child.parent().is_some_and(|p| p.name == object.name));
                if has_children {
                    return Ok((self.list(object).await?.len() as u64, Certainty::Exact));
                }
                if let Some(members) = self.members(object, partition)
                    && fits_on_a_page(members, per_page)
                {
                    return Ok((members, Certainty::About));
                }
                self.total(endpoint, partition, Paging::Cursor { per_page: 1 }).await?
            }
        };
        Ok((rows, Certainty::Exact))
    }

    /// How many members Kit counts in one parent's list.
    fn members(&self, object: &Object, partition: &str) -> Option<u64> {
        let parents = self.listed.get(object.parent()?.name)?;
        let id: i64 = partition.parse().ok()?;
        parents.iter().find(|parent| parent.id == id)?.members
    }

    /// What a list says about its own length.
    async fn total(&self, endpoint: &Endpoint, partition: &str, paging: Paging) -> Result<u64> {
        let page = self.page(endpoint, partition, paging, Position::First).await?;
        let pages = match page.place {
            Place::Numbered { total_pages } => total_pages,
            Place::Whole | Place::Cursor { .. } => None,
        };
        page.total.or(pages.map(|pages| pages * u64::from(V3_PER_PAGE))).ok_or_else(|| {
            Error::new(
                Kind::SourceShape,
                format!("{} does not say how long it is", endpoint.path_for(partition)),
            )
        })
    }

    /// Counts a list that says nothing about its length, page by page.
    async fn counted(&self, endpoint: &Endpoint, partition: &str) -> Result<u64> {
        let (mut rows, mut number, mut before) = (0, 1, None);
        loop {
            let page = self.page(endpoint, partition, endpoint.paging, Position::Number(number)).await?;
            let first = page.records().next().map(str::to_owned);
            if first.is_none() || first == before {
                // Behind the end, or a source that ignores page numbers and shows the same one again.
                return Ok(rows);
            }
            rows += page.records().len() as u64;
            if page.records().len() < usize::from(V3_PER_PAGE) {
                return Ok(rows);
            }
            (number, before) = (number + 1, first);
        }
    }

    /// Reads all of a list of parents, once.
    async fn list(&mut self, object: &'static Object) -> Result<&[Listed]> {
        if !self.listed.contains_key(object.name) {
            let records = match object.endpoint(self.survey.kit.version()) {
                Some(endpoint) => self.read(endpoint).await?,
                None => Vec::new(),
            };
            self.listed.insert(object.name, records);
        }
        Ok(self.listed.get(object.name).map_or(&[], Vec::as_slice))
    }

    async fn read(&self, endpoint: &Endpoint) -> Result<Vec<Listed>> {
        let mut records = Vec::new();
        let mut position = Position::First;
        loop {
            let page = self.page(endpoint, "", endpoint.paging, position.clone()).await?;
            records.extend(page.records().filter_map(listed));
            match page.place {
                Place::Cursor { next: Some(cursor) } if position != Position::After(cursor.clone()) => {
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
        let request = PageRequest {
            path: endpoint.path_for(partition),
            list: endpoint.list,
            paging,
            query: endpoint.query.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            position,
            with_total: paging == Paging::Cursor { per_page: 1 },
        };
        self.survey.kit.page(&request, self.survey.meter).await
    }

    fn remark(&self, object: &Object, plan: &ObjectPlan, resumed: u64, surveyed: &mut Surveyed) {
        let mut note = |text: String| surveyed.notes.push(text);
        if resumed > 0 {
            note(format!("goes on with {resumed} unfinished pass{}", if resumed == 1 { "" } else { "es" }));
        }
        if plan.partitions.is_empty()
            && let Some(parent) = object.parent()
        {
            note(format!("there are no {} yet", parent.name));
        }
        if plan.endpoint.hidden.is_some() && !self.survey.lists_show_everybody && !plan.partitions.is_empty()
        {
            note(format!(
                "should Kit hide people who are not active here, one more request per list and page of them \
                 ({} at least)",
                plan.partitions.len()
            ));
        }
    }
}

/// What is new in a list the mirror knows, without asking Kit.
async fn fresh(plan: &ObjectPlan, state: &State, survey: &Survey<'_>, store: &Store) -> Result<Cost> {
    let rows = u64::try_from(state.rows).unwrap_or(0);
    let parent = state.partition.parse().ok();
    let again = match state.watermark {
        Some(watermark) => {
            let since = time::start_of(time::day_before(watermark, survey.overlap));
            store.count_since(plan.object, parent, since).await?
        }
        None => 0,
    };
    let read_whole = plan.endpoint.fresh.is_empty();
    Ok(Cost {
        requests: super::fresh(plan.endpoint, rows.max(again), again),
        rows: if read_whole { rows } else { again },
        certainty: Certainty::AtLeast,
    })
}

/// Kit's count of members may leave out those who are not active. Up to three tenths of a page, the list
/// is taken to fit on one all the same; above, it is asked itself.
fn fits_on_a_page(members: u64, per_page: u16) -> bool {
    members * 10 <= u64::from(per_page) * 3
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
    fn a_count_that_may_be_of_active_people_only_decides_up_to_three_tenths_of_a_page() {
        assert!(fits_on_a_page(0, 1000) && fits_on_a_page(300, 1000));
        assert!(!fits_on_a_page(301, 1000) && !fits_on_a_page(950, 1000));
    }

    #[test]
    fn a_parent_without_a_count_is_listed_all_the_same() {
        let parent = listed(r#"{"id": 7, "name": "x", "subscriber_count": 12}"#).unwrap();
        assert_eq!((parent.id, parent.members), (7, Some(12)));
        assert_eq!(listed(r#"{"id": 7, "subscriber_count": null}"#).unwrap().members, None);
        assert!(listed(r#"{"name": "x"}"#).is_none());
    }
}
