//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::{IpNet, Ipv6Net};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    address: IpAddr,
    /// It was passed on by somebody who is not believed: the address is that one's, and says nothing about the client.
    is_obscure: bool,
}

impl Client {
    /// Where `request` comes from: whoever sent it, or, where that is one of these proxies, the last address in
    /// `X-Forwarded-For` that is none of them. What stands before that one could be made up.
    pub(crate) fn of(request: &Parts, proxies: &[IpNet]) -> Self {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
        // Without one this is no connection, and nobody that is trusted.
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical());
        Self::behind(peer, &request.headers, proxies)
    }

    fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_forwarded = headers.contains_key(FORWARDED_FOR) || headers.contains_key(FORWARDED);
        if !is_forwarded {
            return Self { address: peer, is_obscure: false };
        }
        if !contains(proxies, peer) {
            return Self { address: peer, is_obscure: true };
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for hop in hops {
            match parse(hop) {
                Some(address) if contains(proxies, address) => {}
                Some(address) => return Self { address, is_obscure: false },
                None => return Self { address: peer, is_obscure: true },
            }
        }
        Self { address: peer, is_obscure: true }
    }

    /// Whether it surely is in one of these.
    pub(crate) fn is_in(&self, networks: &[IpNet]) -> bool {
        !self.is_obscure && contains(networks, self.address)
    }

    /// Whether it is a program on this machine, and no proxy.
    pub(crate) fn is_this_machine(&self) -> bool {
        !self.is_obscure && self.address.is_loopback()
    }

    /// What is counted as one: an address, or the 64 bits that one customer of a provider has.
    pub(crate) fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V6(address) => Ipv6Net::new(address, 64).map_or(self.address, |network| network.network().into()),
            IpAddr::V4(_) => self.address,
        }
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: with or without a port, with brackets or without.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()));
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    address.or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderMap, HeaderValue};

    use super::Client;

    fn client(peer: &str, forwarded: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        Client::behind(peer.parse().unwrap(), &headers, &proxies)
    }

    fn address(client: Client) -> Option<String> {
        (!client.is_obscure).then(|| client.address.to_string())
    }

    #[test]
    fn proxies_are_believed_where_they_are_named() {
        assert_eq!(address(client("192.168.1.7", &[])).as_deref(), Some("192.168.1.7"));
        assert_eq!(address(client("10.1.1.1", &["1.2.3.4"])).as_deref(), Some("1.2.3.4"));
        assert_eq!(
            address(client("10.1.1.1", &["9.9.9.9, 1.2.3.4, 10.2.2.2"])).as_deref(),
            Some("1.2.3.4"),
            "the last"
        );
        assert_eq!(address(client("10.1.1.1", &["9.9.9.9", "1.2.3.4:99, 127.0.0.1"])).as_deref(), Some("1.2.3.4"));
        assert_eq!(address(client("10.1.1.1", &["[2001:db8::1]:80"])).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(client("10.1.1.1", &["[2001:db8::1]"])).as_deref(), Some("2001:db8::1"));
        for obscure in
            [client("1.1.1.1", &["127.0.0.1"]), client("10.1.1.1", &["no address"]), client("10.1.1.1", &[""])]
        {
            assert!(obscure.is_obscure && !obscure.is_in(&["0.0.0.0/0".parse().unwrap()]), "{obscure:?}");
        }
        assert!(!client("127.0.0.1", &["1.2.3.4"]).is_this_machine());
        assert!(client("::1", &[]).is_this_machine());
    }

    #[test]
    fn one_customer_of_a_provider_is_one_caller() {
        let one = client("2001:db8:1:2:3:4:5:6", &[]).network();
        assert_eq!(one, client("2001:db8:1:2:ffff::", &[]).network());
        assert_ne!(one, client("2001:db8:1:3::", &[]).network());
        assert_eq!(client("1.2.3.4", &[]).network(), "1.2.3.4".parse::<IpAddr>().unwrap());
    }
}
