//! What can be read off the sources: who may do what in them, and whose code comes with them.

use crate::support::project::{sources, text};
use crate::support::server::GRANTS;

/// Who makes a statement of text says so with this word, and is to be found in one place.
const SAFE: &str = "AssertSqlSafe";

/// S-11. Only the connection turns text into statements; whatever else there is gives it text with placeholders, and
/// values beside it.
#[test]
fn statements_are_made_of_text_in_one_place_only() {
    let is_the_door = |name: &str| name.starts_with("src/store/connection");
    let (inside, outside): (Vec<_>, Vec<_>) =
        sources("src").into_iter().partition(|(name, _)| is_the_door(name));
    assert!(inside.iter().any(|(_, source)| source.contains(SAFE)), "the door is where it was");
    for (name, source) in outside {
        for word in [SAFE, "sqlx::query(", "sqlx::query_", "raw_sql", "QueryBuilder"] {
            assert!(!source.contains(word), "{word} in {name}");
        }
    }
}

/// D-14. The lease knows one clock: the database's.
#[test]
fn the_lease_asks_no_clock_of_ours() {
    let source = text("src/store/lease.rs");
    let program = source.split("#[cfg(test)]").next().unwrap_or_default();
    assert!(
        program.contains("dialect.now()") && program.contains("now_plus_seconds()"),
        "it asks the database"
    );
    for clock in ["Utc::now", "SystemTime", "Instant", "chrono", "Value::Time"] {
        assert!(!program.contains(clock), "{clock} in the lease");
    }
}

/// S-21. No unsafe code of our own.
#[test]
fn unsafe_code_is_forbidden() {
    assert!(text("Cargo.toml").contains("\nunsafe_code = \"forbid\"\n"));
    for (name, source) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let allowed = concat!("allow(unsafe", "_code)");
        assert!(!source.contains(allowed), "{name}");
    }
}

/// S-12, S-21. All code of others comes from one registry, as it was when somebody looked, and the driver is one whose
/// messages no value can break.
#[test]
fn dependencies_are_locked_to_the_byte_and_come_from_one_place() {
    let lock = text("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 100, "{}", packages.len());
    let value = |package: &str, key: &str| -> Option<String> {
        let begin = format!("{key} = \"");
        package.lines().find_map(|line| line.strip_prefix(&begin)?.strip_suffix('"').map(str::to_owned))
    };
    for package in packages {
        let name = value(package, "name").expect("a name");
        if name == env!("CARGO_PKG_NAME") {
            continue;
        }
        let source = value(package, "source").unwrap_or_default();
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
        assert_eq!(value(package, "checksum").map(|sum| sum.len()), Some(64), "{name}");
        // RUSTSEC-2024-0363: before 0.8.1, a value of 4 GiB could become a message of its own.
        if name.starts_with("sqlx") {
            let version = value(package, "version").expect("a version");
            let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
            assert!(numbers >= vec![0, 8, 1], "{name} {version}");
        }
        // RUSTSEC-2023-0071, for which there is no remedy.
        assert_ne!(name, "rsa");
    }
    assert!(text(".ci/run").contains("--locked"));
}

/// S-21. An advisory that is left out has its reason and the day by which it is looked at again.
#[test]
fn an_advisory_is_left_out_with_its_reason_and_for_a_time_only() {
    assert_eq!(without_reason_or_day(&text("deny.toml")), Vec::<String>::new());
    let with =
        |line: &str| without_reason_or_day(&format!("[advisories]\nignore = [\n    {line}\n]\n")).len();
    assert_eq!(with("{ id = \"RUSTSEC-2023-0071\", reason = \"never reached\" }, # until 2026-12-31"), 0);
    assert_eq!(with("{ id = \"RUSTSEC-2023-0071\", reason = \"never reached\" },"), 1);
    assert_eq!(with("\"RUSTSEC-2023-0071\", # until 2026-12-31"), 1);
}

/// S-13. What the role of the tests may do is what the front page says that the program needs.
#[test]
fn the_front_page_grants_what_the_tests_have() {
    let page = text("README.md");
    assert!(page.contains(&format!("grant {GRANTS} on analytics.* to")), "MySQL");
    assert!(page.contains("grant connect, create on database analytics to"), "PostgreSQL");
    let words = GRANTS.split(", ");
    let allowed = [
        "select",
        "insert",
        "update",
        "delete",
        "create",
        "alter",
        "drop",
        "index",
        "create view",
        "show view",
    ];
    assert!(words.into_iter().all(|word| allowed.contains(&word)), "{GRANTS}");
}

/// The lines of a configuration of cargo-deny that leave out an advisory without a reason or a day.
fn without_reason_or_day(configuration: &str) -> Vec<String> {
    let lines = configuration.lines().filter(|line| !line.trim_start().starts_with('#'));
    let left_out = lines.filter(|line| line.contains("RUSTSEC-") && !line.contains("crate ="));
    let day = |line: &str| {
        let day = line.split_once("# until ").map(|(_, day)| day.trim().to_owned()).unwrap_or_default();
        chrono::NaiveDate::parse_from_str(&day, "%Y-%m-%d").is_ok()
    };
    left_out.filter(|line| !(line.contains("reason = \"") && day(line))).map(str::to_owned).collect()
}
