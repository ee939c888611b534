//! `soniquebay health`: whether a process of ours answers. For containers, whose images hold no other program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use soniquebay_http::{BaseUrl, Bounds, Http, Settings};

use crate::cli::HealthArgs;
use crate::output;

/// What asks this asks again soon.
const PATIENCE: Duration = Duration::from_secs(4);

pub(crate) async fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let address = reachable(args.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8001))));
    let server = BaseUrl::parse(&format!("http://{address}"), address.port()).context("the address")?;
    let http = Http::new(Settings { server, api_key: None, connect: PATIENCE / 2, idle_connections: 0 });
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let answer = http.get(path, Bounds { within: PATIENCE, bytes: 64 * 1024 }).await;
    let answer =
        answer.context("nothing answers: does a process serve here, and does --listen say where it listens?")?;
    let said: String = String::from_utf8_lossy(&answer.body).chars().filter(|c| !c.is_control()).collect();
    ensure!(answer.status.is_success(), "{address} answers {}: {said}", answer.status);
    output::line(&said)
}

/// Where this machine reaches what listens at that address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
