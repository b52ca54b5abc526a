//! Every id of `tests/catalogue.md` that is tested has a test that bears it, and every test that bears an id bears one
//! of these.

use crate::support::project::{sources, text};
use std::collections::{BTreeMap, BTreeSet};

/// The groups of ids: what stands before the number, and how many there are. A row that is lost from the page is missed.
const GROUPS: [(&str, usize); 14] = [
    ("M", 37),
    ("D", 11),
    ("H-", 15),
    ("P-", 10),
    ("G-", 11),
    ("A-", 8),
    ("D-", 14),
    ("K-", 10),
    ("C-", 6),
    ("T-", 6),
    ("V-", 6),
    ("W-", 6),
    ("R-", 6),
    ("S-", 24),
];
/// A reason of fewer letters is none.
const SHORTEST_REASON: usize = 20;

/// Ids, each with the tests that bear it.
type Borne = BTreeMap<String, Vec<String>>;

#[test]
fn every_id_of_the_catalogue_has_a_test_or_a_reason() {
    let catalogue = catalogue(&text("tests/catalogue.md"));
    let mut borne = Borne::new();
    for (name, source) in ["src", "tests"].into_iter().flat_map(sources) {
        read(&source, &name, &mut borne);
    }
    let complaints = complaints(&catalogue, &borne);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The judge is judged: each way to be wrong is told.
#[test]
fn what_has_neither_a_test_nor_a_reason_is_named() {
    let mut catalogue = catalogue(&text("tests/catalogue.md"));
    let everything = catalogue.iter().filter(|(_, proof)| is_tested(proof));
    let borne: Borne = everything.map(|(id, _)| (id.clone(), vec!["a test".to_owned()])).collect();
    assert_eq!(complaints(&catalogue, &borne), Vec::<String>::new());
    let told = |catalogue: &BTreeMap<String, String>, borne: &Borne| complaints(catalogue, borne).join("\n");

    let mut fewer = borne.clone();
    fewer.remove("M01");
    assert_eq!(told(&catalogue, &fewer), "M01 has no test");
    let mut more = borne.clone();
    more.insert("W-01".to_owned(), vec!["some test".to_owned()]);
    assert_eq!(told(&catalogue, &more), "W-01 is an exception, and some test bears it");
    more.remove("W-01");
    more.insert("R-07".to_owned(), vec!["some test".to_owned()]);
    assert_eq!(told(&catalogue, &more), "R-07 is not in the catalogue, and some test bears it");
    catalogue.insert("W-02".to_owned(), "not yet".to_owned());
    assert_eq!(told(&catalogue, &borne), "W-02 is an exception without a reason");
    catalogue.remove("W-02");
    assert_eq!(told(&catalogue, &borne), "W-02 is not in the catalogue");
}

#[test]
fn ids_are_read_from_the_doc_comment_of_a_test_and_from_nowhere_else() {
    // Not quite as it would stand in a source: this test is read as well.
    let source = "
        //+ M01, D-02. Not O3, nor UTF-8, nor H-1.
        //+ A second line, with (S-17).
        #[cfg(unix)]
        #[tokio::test(flavor = \"multi_thread\")]
        async fn one() {}

        //+ M02. No test.
        fn two() {}

        // M03. No doc comment.
        #[test]
        fn three() {}
    ";
    let mut borne = Borne::new();
    read(&source.replace("//+", "///"), "here.rs", &mut borne);
    let all: Vec<(&str, &[String])> = borne.iter().map(|(id, tests)| (&**id, &**tests)).collect();
    let one = ["here.rs: one".to_owned()];
    assert_eq!(all, [("D-02", &one[..]), ("M01", &one[..]), ("S-17", &one[..])]);
}

/// What is wrong between the catalogue and the tests.
fn complaints(catalogue: &BTreeMap<String, String>, borne: &Borne) -> Vec<String> {
    let mut complaints = Vec::new();
    for (id, proof) in catalogue {
        match borne.get(id) {
            None if is_tested(proof) => complaints.push(format!("{id} has no test")),
            None if proof.chars().count() < SHORTEST_REASON => {
                complaints.push(format!("{id} is an exception without a reason"));
            }
            Some(tests) if !is_tested(proof) => {
                complaints.push(format!("{id} is an exception, and {} bears it", tests.join(", ")));
            }
            _ => {}
        }
    }
    for (id, tests) in borne.iter().filter(|(id, _)| !catalogue.contains_key(*id)) {
        complaints.push(format!("{id} is not in the catalogue, and {} bears it", tests.join(", ")));
    }
    let known = |id: &String| catalogue.contains_key(id);
    let missing = GROUPS
        .into_iter()
        .flat_map(|(group, count)| (1..=count).map(move |number| format!("{group}{number:02}")));
    complaints.extend(missing.filter(|id| !known(id)).map(|id| format!("{id} is not in the catalogue")));
    complaints
}

fn is_tested(proof: &str) -> bool {
    proof.split(';').next() == Some("tested")
}

/// The ids of the page, each with its proof.
fn catalogue(page: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Some(id) = cells.first().filter(|cell| is_id(cell)) else { continue };
        let [_, what, proof] = cells[..] else { panic!("three cells, not {line}") };
        assert!(!what.is_empty(), "{id} rules out nothing");
        assert!(all.insert((*id).to_owned(), proof.to_owned()).is_none(), "{id} is there twice");
    }
    all
}

/// The ids in the doc comments of the tests of a source.
fn read(source: &str, file: &str, borne: &mut Borne) {
    let (mut ids, mut is_test) = (BTreeSet::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            ids.extend(words(comment).filter(|word| is_id(word)).map(str::to_owned));
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            let function = line.split_once("fn ").and_then(|(_, rest)| rest.split(['(', '<']).next());
            if let (true, Some(function)) = (is_test, function) {
                for id in std::mem::take(&mut ids) {
                    borne.entry(id).or_default().push(format!("{file}: {function}"));
                }
            }
            (ids, is_test) = (BTreeSet::new(), false);
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
}

/// `M01`, `D01`, or any other group with a dash: `D-01`.
fn is_id(word: &str) -> bool {
    GROUPS.into_iter().any(|(group, _)| {
        word.strip_prefix(group)
            .is_some_and(|number| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}
