//! Whether a database server is this machine or a neighbour in its own private network, and in what way less than
//! TLS with a checked certificate is spoken with one that is neither.

/// Whether what is sent to `host` stays here: a loopback address, or a name without a dot, as containers of one
/// composition have. Anything else is spoken to over TLS, and its certificate checked.
pub(super) fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        // A number is an address, too.
        Err(_) => {
            host.starts_with('/')
                || !host.contains(['.', ':']) && !host.starts_with(|c: char| c.is_ascii_digit())
        }
    }
}

/// Whether a URL says itself whether TLS is to be used.
pub(super) fn is_tls_asked_for(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters.split('&').any(|one| one.starts_with("sslmode=") || one.starts_with("ssl-mode="))
}

/// Whether `host` is this very machine.
pub(super) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a URL asks for that leaves a server elsewhere, or whoever is in between, less sure than it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weakness {
    /// No TLS.
    Plain,
    /// TLS if the server offers it; whoever is in between can leave the offer out.
    PlainIfRefused,
    /// TLS with whoever answers.
    Unchecked,
    /// TLS with any host that has a certificate of a known authority.
    AnyName,
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Weakness::Plain => "without TLS",
            Weakness::PlainIfRefused => "without TLS if that is refused, and with no look at the certificate",
            Weakness::Unchecked => "over TLS, but with no look at the certificate",
            Weakness::AnyName => "over TLS, but with no look at the name in the certificate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_parameter_asks_for_tls() {
        assert!(is_tls_asked_for("postgres://me@db.example.com/x?application_name=a&sslmode=disable"));
        assert!(is_tls_asked_for("mysql://me@db.example.com/x?ssl-mode=disabled"));
        assert!(!is_tls_asked_for("postgres://me:sslmode=disable@db.example.com/sslmode=x"));
    }

    /// S-06.
    #[test]
    fn only_this_machine_and_its_containers_are_near() {
        for near in
            ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]", "db", "postgres", "/var/run/postgresql"]
        {
            assert!(is_near(near), "{near}");
            assert_eq!(is_here(near), !["db", "postgres", "/var/run/postgresql"].contains(&near), "{near}");
        }
        for far in [
            "db.example.com",
            "10.0.0.5",
            "192.168.1.4",
            "2001:db8::1",
            "[2001:db8::1]",
            "8.8.8.8",
            "134744072",
            "0x8080808",
        ] {
            assert!(!is_near(far) && !is_here(far), "{far}");
        }
    }
}
