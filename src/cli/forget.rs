//! `kitmirror forget`: erases a person from every table, for good, and proves it.

use clap::Args;
use serde_json::json;
use std::io::{self, BufRead as _, IsTerminal as _};

use super::{Failed, Global, INCOMPLETE, Outcome};
use crate::error::{Error, Kind};
use crate::output;
use crate::service::{mirror, place};
use crate::store::{Erased, FileProof, People, Proof, Somebody, Who};

/// Whoever was asked did not say yes.
const NOT_WANTED: u8 = 130;

/// Erases a person from every table, for good, and proves that nothing is left.
///
/// Asks before it does. Works beside a running kitmirror: a page that is on its way leaves the person out, and so
/// does every later run, whatever Kit still shows. Needs no credential of Kit, only the database. Kit itself keeps
/// the person until they are deleted there as well.
///
/// An address means everybody who has it here, in whatever case of letters. An id that is not here is kept from
/// coming all the same; for an address that is not here there is nothing to do but to look for it everywhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if nothing is left, 5 if something is; it says what, and what to do about it.

It cannot be undone; a full load after
`delete from sync_forgotten where subscriber_id = …` brings back what Kit still has.

Examples:
  kitmirror forget 4287675149
  kitmirror forget ann@example.org
  kitmirror forget 4287675149 --yes --json | jq .proof")]
pub struct Forget {
    /// Kit's id of the person, or the person's e-mail address
    #[arg(value_name = "ID|EMAIL")]
    who: Who,
    /// Do not ask for confirmation; required without a terminal
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl Forget {
    pub(super) async fn run(self, global: &Global) -> Outcome {
        let settings = global.settings(false)?.settings;
        let store = mirror(&place(&settings)?).await?;
        let found = store.look_up(&self.who).await?;
        let mut people = People::default();
        if let Who::Address(address) = &self.who {
            people.addresses.insert(address.clone());
        }
        for somebody in &found {
            people.join(somebody.people.clone());
        }
        let mut erased = Erased { people, ..Erased::default() };
        if !found.is_empty() {
            self.ask(&found)?;
            erased.join(store.forget(&erased.people).await?);
        }
        let proof = store.prove(&erased.people).await?;
        store.close().await;
        if self.json {
            output::json(&json!({
                "ids": erased.people.ids,
                "erased": erased.rows,
                "is_clean": proof.is_clean(),
                "proof": proof,
            }));
        } else {
            show(&erased, &proof);
        }
        for left in what_is_left(&proof) {
            output::note(left);
        }
        if !found.is_empty() {
            output::note("Kit itself still has whoever was not deleted there, and backups what they hold.");
        }
        Ok(if proof.is_clean() { 0 } else { INCOMPLETE })
    }

    /// Shows what is about to go, and asks whether it may.
    fn ask(&self, found: &[Somebody]) -> Result<(), Failed> {
        for somebody in found {
            let stored = match (rows(&somebody.rows), somebody.forgotten) {
                (Some(rows), _) => rows,
                (None, true) => "nothing, and forgotten already".to_owned(),
                (None, false) => "nothing is stored; it would only be kept from coming in".to_owned(),
            };
            output::note(format_args!("{}: {stored}", somebody.id));
        }
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            let what = "there is no terminal to confirm this on; --yes erases without asking";
            return Err(Error::new(Kind::Usage, what).into());
        }
        output::note("Erase this for good? It cannot be undone. Type yes to continue:");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(());
        }
        output::note("Nothing was erased.");
        Err(Failed::Told(NOT_WANTED))
    }
}

/// `1 row of subscribers, 3 of tag_subscriptions`.
fn rows(rows: &std::collections::BTreeMap<&'static str, u64>) -> Option<String> {
    let mut parts = rows.iter().map(|(table, count)| (output::grouped(*count as i64), table));
    let (count, table) = parts.next()?;
    let noun = if count == "1" { "row" } else { "rows" };
    let first = format!("{count} {noun} of {table}");
    Some(parts.fold(first, |all, (count, table)| format!("{all}, {count} of {table}")))
}

fn show(erased: &Erased, proof: &Proof) {
    let ids: Vec<String> = erased.people.ids.iter().map(i64::to_string).collect();
    if ids.is_empty() {
        output::line("Nobody in the mirror has this address.");
    } else {
        let what =
            rows(&erased.rows).map_or("Nothing was stored".to_owned(), |rows| format!("Erased {rows}"));
        output::line(format_args!("{what}. Kept from coming back: {}.", ids.join(", ")));
    }
    if proof.traces.is_empty() {
        output::line(match (proof.address_known, ids.is_empty()) {
            (true, true) => "No table holds it.",
            (true, false) => "No table holds the id or the address any more.",
            (false, _) => "No table holds the id any more; there was no address.",
        });
    }
    if let Some(file) = &proof.file
        && file.is_clean()
        && file.bytes.read > 0
    {
        let read = output::grouped(file.bytes.read as i64);
        output::line(format_args!("None of the {read} bytes of the file holds the address."));
    }
}

/// What is left, and what to do about it.
fn what_is_left(proof: &Proof) -> Vec<String> {
    let mut left: Vec<String> = proof
        .traces
        .iter()
        .map(|trace| {
            format!(
                "{}.{} still holds it, in {} rows.",
                trace.table,
                trace.column,
                output::grouped(trace.rows as i64)
            )
        })
        .collect();
    if !left.is_empty() {
        left.push(
            "  That is not the person's own row: somebody else has the same address (`kitmirror forget EMAIL` erases \
             them all), or it was written into a text or a setting of the account. Change it at Kit, or here by hand."
                .to_owned(),
        );
    }
    left.extend(proof.file.as_ref().and_then(|file| left_in_file(file, left.is_empty())));
    left
}

fn left_in_file(file: &FileProof, tables_are_clean: bool) -> Option<String> {
    if let Some(error) = &file.not_rewritten {
        return Some(format!(
            "{}. Unused parts of the file may hold what stood there before.\n  See to it that there is room for two \
             more of the file beside it and that nothing else writes to it for long, then run this again.",
            output::escaped(error)
        ));
    }
    if file.held_by_reader {
        return Some(
            "Somebody reads an older state of the database, so the file has to hold it for now.\n  End that program's \
             transaction, then run this again."
                .to_owned(),
        );
    }
    (file.bytes.found > 0 && tables_are_clean).then(|| {
        format!(
            "The address stands at {} places of the file, in no table of kitmirror's.\n  Look for it in tables of \
             your own in the same file.",
            file.bytes.found
        )
    })
}
