//! Which names the status server answers to, so that no page of the web can read it through somebody's browser.
//!
//! A page of `evil.example` may have its name resolved anew, to 127.0.0.1 or to an address of the network the browser
//! is in, and then reads what answers there as its own ("DNS rebinding"). Its requests still say `Host:
//! evil.example`. So a name is answered only if nobody on the Internet can own it:
//!
//! * **an IP address**, which is no name: Kubernetes probes say the pod's address and port;
//! * **`localhost`** and names under it;
//! * and where the server listens for other machines than its own, **a name without a dot** (`kitmirror` in a
//!   compose file) and **names under suffixes that public DNS does not have** (`kitmirror.monitoring.svc`,
//!   `kitmirror.monitoring.svc.cluster.local`, `nas.lan`). On loopback these are refused: the DNS of a foreign
//!   network, in a café, could well answer for them.
//!
//! A list of further names would be one more setting that a default has to be right without. Who scrapes by a public
//! name can scrape by address, and a proxy in front can send its own `Host`.

use axum::http::uri::Authority;
use std::net::IpAddr;

/// Suffixes that are not, and will not be, in public DNS; `svc` is how Kubernetes' names end where its own
/// domain is left out.
const PRIVATE: [&str; 6] = [".local", ".internal", ".svc", ".lan", ".home", ".home.arpa"];

/// Whether a request that was sent to `host` (with a port or without) may be answered by a server that listens on
/// `listen`.
pub(super) fn is_ours(host: &str, listen: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    // No more than a host and a port: `user@host` and what else a parser lets through is nothing a client sends.
    let port = authority.as_str().strip_prefix(authority.host());
    if !port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_number)) {
        return false;
    }
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
    if address.parse::<IpAddr>().is_ok() {
        return true;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    match last {
        "" => false,
        "localhost" => true,
        _ if listen.is_loopback() => false,
        _ if last == name => true,
        _ => PRIVATE.iter().any(|suffix| name.ends_with(suffix)),
    }
}

fn is_number(port: &str) -> bool {
    port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];
    const OPEN: [&str; 3] = ["0.0.0.0", "::", "10.1.2.3"];

    fn asked(host: &str, listens: &[&str]) -> Vec<bool> {
        listens.iter().map(|listen| is_ours(host, listen.parse().unwrap())).collect()
    }

    /// S-10.
    #[test]
    fn addresses_and_localhost_are_always_answered() {
        for host in [
            "127.0.0.1:9420",
            "127.0.0.1",
            "[::1]:9420",
            "10.244.0.17:9420",
            "[fd00::17]:9420",
            "localhost:9420",
            "LOCALHOST",
            "localhost.",
            "kitmirror.localhost:9420",
        ] {
            assert_eq!(asked(host, &LOOPBACK), [true; 2], "{host}");
            assert_eq!(asked(host, &OPEN), [true; 3], "{host}");
        }
    }

    /// S-10.
    #[test]
    fn names_of_a_private_network_are_answered_unless_only_this_machine_is_served() {
        for host in [
            "kitmirror:9420",
            "kitmirror.monitoring.svc:9420",
            "kitmirror.monitoring.svc.cluster.local:9420",
            "db1.internal",
            "nas.lan:80",
            "nas.home.arpa",
        ] {
            assert_eq!(asked(host, &LOOPBACK), [false; 2], "{host}");
            assert_eq!(asked(host, &OPEN), [true; 3], "{host}");
        }
    }

    /// S-10.
    #[test]
    fn a_name_that_anybody_can_own_is_never_answered() {
        for host in [
            "evil.example",
            "evil.example:9420",
            "evil.example.:9420",
            "127.0.0.1.evil.example:9420",
            "127.0.0.1.nip.io",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "svc.evil.example",
            "evil.8.b.d.0.1.0.0.2.ip6.arpa",
            "[::1].evil.example",
            "[::1",
            "",
            ".",
            ":9420",
            "a b",
            "127.0.0.1:9420:9420",
        ] {
            assert_eq!(asked(host, &LOOPBACK), [false; 2], "{host}");
            assert_eq!(asked(host, &OPEN), [false; 3], "{host}");
        }
    }
}
