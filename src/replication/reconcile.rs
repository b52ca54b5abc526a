//! Behind a complete reading of everything: which stored rows it did not meet, whether they may be taken for gone,
//! and how that is made sure before they are marked.
//!
//! Nothing is marked unless the walk was complete (`pass`), the rows are older than Kit's lists lag behind, there are
//! not suspiciously many of them, and each is proved gone: by its own 404 where it can be asked for, else by a second
//! reading of the list (reliability.md M37).

use futures_util::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::extractor::{Context, Ended, Reading};
use super::gathered::{Gathered, met};
use super::pass::{Pass, may_leave};
use crate::error::{Error, Kind, Result};
use crate::kit::Meter;
use crate::model::{Gone, Mapping, objects};
use crate::store::{Members, Met, Swept, VanishedSearch};

/// So many rows of a partition may vanish at once without anybody being asked.
const FEW: u64 = 50;
/// Or one row in so many.
const SHARE: u64 = 100;
/// So many of a list's members vanish only with somebody's consent if they are half of them and Kit tells no count.
const MANY: u64 = 10;
/// Ids that are fetched from the database at a time.
const FETCHED: usize = 10_000;
/// Look-ups whose results are committed together: what a crash repeats at most.
const LOOKED_UP: usize = 100;
/// Look-ups that Kit does not answer, while it answers for the account, before the others are put off as well.
const UNANSWERED: u32 = 3;

/// Rows that were not met and are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub count: u64,
    /// Why.
    pub why: String,
}

impl Held {
    /// As an error, for where errors are looked for.
    pub fn error(&self) -> Error {
        let what = format!(
            "{} rows were not found at Kit any more and are left as they are: {}",
            self.count, self.why
        );
        Error::new(Kind::DeletionsHeld, what)
    }
}

/// What a decision is made of.
#[derive(Debug, Clone, Copy)]
struct Facts<'f> {
    /// Live rows that the list should show.
    live: u64,
    /// Of these, rows that were not met.
    vanished: u64,
    /// Rows that were met.
    met: u64,
    /// Members that Kit counts, where it does.
    counted: Option<u64>,
    /// Whether there is nothing by which a row can be asked for.
    needs_second: bool,
    /// Whether the list was read twice.
    second: bool,
    /// Why what was not met may be there all the same.
    doubt: Option<&'f str>,
    /// Somebody has looked and said that they are gone.
    accepted: bool,
}

/// What is done about the rows that were not met.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// There are none.
    Clean,
    /// They are left alone.
    Hold(String),
    /// The list is read once more.
    ReadAgain,
    /// They are marked, each as soon as it is proved gone.
    Mark,
}

fn decide(facts: Facts<'_>) -> Decision {
    let limit = FEW.max(facts.live / SHARE);
    if facts.vanished == 0 {
        return Decision::Clean;
    }
    if facts.vanished > limit && !facts.accepted {
        return Decision::Hold(format!("no more than {limit} of {} rows may vanish at once", facts.live));
    }
    if !facts.needs_second {
        return Decision::Mark;
    }
    if !facts.second {
        return Decision::ReadAgain;
    }
    match (facts.doubt, facts.counted) {
        _ if facts.accepted => Decision::Mark,
        (Some(doubt), _) => Decision::Hold(doubt.to_owned()),
        // A count may be minutes older than the list; for the last percent, or a few, that explains it.
        (None, Some(counted)) if facts.met + may_leave(counted) < counted || facts.met * 2 < counted => {
            Decision::Hold(format!("Kit counts {counted} members and showed {}", facts.met))
        }
        // v3 counts no members: a list that is much smaller all of a sudden may be wrong, twice.
        (None, None) if facts.vanished >= MANY && facts.vanished * 2 >= facts.live => {
            Decision::Hold("that is half of the members or more".to_owned())
        }
        (None, _) => Decision::Mark,
    }
}

/// How the marking ended.
enum Marked {
    /// All are marked or stored, but so many that could not be looked up.
    AllBut(u64),
    /// A stop was asked for.
    Stopped,
}

/// Whether Kit's answer to a look-up says something about that one row, and not about what comes after it.
fn is_about_this_row(kind: Kind) -> bool {
    matches!(kind, Kind::SourceBadRequest | Kind::SourceShape | Kind::SourceTooLarge)
}

impl Context<'_> {
    /// Whether Kit does not answer for one row while it answers for the account. Each such row takes ten minutes, so
    /// there are not to be many.
    async fn is_unanswered(&self, meter: &Meter, kind: Kind, before: &mut u32) -> bool {
        if kind != Kind::SourceUnavailable || *before >= UNANSWERED {
            return false;
        }
        *before += 1;
        self.account(meter).await.is_some_and(|asked| asked.is_ok())
    }
}

impl Reading<'_> {
    /// Looks for what the pass has not met, and marks it where that is safe. Nothing comes back when the list has to
    /// be read once more.
    pub(super) async fn sweep(
        &mut self,
        pass: &mut Pass,
        mapping: &Mapping<'_>,
        gathered: &mut Gathered,
    ) -> Result<Option<Ended>> {
        let object = self.plan.object;
        let met = if self.unwritten {
            Met::from_iter(met(&gathered.batch, object))
        } else {
            self.commit(pass, gathered).await?;
            self.cx.store.met(object, &self.partition.partition).await?
        };
        let met = Arc::new(met);
        let found = self.cx.store.vanished(self.search(pass), Arc::clone(&met)).await?;
        let needs_second = matches!(self.plan.endpoint.gone, Gone::SecondReading);
        let facts = Facts {
            live: found.live,
            vanished: found.count,
            met: met.count(),
            counted: match (found.count, needs_second) {
                (0, _) | (_, false) => None,
                // v3 does not count; what is stored is of another time.
                _ if self.partition.counted.is_none() => None,
                _ => self.cx.store.counted(object, &self.partition.partition).await?,
            },
            needs_second,
            second: pass.reading().second,
            doubt: pass.reading().doubt.as_deref(),
            accepted: self.cx.accept_deletions,
        };
        match decide(facts) {
            Decision::Clean => self.finish_without_the_deleted(pass, gathered, &met).await,
            Decision::Hold(why) => {
                let held = Held { count: found.count, why };
                tracing::warn!(
                    object.name = object.name,
                    object.partition = self.partition.partition,
                    "{}",
                    held.error()
                );
                self.brought.held = Some(held);
                self.finish(pass, gathered, Swept::Held(found.count)).await
            }
            Decision::ReadAgain => {
                self.commit(pass, gathered).await?;
                gathered.is_at(pass.read_again());
                self.commit(pass, gathered).await?;
                Ok(None)
            }
            Decision::Mark => {
                self.commit(pass, gathered).await?;
                match self.mark(pass, mapping, gathered, &met).await? {
                    Marked::Stopped => Ok(Some(Ended::Stopped)),
                    Marked::AllBut(0) => self.finish_without_the_deleted(pass, gathered, &met).await,
                    Marked::AllBut(count) => {
                        self.brought.held = Some(Held { count, why: "they cannot be looked up".to_owned() });
                        self.finish(pass, gathered, Swept::Held(count)).await
                    }
                }
            }
        }
    }

    async fn finish(&mut self, pass: &Pass, gathered: &mut Gathered, swept: Swept) -> Result<Option<Ended>> {
        gathered.is_at(pass.finish(swept));
        self.commit(pass, gathered).await?;
        Ok(Some(Ended::Complete))
    }

    /// Finishes with nothing held back. A list that may hide people says nothing of those who are out of sight: they are
    /// there, or deleted, and nobody notices. Some of them are asked for one by one, others by the next reconcile; where
    /// that does not work, or somebody asks us to stop, it is no reason to keep the list from being complete.
    async fn finish_without_the_deleted(
        &mut self,
        pass: &Pass,
        gathered: &mut Gathered,
        met: &Arc<Met>,
    ) -> Result<Option<Ended>> {
        let person = objects::SUBSCRIBERS.endpoint(self.cx.kit.version()).map(|endpoint| &endpoint.gone);
        if let (true, Some(Gone::Record(detail))) = (self.may_hide_people(), person) {
            let search =
                VanishedSearch { people: Members::OutOfSight, most: usize::MAX, ..self.search(pass) };
            let mut ids = self.cx.store.vanished(search, Arc::clone(met)).await?.ids;
            fastrand::shuffle(&mut ids);
            for id in ids {
                let one_less = |left: u64| left.checked_sub(1);
                if self.cx.look_ups_left.fetch_update(Relaxed, Relaxed, one_less).is_err() {
                    break;
                }
                let looked_up = tokio::select! {
                    biased;
                    () = self.cx.stop.requested() => break,
                    looked_up = self.cx.kit.record(detail, id, self.meter) => looked_up,
                };
                match looked_up {
                    Ok(None) => gathered.gone.push(id),
                    Ok(Some(_)) => {}
                    Err(error) => {
                        tracing::debug!("{id} could not be looked up: {}", error.one_line());
                        break;
                    }
                }
            }
        }
        self.finish(pass, gathered, Swept::Clean).await
    }

    fn may_hide_people(&self) -> bool {
        self.plan.endpoint.may_hide_people(self.cx.plain_lists_show_everybody.load(Relaxed))
    }

    /// Which rows are looked for; without their ids, only counted.
    fn search(&self, pass: &Pass) -> VanishedSearch {
        let endpoint = self.plan.endpoint;
        VanishedSearch {
            object: self.plan.object,
            partition: self.partition.partition.clone(),
            only: endpoint.shows_only,
            people: Members::of_a_list(self.may_hide_people()),
            before: pass.reading().opened_at - self.cx.visibility_lag,
            after: i64::MIN,
            most: 0,
        }
    }

    /// Marks what is proved gone, and stores what turns out to be there. When a stop is asked for first, the next run
    /// goes on from what is marked. A row that Kit has no usable answer for is left alone, and keeps nobody waiting.
    async fn mark(
        &mut self,
        pass: &Pass,
        mapping: &Mapping<'_>,
        gathered: &mut Gathered,
        met: &Arc<Met>,
    ) -> Result<Marked> {
        let mut left = 0;
        let mut unanswered = 0;
        let mut search = VanishedSearch { most: FETCHED, ..self.search(pass) };
        loop {
            let found = self.cx.store.vanished(search.clone(), Arc::clone(met)).await?;
            let Some(last) = found.ids.last().copied() else { return Ok(Marked::AllBut(left)) };
            for mut ids in found.ids.chunks(LOOKED_UP) {
                while !ids.is_empty() {
                    let looked_up = tokio::select! {
                        biased;
                        () = self.cx.stop.requested() => return Ok(Marked::Stopped),
                        looked_up = look_up(self.cx, &self.plan.endpoint.gone, ids, self.meter) => looked_up,
                    };
                    let (these, others) = ids.split_at(looked_up.len());
                    for (id, found) in these.iter().zip(looked_up) {
                        match found {
                            Ok(Found::Record(record)) => {
                                gathered.batch.join(mapping.rows(std::iter::once(record.as_str())));
                            }
                            Ok(Found::Something) => {}
                            Ok(Found::Nothing) => gathered.gone.push(*id),
                            Err(error)
                                if is_about_this_row(error.kind())
                                    || self
                                        .cx
                                        .is_unanswered(self.meter, error.kind(), &mut unanswered)
                                        .await =>
                            {
                                tracing::warn!(
                                    object.name = self.plan.object.name,
                                    "{id} is left as it is: {}",
                                    error.one_line()
                                );
                                left += 1;
                            }
                            Err(error) => {
                                gathered.is_at(pass.position());
                                self.commit(pass, gathered).await?;
                                return Err(error);
                            }
                        }
                    }
                    ids = others;
                }
                gathered.is_at(pass.position());
                self.commit(pass, gathered).await?;
            }
            search.after = last;
        }
    }
}

/// What a look-up has found.
enum Found {
    Record(String),
    /// It is there; what it is was not asked.
    Something,
    Nothing,
}

/// Asks for rows that were not met, several at once: all of them, or those up to the first of which nothing is known
/// and that has something to say about the others as well.
async fn look_up(cx: &Context<'_>, gone: &Gone, ids: &[i64], meter: &Meter) -> Vec<Result<Found>> {
    let asked = futures_util::stream::iter(ids.to_vec()).map(|id| async move {
        match gone {
            Gone::Record(detail) => {
                let record = cx.kit.record(detail, id, meter).await?;
                Ok(record.map_or(Found::Nothing, Found::Record))
            }
            Gone::OwnList(path) => {
                let is_there = cx.kit.is_there(&path.replace("{id}", &id.to_string()), meter).await?;
                Ok(if is_there { Found::Something } else { Found::Nothing })
            }
            Gone::SecondReading => Ok(Found::Nothing),
        }
    });
    let mut asked = std::pin::pin!(asked.buffered(cx.kit.limiter().in_flight()));
    let mut found = Vec::with_capacity(ids.len());
    while let Some(one) = asked.next().await {
        let goes_on = one.as_ref().err().is_none_or(|error: &Error| is_about_this_row(error.kind()));
        found.push(one);
        if !goes_on {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        live: 1000,
        vanished: 3,
        met: 997,
        counted: None,
        needs_second: false,
        second: false,
        doubt: None,
        accepted: false,
    };

    fn held(facts: Facts<'_>) -> bool {
        matches!(decide(facts), Decision::Hold(_))
    }

    /// M37.
    #[test]
    fn more_than_fifty_and_one_percent_are_not_marked_unless_somebody_says_so() {
        assert_eq!(decide(Facts { vanished: 50, ..FACTS }), Decision::Mark);
        assert!(held(Facts { vanished: 51, ..FACTS }));
        assert!(held(Facts { vanished: 101, live: 10_099, ..FACTS }));
        assert_eq!(decide(Facts { vanished: 101, live: 10_100, ..FACTS }), Decision::Mark);
        assert_eq!(decide(Facts { vanished: 1000, accepted: true, ..FACTS }), Decision::Mark);
    }

    /// M37.
    #[test]
    fn what_cannot_be_asked_for_is_marked_after_a_second_reading_without_doubt() {
        let facts = Facts { needs_second: true, ..FACTS };
        assert_eq!(decide(facts), Decision::ReadAgain);
        assert_eq!(decide(Facts { second: true, ..facts }), Decision::Mark);
        assert!(held(Facts { second: true, doubt: Some("short"), ..facts }));
        assert_eq!(
            decide(Facts { second: true, doubt: Some("short"), accepted: true, ..facts }),
            Decision::Mark
        );
        assert_eq!(decide(Facts { vanished: 0, doubt: Some("short"), ..facts }), Decision::Clean);
    }

    /// M37: an empty or halved answer for a parent whose count says otherwise.
    #[test]
    fn a_list_with_fewer_members_than_kit_counts_is_not_believed() {
        let facts = Facts { needs_second: true, second: true, live: 40, vanished: 40, met: 0, ..FACTS };
        assert!(held(Facts { counted: Some(40), ..facts }));
        assert!(held(Facts { counted: Some(40), vanished: 20, met: 20, ..facts }));
        assert_eq!(decide(Facts { counted: Some(0), ..facts }), Decision::Mark);
        // What left between two looks is no reason, nor is a count that lags behind.
        for (counted, met, is_held) in [
            (20, 17, false),
            (20, 16, true),
            (1_000, 990, false),
            (1_000, 989, true),
            (3, 0, true),
            (1, 0, true),
            (2, 1, false),
        ] {
            let facts =
                Facts { counted: Some(counted), live: counted, vanished: counted - met, met, ..facts };
            assert_eq!(held(facts), is_held, "{counted} counted, {met} met");
        }
        assert!(held(Facts { counted: None, ..facts }));
        assert_eq!(decide(Facts { live: 40, vanished: 9, met: 31, ..facts }), Decision::Mark);
        assert_eq!(
            decide(Facts { counted: Some(200), live: 202, vanished: 3, met: 199, ..facts }),
            Decision::Mark
        );
    }
}
