//! Plays what is in `fuzz/corpus`, and mutations of it.

use fastrand::Rng;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{TARGETS, Target};

/// Mutations of what is in the corpus, for each target.
const MUTATIONS: usize = 2_000;
/// The fuzzer itself holds every input to a tenth of a second; this machine may be busy.
const LONGEST: Duration = Duration::from_secs(20);

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    // As a folder lists them differs from one machine to another, and the mutations go by their order.
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

/// Names the input that something does not hold for, in a form that a test can be made of.
fn play((name, target): Target, input: &[u8]) {
    let begun = Instant::now();
    let played = std::panic::catch_unwind(|| target(input));
    assert!(played.is_ok(), "{name} of b\"{}\"", input.escape_ascii());
    assert!(begun.elapsed() < LONGEST, "{name} takes too long for b\"{}\"", input.escape_ascii());
}

/// Changes a few bytes, or puts a piece of another input into it.
fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.insert(at, *rng.choice(b"\"\\{}[]:,0-9eE.+\n\0@%").unwrap_or(&0)),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => {
                let from = rng.usize(0..=other.len());
                let to = rng.usize(from..=other.len().min(from + 64));
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

fn replay(target: Target) {
    let inputs = corpus(target.0);
    assert!(!inputs.is_empty(), "{} has a corpus", target.0);
    let longest = inputs.iter().map(Vec::len).max().unwrap_or(0) + 1024;
    play(target, b"");
    for input in &inputs {
        play(target, input);
    }
    let mut rng = Rng::with_seed(7);
    for _ in 0..MUTATIONS {
        let (one, other) = (rng.choice(&inputs), rng.choice(&inputs));
        let mut input = mutate(&mut rng, one.expect("an input"), other.expect("an input"));
        input.truncate(longest);
        play(target, &input);
    }
}

/// M18, H-09, G-03, G-05, G-06.
#[test]
fn any_body_is_a_page_or_an_error_and_never_an_empty_page() {
    replay(TARGETS[0]);
}

/// P-01, P-02, P-03, P-05, P-07, P-08, M17, M36.
#[test]
fn any_record_is_a_row_that_can_be_stored_or_is_set_aside() {
    replay(TARGETS[1]);
}

/// P-04, T-03, M05, M24.
#[test]
fn any_time_is_refused_or_is_what_it_says() {
    replay(TARGETS[2]);
}

/// G-01, G-02, G-04, M09, M10, M13, M22.
#[test]
fn any_list_comes_to_an_end_and_earns_no_more_than_it_showed() {
    replay(TARGETS[3]);
}

/// H-01, H-02, H-04, H-08.
#[test]
fn any_answer_is_followed_by_a_wait_within_its_bounds_and_there_is_an_end_to_it() {
    replay(TARGETS[4]);
}

/// R-04, S-03, S-04.
#[test]
fn any_settings_are_taken_or_refused_without_showing_a_secret() {
    replay(TARGETS[5]);
}

/// P-05, P-06, S-11, D01, M23, M32.
#[test]
fn any_value_is_read_back_as_it_was_written() {
    replay(TARGETS[6]);
}

/// S-17.
#[test]
fn any_address_is_found_where_it_stands_as_a_whole() {
    replay(TARGETS[7]);
}

/// A target that no test plays, or that the fuzzer does not know, proves nothing.
#[test]
fn every_target_has_its_corpus_and_its_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    let mut folders: Vec<String> = std::fs::read_dir(folder.join("corpus"))
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut names = TARGETS.map(|(name, _)| name).to_vec();
    names.sort_unstable();
    assert_eq!(folders, names);
    for name in names {
        let program =
            std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("fuzzing::in_time(fuzzing::{name}, data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
