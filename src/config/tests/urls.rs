//! URLs: none may carry the key or a password to where it does not belong, or show one.

use super::{CANARY, scene, with_key};
use crate::config::{DatabaseUrl, Engine};

#[test]
fn a_base_url_that_could_carry_the_key_elsewhere_is_refused() {
    let table = [
        ("http://api.kit.com/v4", "plain http"),
        ("http://127.0.0.1.evil.example/v4", "plain http"),
        ("http://localhost.evil.example/v4", "plain http"),
        ("http://128.0.0.1/v4", "plain http"),
        ("http://0.0.0.0/v4", "plain http"),
        ("http://[::ffff:8.8.8.8]/v4", "plain http"),
        ("http://127.1/v4", "no valid host"),
        ("http://0x7f000001/v4", "no valid host"),
        (r"http://127.0.0.1\@evil.example/v4", "user or password"),
        (r"http://127.0.0.1\evil.example/v4", "no valid host"),
        ("https://user:pw@api.kit.com/v4", "user or password"),
        ("https://api.kit.com/v4?api_key=x", "query"),
        ("https://api.kit.com/v4#x", "query or fragment"),
        ("https://kit.example", "API version"),
        ("https://kit.example/v5", "API version"),
        ("https://api.kit.com/v4/tags", "API version"),
        ("https://api.kit.com/../v4", "odd path"),
        ("https://api.kit.com//v4", "odd path"),
        ("https:///v4", "no valid host"),
        ("https://api.kit.com:0/v4", "no valid host"),
        ("https://api.kit.com:+1/v4", "no valid host"),
        ("https://api.kit.com:/v4", "no valid host"),
        ("https://api kit.com/v4", "no valid host"),
        ("https://äpi.kit.com/v4", "no valid host"),
        ("ftp://api.kit.com/v4", "neither https"),
        ("kit.example/v4", "not a URL"),
        ("https://api.convertkit.com/v3", "another API version than kit_api_key"),
    ];
    for (url, said) in table {
        let problem = with_key().variable("KITMIRROR_KIT_API_URL", url).problem();
        assert!(problem.contains(said), "{url} says: {problem}");
        assert!(!problem.contains(url), "URLs are not repeated: {problem}");
    }
    let v3 =
        scene().variable("KIT_API_SECRET", "x").variable("KITMIRROR_KIT_API_URL", "https://api.kit.com/v4");
    assert!(v3.problem().contains("ends with /v3"));
}

#[test]
fn a_database_url_is_shown_without_user_password_and_parameters() {
    let table = [
        ("postgres://db.example.com:5432/kit", "postgres://db.example.com:5432/kit", Engine::Postgres),
        ("postgresql://ann:pw@db/kit?sslmode=require", "postgresql://db/kit", Engine::Postgres),
        ("postgres://ann:p@w@[::1]:5432/kit", "postgres://[::1]:5432/kit", Engine::Postgres),
        ("postgres:///kit?host=/run/pg&password=pw", "postgres:///kit", Engine::Postgres),
        ("postgres://db?dbname=kit", "postgres://db/", Engine::Postgres),
        ("postgres://ann:pw@%2Frun%2Fpg/kit", "postgres://%2Frun%2Fpg/kit", Engine::Postgres),
        ("mysql://ann:pw@db:3306/kit", "mysql://db:3306/kit", Engine::Mysql),
        ("mariadb://ann:pw%2F@db/kit", "mariadb://db/kit", Engine::Mysql),
        ("sqlite://kitmirror.db?mode=rwc", "sqlite://kitmirror.db", Engine::Sqlite),
        ("sqlite:///var/lib/kit.db", "sqlite:///var/lib/kit.db", Engine::Sqlite),
        ("sqlite:kit.db", "sqlite://kit.db", Engine::Sqlite),
        ("sqlite::memory:", "sqlite://:memory:", Engine::Sqlite),
    ];
    for (url, shown, engine) in table {
        let parsed: DatabaseUrl = url.parse().unwrap_or_else(|invalid| panic!("{url}: {invalid}"));
        assert_eq!((parsed.to_string().as_str(), parsed.engine()), (shown, engine));
        assert_eq!(parsed.expose(), url);
        assert_eq!(parsed.has_password(), url.contains("pw") || url.contains("p@w"), "{url}");
        assert_eq!(format!("{parsed:?}"), format!("DatabaseUrl({shown})"));
    }
}

#[test]
fn a_database_url_that_hides_a_password_in_the_wrong_place_is_refused_unseen() {
    let table = [
        ("postgres://ann:12/canary-5ecret@db/kit", "after the host"),
        ("postgres://ann:12?canary-5ecret@db/kit", "parameter"),
        ("postgres://ann:12?user=canary-5ecret@db/kit", "after the host"),
        ("postgres://ann:12#canary-5ecret@db/kit", "raw `#`"),
        ("postgres://ann:canary-5ecret/db/kit", "port"),
        ("postgres://db:5432/kit/canary-5ecret", "more than a database"),
        ("postgres://db/kit?passwd=canary-5ecret", "parameter"),
        ("mysql://ann:canary-5ecret@db/", "names no database"),
        ("mysql://ann:canary-5ecret@db/kit?ssl_mode=required", "ssl-mode"),
        ("mysql://ann:canary-5ecret@d b/kit", "space"),
        ("mysql://ann:canary-5ecret@d;b/kit", "host"),
        ("sqlite://ann:canary-5ecret@db/kit", "user and password"),
        ("postgress://ann:canary-5ecret@db/kit", "schemes"),
        ("ann:canary-5ecret@db/kit", "no scheme"),
        ("canary-5ecret", "no scheme"),
        ("host=db password=canary-5ecret", "space"),
    ];
    for (url, said) in table {
        let problem = with_key().variable("DATABASE_URL", url).problem();
        assert!(problem.contains(said), "{url} says: {problem}");
        assert!(!problem.contains(CANARY), "{problem}");
    }
}

#[test]
fn a_database_url_asks_for_nothing_that_it_would_not_get() {
    let table = [
        ("sqlite://kit.db?mode=memory", "no mirror can be kept"),
        ("sqlite://kit.db?mode=ro", "no mirror can be kept"),
        ("sqlite://kit.db?immutable=1", "no effect here"),
        ("mysql://ann@db/kit?charset=latin1", "no effect here"),
        ("postgres://ann@db/kit?statement-cache-capacity=5", "no effect here"),
    ];
    for (url, said) in table {
        let problem = with_key().variable("DATABASE_URL", url).problem();
        assert!(problem.contains(said), "{url} says: {problem}");
    }
    for url in
        ["sqlite://kit.db?mode=rwc", "sqlite://kit.db?vfs=unix", "postgres://ann@db/kit?application_name=me"]
    {
        url.parse::<DatabaseUrl>().unwrap_or_else(|invalid| panic!("{url}: {invalid}"));
    }
}

#[test]
fn a_bare_file_name_as_database_is_answered_with_its_url() {
    let problem = with_key().file("database_url = 'kitmirror.db'\n").problem();
    assert!(problem.contains("`sqlite://kitmirror.db`"), "{problem}");
    let problem = with_key().file("database_url = '/var/lib/kit.sqlite'\n").problem();
    assert!(problem.contains("`sqlite:///var/lib/kit.sqlite`"), "{problem}");
}
