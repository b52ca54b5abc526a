//! Whether a database server is this machine or a neighbour in its own private network.

/// Whether what is sent to `host` stays here: a loopback address, or a name without a dot, as containers of one
/// composition have. Anything else is spoken to over TLS.
pub(super) fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.starts_with('/') || !host.contains('.') && !host.contains(':'),
    }
}

/// Whether `host` is this very machine.
pub(super) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-06.
    #[test]
    fn only_this_machine_and_its_containers_are_near() {
        for near in
            ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]", "db", "postgres", "/var/run/postgresql"]
        {
            assert!(is_near(near), "{near}");
            assert_eq!(is_here(near), !["db", "postgres", "/var/run/postgresql"].contains(&near), "{near}");
        }
        for far in ["db.example.com", "10.0.0.5", "192.168.1.4", "2001:db8::1", "[2001:db8::1]", "8.8.8.8"] {
            assert!(!is_near(far) && !is_here(far), "{far}");
        }
    }
}
