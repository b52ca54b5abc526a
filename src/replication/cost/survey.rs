//! How large the next passes are: from the mirror where it knows, from Kit where it does not, in as few
//! requests as that takes. Writes nothing.

use serde::Serialize;

use super::lists::{Listed, Lists};
use super::{Certainty, Cost};
use crate::error::{Kind, Result};
use crate::kit::{KitClient, Meter};
use crate::model::{ApiVersion, Object, Paging, time};
use crate::replication::emptied_tables;
use crate::replication::pass::{Pass, Terms};
use crate::replication::plan::{self, Mode, ObjectPlan, Parent, PartitionPlan, Stillness};
use crate::store::{State, Store, Whole};

/// What the next run over some objects is asked about.
pub struct Survey<'s> {
    /// The door to Kit.
    pub kit: &'s KitClient,
    /// The mirror, if there is one.
    pub store: Option<&'s Store>,
    /// The objects, in the order of running; parents are among them.
    pub objects: &'s [&'static Object],
    /// Whether everything is to be read again, and what for.
    pub whole: Option<Whole>,
    /// How far behind the watermark incremental passes begin.
    pub overlap: chrono::TimeDelta,
    /// For how long Kit's lists may not show what is there.
    pub visibility_lag: chrono::TimeDelta,
    /// How long a list of members whose count at Kit does not move may be left out.
    pub member_recheck: chrono::TimeDelta,
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
    /// Requests of the longest of them that come one after the other.
    pub longest: u64,
    /// What the numbers leave open.
    pub notes: Vec<String>,
}

impl Survey<'_> {
    /// Surveys the objects, in the order of running.
    ///
    /// # Errors
    /// Those of client and store. An object that Kit refuses is noted and is no error.
    pub async fn run(&self) -> Result<Vec<Surveyed>> {
        let emptied = match self.store {
            Some(store) => emptied_tables(store).await?,
            None => Vec::new(),
        };
        let mut work = Work { survey: self, emptied, lists: Lists::new(self.kit, self.meter) };
        let mut all = Vec::with_capacity(self.objects.len());
        for &object in self.objects {
            all.push(work.object(object).await.map_err(|error| error.about(object.name))?);
        }
        Ok(all)
    }
}

/// The survey under way.
struct Work<'s> {
    survey: &'s Survey<'s>,
    /// Tables that have to be loaded again.
    emptied: Vec<&'static str>,
    lists: Lists<'s>,
}

impl Work<'_> {
    async fn object(&mut self, object: &'static Object) -> Result<Surveyed> {
        let mut surveyed = Surveyed {
            object: object.name,
            mode: None,
            lists: 0,
            cost: Cost::default(),
            longest: 0,
            notes: Vec::new(),
        };
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
            surveyed.notes.push(format!("a view of {}, without requests of its own", object.table));
            return Ok(());
        };
        if let Some(parent) = object.parent()
            && matches!(plan.endpoint.paging, Paging::Cursor { .. })
            && plan.mode >= Mode::Full
        {
            // The list of the parents tells the sizes of theirs, and parents the mirror does not know yet.
            self.lists.all(parent).await?;
            plan = self.plan(object).await?.unwrap_or(plan);
        }
        surveyed.lists = plan.partitions.len();
        surveyed.mode = Some(plan.mode);
        let mut resumed = 0;
        for partition in &plan.partitions {
            let pass = self.open(&plan, partition);
            resumed += u64::from(pass.is_resumed());
            let cost = self.pass(&plan, partition, &pass).await?;
            surveyed.longest = surveyed.longest.max(cost.requests.div_ceil(pass.ends(cost.rows)));
            surveyed.cost = surveyed.cost + cost;
        }
        self.remark(&plan, resumed, surveyed);
        Ok(())
    }

    /// The plan the run will make, without what it writes on the way.
    async fn plan(&mut self, object: &'static Object) -> Result<Option<ObjectPlan>> {
        let mut states = match self.survey.store {
            Some(store) => store.states(object).await?,
            None => Vec::new(),
        };
        let now = time::now();
        let day_ago = now - chrono::TimeDelta::days(1);
        let emptied = self.emptied.contains(&object.table).then_some(Whole::Load);
        for requested in [self.survey.whole, emptied].into_iter().flatten() {
            if !states.iter().any(|state| state.partition.is_empty()) {
                states.push(State::default());
            }
            for state in states.iter_mut().filter(|state| state.partition.is_empty()) {
                let requested_at = match requested {
                    Whole::Load => &mut state.full_requested_at,
                    Whole::Reconcile => &mut state.reconcile_requested_at,
                };
                // As the run will: one that was asked for long ago does not stand in for it.
                *requested_at = requested_at.filter(|at| *at >= day_ago).or(Some(now));
            }
        }
        let parents = match object.parent() {
            Some(parent) => self.parents(parent).await?,
            None => Vec::new(),
        };
        let version = self.survey.kit.version();
        // By the counts of the last run; what has moved since is not known before the parents are listed.
        let still = Stillness {
            now: time::now(),
            visibility_lag: self.survey.visibility_lag,
            member_recheck: self.survey.member_recheck,
        };
        let still = (version == ApiVersion::V4 && self.survey.whole.is_none()).then_some(still);
        Ok(plan::object(object, version, states, &parents, still))
    }

    async fn parents(&mut self, parent: &'static Object) -> Result<Vec<Parent>> {
        if let Some(store) = self.survey.store
            && self.survey.whole.is_none()
            && !self.lists.is_read(parent)
        {
            let stored = store.parents(parent).await?;
            if !stored.is_empty() {
                return Ok(stored.into_iter().map(|(id, counted)| Parent { id, counted }).collect());
            }
        }
        let counted = |listed: &Listed| listed.members.and_then(|members| i64::try_from(members).ok());
        let listed = self.lists.all(parent).await?.iter();
        Ok(listed.map(|listed| Parent { id: listed.id, counted: counted(listed) }).collect())
    }

    fn open(&self, plan: &ObjectPlan, partition: &PartitionPlan) -> Pass {
        let terms = Terms {
            object: plan.object,
            endpoint: plan.endpoint,
            version: self.survey.kit.version(),
            partition: &partition.partition,
            fingerprint: &plan.fingerprint,
            overlap: self.survey.overlap,
            now: self.survey.kit.source_now(),
            opened_at: time::now(),
            asked: partition.asked,
            counted: None,
        };
        Pass::open(&terms, partition.state.as_ref())
    }

    async fn pass(&mut self, plan: &ObjectPlan, partition: &PartitionPlan, pass: &Pass) -> Result<Cost> {
        if let (true, (Some(total), read)) = (pass.is_resumed(), pass.extent()) {
            return Ok(whole(plan, total.saturating_sub(read), Certainty::About));
        }
        if let (Mode::Incremental, Some(state), Some(store)) =
            (partition.mode(&plan.fingerprint), &partition.state, self.survey.store)
        {
            return fresh(plan, state, self.survey, store).await;
        }
        match self.size(plan, &partition.partition).await {
            Ok((rows, certainty)) => Ok(whole(plan, rows, certainty)),
            // Deleted since its parent was listed: the run finds that out with a request, too.
            Err(error) if error.kind() == Kind::SourceNotFound => Ok(Cost { requests: 1, ..Cost::default() }),
            Err(error) => Err(error),
        }
    }

    /// The rows of all of a list.
    async fn size(&mut self, plan: &ObjectPlan, partition: &str) -> Result<(u64, Certainty)> {
        let (object, endpoint) = (plan.object, plan.endpoint);
        let has_children = || {
            let parents = self.survey.objects.iter().filter_map(|child| child.parent());
            parents.into_iter().any(|parent| parent.name == object.name)
        };
        let rows = match endpoint.paging {
            Paging::Single => self.lists.all(object).await?.len() as u64,
            // It has to be read for its children anyway.
            Paging::Cursor { .. } if has_children() => self.lists.all(object).await?.len() as u64,
            Paging::Numbered { totals: false } => self.lists.count(endpoint, partition).await?,
            Paging::Numbered { totals: true } => self.lists.total(endpoint, partition).await?,
            Paging::Cursor { per_page } => {
                let members = object.parent().and_then(|parent| self.lists.members(parent, partition));
                if let Some(members) = members.filter(|members| fits_on_a_page(*members, per_page)) {
                    return Ok((members, Certainty::About));
                }
                self.lists.total(endpoint, partition).await?
            }
        };
        Ok((rows, Certainty::Exact))
    }

    fn remark(&self, plan: &ObjectPlan, resumed: u64, surveyed: &mut Surveyed) {
        let lists = plan.partitions.len();
        if resumed > 0 {
            let passes = if resumed == 1 {
                "one unfinished pass".to_owned()
            } else {
                format!("{resumed} unfinished passes")
            };
            surveyed.notes.push(format!("goes on with {passes}"));
        }
        if let (0, Some(parent)) = (lists, plan.object.parent()) {
            surveyed.notes.push(format!("there are no {} yet", parent.name));
        }
        if plan.endpoint.hidden.is_some() && !self.survey.lists_show_everybody && lists > 0 {
            surveyed
                .notes
                .push(format!("{lists} or more requests on top, should Kit hide cancelled people here"));
        }
    }
}

fn whole(plan: &ObjectPlan, rows: u64, certainty: Certainty) -> Cost {
    Cost { requests: super::whole(plan.endpoint, rows), rows, certainty }
}

/// What is new in a list the mirror knows, without asking Kit.
async fn fresh(plan: &ObjectPlan, state: &State, survey: &Survey<'_>, store: &Store) -> Result<Cost> {
    let rows = u64::try_from(state.rows).unwrap_or(0);
    let Some(watermark) = state.watermark else {
        // It was empty, so there is nothing to be newer than: all of it is read.
        return Ok(whole(plan, rows, Certainty::AtLeast));
    };
    let since = time::start_of(time::day_before(watermark, survey.overlap));
    let again = store.count_since(plan.object, state.partition.parse().ok(), since).await?;
    Ok(Cost {
        requests: super::fresh(plan.endpoint, rows.max(again), again),
        rows: if plan.endpoint.fresh.is_empty() { rows } else { again },
        certainty: Certainty::AtLeast,
    })
}

/// Kit's count of members may leave out those who are not active. Up to three tenths of a page, the list
/// is taken to fit on one all the same; above, it is asked itself.
fn fits_on_a_page(members: u64, per_page: u16) -> bool {
    members * 10 <= u64::from(per_page) * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{Auth, ClientSettings};
    use crate::model::{ApiVersion, objects};
    use crate::replication::{self, Context, Request, Silent, Stop};
    use crate::simulator::{AccountPlan, Simulator, V3_SECRET, V4_KEY};
    use crate::store::{Access, Place};
    use std::sync::atomic::{AtomicBool, AtomicU64};

    #[test]
    fn a_count_that_may_be_of_active_people_only_decides_up_to_three_tenths_of_a_page() {
        assert!(fits_on_a_page(0, 1000) && fits_on_a_page(300, 1000));
        assert!(!fits_on_a_page(301, 1000) && !fits_on_a_page(950, 1000));
    }

    async fn planned(kit: &KitClient, store: Option<&Store>, whole: Option<Whole>) -> u64 {
        let survey = Survey {
            kit,
            store,
            objects: &objects::ALL,
            whole,
            overlap: chrono::TimeDelta::hours(24),
            visibility_lag: chrono::TimeDelta::zero(),
            member_recheck: chrono::TimeDelta::hours(24),
            lists_show_everybody: true,
            meter: &Meter::default(),
        };
        survey.run().await.unwrap().iter().map(|surveyed| surveyed.cost.requests).sum()
    }

    async fn taken(kit: &KitClient, store: &Store, whole: Option<Whole>) -> u64 {
        let cx = Context {
            kit,
            store,
            observer: &Silent,
            stop: &Stop::default(),
            permits: &replication::Permits::new(4),
            job: None,
            overlap: chrono::TimeDelta::hours(24),
            visibility_lag: chrono::TimeDelta::zero(),
            member_recheck: chrono::TimeDelta::hours(24),
            accept_deletions: false,
            plain_lists_show_everybody: &AtomicBool::new(true),
            look_ups_left: &AtomicU64::new(0),
        };
        let request = Request { whole, ..Request::of(objects::ALL.to_vec()) };
        let report = replication::run(&cx, &request).await;
        assert!(report.is_complete(), "{report:?}");
        report.total().requests
    }

    #[tokio::test]
    async fn a_plan_names_just_the_requests_that_the_run_then_takes() {
        for version in ApiVersion::ALL {
            let sizes = [0, 49, 50, 51, 1000, 1001];
            let plan = AccountPlan::new(2000).tags(sizes.len()).tag_sizes(sizes).broadcasts(100);
            let simulator = Simulator::new(plan);
            simulator.set_limit(None);
            let serving = simulator.serve_locally().await.unwrap();
            let (base_url, auth) = match version {
                ApiVersion::V3 => (serving.v3_url(), Auth::V3Secret(V3_SECRET.to_owned().into())),
                ApiVersion::V4 => (serving.v4_url(), Auth::V4Key(V4_KEY.to_owned().into())),
            };
            let settings = ClientSettings { base_url, auth, requests_per_minute: 1_000_000 };
            let kit = KitClient::new(settings).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("mirror.db").display());
            let expected = planned(&kit, None, None).await;
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

            let store = Store::open(&Place::of(&url, None).unwrap(), Access::Create).await.unwrap();
            store.migrate().await.unwrap();
            store.acquire_lease(&crate::store::owner()).await.unwrap().unwrap();
            assert_eq!(taken(&kit, &store, None).await, expected, "the first load of {version}");
            for whole in [Whole::Load, Whole::Reconcile] {
                assert_eq!(planned(&kit, Some(&store), Some(whole)).await, expected, "{version}, {whole:?}");
                assert_eq!(taken(&kit, &store, Some(whole)).await, expected, "{version}, {whole:?}");
            }
            let before = simulator.request_count();
            let expected = planned(&kit, Some(&store), None).await;
            assert_eq!(simulator.request_count(), before, "the mirror of {version} knows enough");
            assert_eq!(taken(&kit, &store, None).await, expected, "what is new in {version}");
        }
    }
}
