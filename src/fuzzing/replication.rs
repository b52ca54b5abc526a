//! A pass over a list that lies. A child of `replication`.

use chrono::TimeDelta;

use super::pass::{End, Pass, Seen, Terms, Turn};
use super::plan::Mode;
use crate::error::{Error, Kind};
use crate::fuzzing::Bytes;
use crate::kit::Following;
use crate::model::{ApiVersion, Mapping, Object, Paging, Time, objects, time};
use crate::store::{Progress, State, Swept};

/// Answers in a script at most.
const ANSWERS: usize = 48;
/// Walks of a pass: two or three kinds of question, each perhaps through the whole list instead, each once more the
/// other way round, each for people who may be hidden; and the beginnings again that Kit can bring about.
const WALKS: usize = 4 * 2 * 2 * 2 + 4;
/// Answers that a script has before it repeats itself, each with as many empty ones as are borne, and those it takes
/// to notice.
const PAGES_OF_A_WALK: usize = 11 * (ANSWERS + 12);

/// One answer.
struct Answer {
    following: Following,
    total: Option<u64>,
    served_at: Time,
    records: Vec<String>,
    known: Option<usize>,
    others: bool,
    /// It is that to the far end, where that is asked.
    far: bool,
    /// Kit does not accept the place instead.
    refused: bool,
    /// The process dies behind it.
    death: bool,
}

/// Whatever the pages of a list say, over and over again: the pass comes to an end or refuses the list, its watermark
/// is never beyond the source's clock at its first page, and a process that dies goes on where it was.
pub fn pagination(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let object = objects::ALL[bytes.below(objects::ALL.len())].filled_by();
    let version = ApiVersion::ALL[bytes.below(2)];
    let Some(endpoint) = object.endpoint(version) else { return };
    let partition = if object.parent().is_some() { "42" } else { "" };
    let asked = [Mode::Incremental, Mode::Full, Mode::Reconcile][bytes.below(3)];
    let fingerprint = object.shape(version);
    let begun = bytes.time();
    let mut state = bytes.one_in(2).then(|| State {
        watermark: Some(begun - TimeDelta::minutes(i64::from(bytes.byte()))),
        began_at: bytes.one_in(2).then_some(begun),
        fingerprint: Some(fingerprint.clone()),
        ..State::default()
    });
    let mut script = Vec::new();
    let mut clock = begun;
    while script.len() < ANSWERS && (script.is_empty() || !bytes.is_empty()) {
        script.push(answer(&mut bytes, object, version, endpoint.paging, &mut clock));
    }
    let mut terms = Terms {
        object,
        endpoint,
        version,
        partition,
        fingerprint: &fingerprint,
        overlap: TimeDelta::hours(24),
        now: begun,
        opened_at: begun,
        asked,
        counted: None,
    };
    let mapping = Mapping::new(object, endpoint, version, partition);
    let mut pass = Pass::open(&terms, state.as_ref());
    let mut first_clock = None;
    // A process that dies forgets what it has counted, so a script may do that to it once.
    let (mut deaths, mut pages) = (0, 0);
    for at in 0.. {
        if pass.is_walked() {
            if asked == Mode::Reconcile && !pass.reading().second && script[0].others {
                pass.read_again();
                continue;
            }
            return is_done(&pass.finish(Swept::Clean), first_clock.unwrap_or(begun), first_clock.is_some());
        }
        let answer = &script[at % script.len()];
        if pass.only_hidden_left() && answer.known.is_some() {
            let progress = pass.skip_hidden(answer.served_at);
            if matches!(progress, Progress::Done { .. }) {
                return is_done(&progress, first_clock.unwrap_or(answer.served_at), first_clock.is_some());
            }
            continue;
        }
        let end = if answer.far && pass.wants(End::Far, 1) { End::Far } else { End::Near };
        pages += 1;
        assert!(pages <= 2 * 2 * WALKS * PAGES_OF_A_WALK, "{} does not come to an end", pass.request().path);
        if answer.refused && end == End::Far {
            pass.give_up_far();
            continue;
        }
        if answer.refused {
            let refusal = Error::new(Kind::SourceBadRequest, "400");
            match pass.restart(refusal) {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        assert_eq!(pass.request_at(end).paging, endpoint.paging);
        let batch = mapping.rows(answer.records.iter().map(String::as_str));
        let turn = Turn {
            following: &answer.following,
            total: answer.total,
            served_at: answer.served_at,
            records: answer.records.len(),
            batch: &batch,
            seen: Seen { known: answer.known, others: answer.others },
        };
        let progress = match end {
            End::Near => pass.absorb(&turn),
            End::Far => Ok(pass.absorb_far(&turn)),
        };
        let Ok(progress) = progress else { return };
        first_clock.get_or_insert(answer.served_at);
        match progress {
            Progress::Done { .. } => {
                return is_done(&progress, first_clock.unwrap_or(answer.served_at), true);
            }
            Progress::More { checkpoint } if answer.death && deaths == 0 => {
                deaths += 1;
                state.get_or_insert_default().checkpoint = Some(checkpoint);
                let places = |pass: &Pass| {
                    (!pass.is_walked()).then(|| [End::Near, End::Far].map(|end| pass.request_at(end)))
                };
                let was = places(&pass);
                terms.now = answer.served_at;
                pass = Pass::open(&terms, state.as_ref());
                assert!(pass.is_resumed(), "a checkpoint of this moment is good");
                assert_eq!(was, places(&pass), "it goes on where it was");
            }
            Progress::More { .. } => {}
        }
    }
}

fn is_done(progress: &Progress, first_clock: Time, read: bool) {
    let Progress::Done { watermark, began_at, .. } = progress else { panic!("it is not at its end") };
    assert!(watermark.is_none_or(|mark| mark <= *began_at), "the watermark is beyond the ceiling");
    if read {
        assert_eq!(*began_at, first_clock, "the ceiling is the clock at the first page");
    }
}

fn answer(
    bytes: &mut Bytes<'_>,
    object: &Object,
    version: ApiVersion,
    paging: Paging,
    clock: &mut Time,
) -> Answer {
    let says = bytes.byte();
    let says = |bit: u8| says >> bit & 1 == 1;
    // Clocks of servers behind one name disagree, and go back.
    let tick = bytes.byte();
    *clock += TimeDelta::seconds(i64::from(tick.cast_signed()));
    let following = match paging {
        Paging::Single => Following::Whole,
        Paging::Numbered { totals: false } => Following::Numbered { total_pages: None },
        Paging::Numbered { totals: true } => Following::Numbered {
            total_pages: Some(if says(0) { bytes.number() } else { bytes.below(9) as u64 }),
        },
        Paging::Cursor { .. } => Following::Cursor { next: says(0).then(|| format!("c{}", bytes.byte())) },
    };
    let total = says(1).then(|| if says(2) { bytes.number() } else { u64::from(bytes.byte()) });
    let count = match bytes.byte() {
        many if many >= 250 => 50,
        few => usize::from(few) % 5,
    };
    let same = if count == 50 { Some((bytes.byte(), bytes.byte())) } else { None };
    let records = (0..count)
        .map(|_| {
            let (id, age) = same.unwrap_or_else(|| (bytes.byte(), bytes.byte()));
            record(object, version, id, *clock + TimeDelta::minutes(i64::from(age.cast_signed())))
        })
        .collect();
    let known = says(3).then(|| if says(4) { count } else { 0 });
    let (refused, death) = (says(5) && bytes.one_in(8), says(6) && bytes.one_in(4));
    let far = tick & 1 == 1;
    Answer { following, total, served_at: *clock, records, known, others: says(7), far, refused, death }
}

fn record(object: &Object, version: ApiVersion, id: u8, at: Time) -> String {
    // One in many cannot be read.
    if id == 255 {
        return r#"{"id": null}"#.to_owned();
    }
    let (at, name) = (time::text(at), object.name);
    let time = |member: &str| format!(r#""{member}": "{at}","#);
    let times: String =
        ["created_at", "added_at", "tagged_at", "cancelled_at"].iter().map(|member| time(member)).collect();
    let person = format!(r#""id": {id}, "state": "active""#);
    match version {
        ApiVersion::V4 => format!(r#"{{{times} "name": "{name}", {person}}}"#),
        ApiVersion::V3 => format!(r#"{{{times} "name": "{name}", {person}, "subscriber": {{{person}}}}}"#),
    }
}
