//! The client's address behind proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::Request;
use poem::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of the proxies whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The address of the client that sent `request`.
    pub(crate) fn address_of(&self, request: &Request) -> IpAddr {
        let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
        self.resolve(peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)), request.headers())
    }

    /// Each proxy appends the address that it was called from, so the list is read from its end while the proxy that wrote
    /// the entry is trusted: the first untrusted address is the client's. Everything left of it is the client's own claim.
    fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            // Entries further left may be arbitrary; they do not invalidate what a trusted proxy wrote.
            for entry in value.as_bytes().rsplit(|b| *b == b',') {
                if !self.trusts(address) {
                    return address;
                }
                let Some(previous) = parse(entry.trim_ascii()) else { return address };
                address = previous;
            }
        }
        address
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses an address, with or without a port, and for IPv6 with or without brackets: proxies differ.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    let in_brackets = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip())).ok(),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn resolve(peer: &str, headers: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TrustedProxies::new(networks.to_vec()).resolve(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn the_header_is_believed_only_as_far_as_trusted_proxies_wrote_it() {
        for (peer, headers, expected) in [
            ("203.0.113.9", vec![], "203.0.113.9"),
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["192.0.2.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", vec!["192.0.2.66", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec!["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", vec!["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", vec!["[::ffff:198.51.100.1]"], "198.51.100.1"),
            ("10.0.0.1", vec!["198.51.100.1, [fd00::2], [fd00::3]:80"], "198.51.100.1"),
            ("10.0.0.1", vec!["[198.51.100.1]"], "10.0.0.1"),
            ("10.0.0.1", vec!["[2001:db8::1"], "10.0.0.1"),
            ("10.0.0.1", vec!["J\u{fc}rgen, 198.51.100.1"], "198.51.100.1"),
            ("fd00::1", vec!["2001:db8::1"], "2001:db8::1"),
            ("::ffff:10.0.0.1", vec!["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec![""], "10.0.0.1"),
        ] {
            assert_eq!(resolve(peer, &headers), expected, "{peer} {headers:?}");
        }
    }
}
