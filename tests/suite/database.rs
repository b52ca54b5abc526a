//! The other tests believe what the analyst's connection says; here it is held against what was written.

use crate::ENGINE;
#[cfg(feature = "chaos")]
use crate::support::{Api, Binary, Judge, judge::Strictness, kit, scene::few};
use crate::support::{Database, Engine, Mirror};
use serde_json::{Value, json};

/// Types of the columns below: of numbers, times, JSON and the like, in the engine's own words.
fn types() -> [&'static str; 8] {
    match *ENGINE {
        Engine::Sqlite => ["integer", "integer", "text", "text", "text", "text", "real", "integer"],
        Engine::Postgres => [
            "bigint",
            "boolean",
            "text",
            "varchar(40)",
            "timestamptz",
            "jsonb",
            "double precision",
            "numeric",
        ],
        Engine::Mariadb | Engine::Mysql => [
            "bigint",
            "tinyint(1)",
            "longtext",
            "varchar(40)",
            "datetime(6)",
            "json",
            "double",
            "decimal(20, 0)",
        ],
    }
}

/// A table of every type, and the analyst's connection to it.
async fn filled(mirror: &Mirror) -> Database {
    mirror.made_by_its_role().await.close().await;
    let database = mirror.database().await;
    if *ENGINE == Engine::Sqlite {
        // As the program leaves it: readers and the writer are not in each other's way.
        database.execute("pragma journal_mode = wal").await;
    }
    let names = ["id", "truth", "words", "\"partition\"", "moment", "json", "ratio", "whole"];
    let columns: Vec<String> =
        names.iter().zip(types()).map(|(name, kind)| format!("{name} {kind}")).collect();
    // The database itself is latin1 there.
    let charset = match *ENGINE {
        Engine::Mysql | Engine::Mariadb => " character set utf8mb4",
        Engine::Sqlite | Engine::Postgres => "",
    };
    database.execute(&format!("create table things ({}){charset}", columns.join(", "))).await;
    let yes = if *ENGINE == Engine::Sqlite { "1" } else { "true" };
    let moment = ENGINE.time("2024-02-29T23:59:59.000001Z".parse().expect("a time"));
    database
        .execute(&format!(
            "insert into things values (9223372036854775807, {yes}, 'a|b 🎉', 'x', {moment}, '{{\"b\":[1,2.5],\"a\":null}}', 1.5, 12); \
             insert into things (id) values (-1)"
        ))
        .await;
    database
}

#[tokio::test]
async fn a_cell_is_read_as_what_was_written() {
    let mirror = Mirror::new().await;
    let database = filled(&mirror).await;
    let rows = database.rows("select * from things order by id desc").await;
    let [full, empty] = rows.as_slice() else { panic!("two rows, not {rows:?}") };
    let read = match &full["json"] {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        json => json.clone(),
    };
    assert_eq!(read, json!({ "a": null, "b": [1, 2.5] }));
    assert_eq!(matches!(full["json"], Value::String(_)), ENGINE.keeps_json_to_the_letter());
    for (name, expected) in [
        ("id", json!(i64::MAX)),
        ("truth", json!(1)),
        ("words", json!("a|b 🎉")),
        ("partition", json!("x")),
        ("moment", json!("2024-02-29T23:59:59.000001Z")),
        ("ratio", json!(1.5)),
        ("whole", json!(12)),
    ] {
        assert_eq!(full[name], expected, "{name}");
    }
    assert!(empty.iter().all(|(name, value)| (name == "id") != value.is_null()), "{empty:?}");
    database.close().await;
}

#[tokio::test]
async fn one_text_of_sql_serves_every_engine() {
    let mirror = Mirror::new().await;
    let database = filled(&mirror).await;
    assert_eq!(database.number("select count(*) from things").await, 2);
    assert_eq!(database.number("select sum(whole) from things").await, 12);
    assert_eq!(database.texts("select words || '!' from things order by id").await, ["", "a|b 🎉!"]);
    assert_eq!(
        database.lines("select id, \"partition\", moment from things order by id").await,
        ["-1|-|-", "9223372036854775807|x|2024-02-29T23:59:59.000001Z"]
    );
    let long = format!("select count(*) from things where {} > 10", ENGINE.json_length("json"));
    assert_eq!(database.number(&long).await, 1);
    let later = ENGINE.time("2024-02-29T23:59:59.000000Z".parse().expect("a time"));
    assert_eq!(database.number(&format!("select count(*) from things where moment > {later}")).await, 1);
    database.execute("create view same_things as select * from things").await;
    assert_eq!(database.relations().await, ["same_things", "things"]);
    assert_eq!(database.tables().await, ["things"]);
    assert_eq!(database.columns("things").await.len(), 8);
    let described = database.columns("things").await[0].to_lowercase();
    assert!(described.starts_with("id|") && described.contains("int"), "{described}");
    database.execute("drop view same_things").await;
    let contents = mirror.contents().await;
    assert!(contents.len() == 4 && contents[3].contains("2024-02-29"), "{contents:#?}");
    database.execute(&ENGINE.refuse("things", "7, 8")).await;
    assert!(database.try_execute("insert into things (id) values (8)").await.is_err());
    database.execute("insert into things (id) values (9)").await;
    database.execute(ENGINE.begin_to_read()).await;
    assert_eq!(database.number("select count(*) from things").await, 3);
    mirror.execute("delete from things").await;
    assert_eq!(database.number("select count(*) from things").await, 3, "all of one moment");
    database.execute("commit").await;
    assert_eq!(database.number("select count(*) from things").await, 0);
    database.close().await;
}

/// S-13. What somebody else may do is not what the program may do.
#[tokio::test]
async fn the_role_of_the_program_makes_tables_in_its_own_database_only() {
    let mirror = Mirror::new().await;
    let program = mirror.made_by_its_role().await;
    if *ENGINE == Engine::Postgres {
        assert!(program.try_execute("create table public.mine (id bigint)").await.is_err());
    }
    program.execute("create table mine (id bigint primary key)").await;
    program.execute("create index mine_id on mine (id)").await;
    program.execute("insert into mine values (1); update mine set id = 2").await;
    program.execute("create view yours as select id from mine").await;
    assert_eq!(mirror.texts("select id from yours").await, ["2"]);
    if *ENGINE != Engine::Sqlite {
        assert!(program.try_execute("create database elsewhere").await.is_err());
        assert!(program.try_execute("create role somebody").await.is_err());
    }
    program.execute("delete from mine; drop view yours; drop table mine").await;
    program.close().await;
}

/// D-05. A lock that somebody keeps for as long as there is patience, in a process that has a thirtieth of it: it ends
/// with an error that names the lock. When that is gone, the next run goes on as if nothing had been.
#[cfg(feature = "chaos")]
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_given_up_ends_the_run_with_its_name() {
    let (sim, serving) = kit(few()).await;
    let mirror = Mirror::new().await;
    let binary = Binary::of(&mirror, &serving, Api::V4);
    binary.run(&["sync"]).await.ended_with(0);
    sim.change(|account| account.import_subscribers(10));
    let other = mirror.database().await;
    other.execute(ENGINE.lock_out_writers()).await;

    let ran = binary.clone().set("CHAOS_HASTE", "30").run(&["sync"]).await;
    let named = match *ENGINE {
        Engine::Sqlite => "database is locked",
        Engine::Postgres => "lock timeout",
        Engine::Mariadb | Engine::Mysql => "Lock wait timeout",
    };
    ran.ended_with(3).says(&[named, "not locked by another program"]);
    ran.tells_one_error();
    // Of the lock one second, of patience four, and no more than one wait beyond them.
    assert!(ran.took >= std::time::Duration::from_secs(1), "{:?}", ran.took);
    assert!(ran.took < std::time::Duration::from_secs(30), "{:?}", ran.took);

    other.execute("rollback").await;
    binary.run(&["sync"]).await.ended_with(0);
    Judge::compare(&mirror, &sim, Api::V4, Strictness::Equal).await.agrees();
}
