//! A database that is elsewhere has to show who it is. 0.0.0.0 leads to this machine, and the program does not take it
//! for this machine.

use crate::support::scene::few;
use crate::support::tls::{Authority, Database, Flaw, Server};
use crate::support::{Api, Binary, Mirror, kit};
use futures_util::future::join_all;

const ELSEWHERE: &str = "0.0.0.0";

/// Both databases, with the parameter that names an authority, and those that ask for less.
const SERVERS: [(Server, &str, &str, &str, &str); 2] = [
    (Server::Postgres, "postgres", "sslrootcert", "sslmode=require", "sslmode=prefer"),
    (Server::Mysql, "mysql", "ssl-ca", "ssl-mode=REQUIRED", "ssl-mode=PREFERRED"),
];

/// S-06. Nobody who cannot prove to be the server hears as much as a name.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_elsewhere_whose_certificate_is_not_in_order_is_refused() {
    let (_sim, serving) = kit(few()).await;
    let (serving, authority) = (&serving, Authority::new());
    let cases = SERVERS.into_iter().flat_map(|case| Flaw::ALL.map(|flaw| (case, flaw)));
    join_all(cases.map(|((server, scheme, roots, ..), flaw)| {
        let database = authority.database(server, ELSEWHERE, Some(flaw));
        let pem = authority.pem.clone();
        async move {
            let mirror = Mirror::new().await;
            std::fs::write(mirror.folder().join("ca.pem"), pem).expect("the roots are written");
            let url = format!("{scheme}://me:pw@{ELSEWHERE}:{}/x", database.address.port());
            let binary = Binary::of(&mirror, serving, Api::V4);

            // An authority that nobody has heard of is none.
            let ran = binary.clone().set("KITMIRROR_DATABASE_URL", url.as_str()).run(&["check"]).await;
            ran.ended_with(3);
            assert!(ran.stdout.contains("certificate"), "{server:?} {flaw:?}: {}", ran.output());
            assert!(ran.stdout.contains(&format!("{roots}=ca.pem")), "{server:?} {flaw:?}: {}", ran.output());
            assert_eq!(database.heard(), 0, "{server:?} {flaw:?}");

            let ran =
                binary.set("KITMIRROR_DATABASE_URL", format!("{url}?{roots}=ca.pem")).run(&["check"]).await;
            ran.ended_with(3);
            let word = if flaw == Flaw::None { Database::REFUSAL } else { "certificate" };
            assert!(ran.stdout.contains(word), "{server:?} {flaw:?}: {}", ran.output());
            assert_eq!(database.heard(), usize::from(flaw == Flaw::None), "{server:?} {flaw:?}");
            assert!(!ran.output().contains("is spoken to"), "{}", ran.output());
        }
    }))
    .await;
}

/// S-06. A server elsewhere without TLS is not spoken to, and hears nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_elsewhere_without_tls_is_refused() {
    let (_sim, serving) = kit(few()).await;
    let (serving, authority) = (&serving, Authority::new());
    join_all(SERVERS.map(|(server, scheme, _, _, prefer)| {
        let database = authority.database(server, ELSEWHERE, None);
        async move {
            let mirror = Mirror::new().await;
            let url = format!("{scheme}://me:pw@{ELSEWHERE}:{}/x", database.address.port());
            let binary = Binary::of(&mirror, serving, Api::V4).set("PGSSLMODE", "disable");
            let ran = binary.clone().set("KITMIRROR_DATABASE_URL", url.as_str()).run(&["check"]).await;
            ran.ended_with(3);
            assert!(ran.stdout.contains("does not support TLS"), "{server:?}: {}", ran.output());
            assert_eq!(database.heard(), 0, "{server:?}");

            let ran = binary.set("KITMIRROR_DATABASE_URL", format!("{url}?{prefer}")).run(&["check"]).await;
            assert!(ran.stdout.contains(Database::REFUSAL), "{server:?}: {}", ran.output());
            ran.says(&["is spoken to without TLS if that is refused"]);
        }
    }))
    .await;
}

/// S-06. Whoever asks for less gets it, and is told each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_asks_for_less_than_a_checked_certificate_is_told_so() {
    let (_sim, serving) = kit(few()).await;
    let (serving, authority) = (&serving, Authority::new());
    join_all(SERVERS.map(|(server, scheme, _, require, _)| {
        let database = authority.database(server, ELSEWHERE, Some(Flaw::SelfSigned));
        async move {
            let mirror = Mirror::new().await;
            let url = format!("{scheme}://me:pw@{ELSEWHERE}:{}/x?{require}", database.address.port());
            let binary = Binary::of(&mirror, serving, Api::V4).set("KITMIRROR_DATABASE_URL", url);
            for command in ["check", "status", "sync"] {
                let ran = binary.run(&[command]).await;
                ran.says(&["is spoken to over TLS, but with no look at the certificate"]);
                assert!(ran.output().contains(Database::REFUSAL), "{server:?}: {}", ran.output());
                assert!(!ran.output().contains("me:pw"), "{server:?}: {}", ran.output());
            }
            assert_eq!(database.heard(), 3, "{server:?}");
        }
    }))
    .await;
}
