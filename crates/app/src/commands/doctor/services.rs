//! Other processes of ours, and the ports of this one.

use std::net::{Ipv4Addr, SocketAddr};

use soniquebay_http::{ApiKey, BaseUrl, Bounds, Http, Settings};
use tokio::net::TcpListener;

use super::PATIENCE;
use super::finding::{Finding, Question};
use crate::cli::{Cli, DoctorArgs};

/// What a role says of its health is short.
const BYTES: usize = 64 * 1024;

pub(super) async fn look(cli: &Cli, args: &DoctorArgs) -> Vec<Finding> {
    let services = &cli.services;
    let (library, recommender, ports) = tokio::join!(
        service("library", "LIBRARY_API_URL", services.library(), 8001, services.key()),
        service("recommender", "RECOMMENDER_API_URL", services.recommender(), 8002, services.key()),
        ports(cli, args),
    );
    [library, recommender].into_iter().flatten().chain(ports).collect()
}

/// A client for one question.
pub(super) fn client(server: BaseUrl, key: Option<&str>) -> Http {
    let api_key = key.and_then(|key| ApiKey::new(key).ok());
    Http::new(Settings { server, api_key, connect: PATIENCE / 2, idle_connections: 1 })
}

pub(super) const BOUNDS: Bounds = Bounds { within: PATIENCE, bytes: BYTES };

async fn service(
    check: &'static str,
    setting: &str,
    url: Option<&str>,
    port: u16,
    key: Option<&str>,
) -> Option<Finding> {
    let url = url?;
    let all = [Question::NothingIsVectorized, Question::CalculationFails];
    let server = match BaseUrl::parse(url, port) {
        Ok(server) => server,
        Err(error) => {
            return Some(Finding::fail(check, format!("{setting}: {error}"), "soniquebay config show").answering(&all));
        }
    };
    let http = client(server, key);
    let shown = http.server().to_string();
    Some(match http.get("/readyz", BOUNDS).await {
        Ok(answer) if answer.status.is_success() => Finding::ok(check, format!("{shown} is ready")),
        Ok(answer) if matches!(answer.status.as_u16(), 401 | 403) => Finding::fail(
            check,
            format!("{shown} answers {}: the key is not its own", answer.status),
            "give both the same SONIQUEBAY_API_KEY",
        )
        .answering(&all),
        // Another program of the same API may know no /readyz.
        Ok(answer) if answer.status.as_u16() == 404 => Finding::ok(check, format!("{shown} answers")),
        Ok(answer) => {
            let said: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            let found = format!("{shown} is not ready: {} {said}", answer.status);
            Finding::fail(check, found, "run `soniquebay doctor` where it runs").answering(&all)
        }
        Err(error) => {
            Finding::fail(check, error.to_string(), format!("soniquebay {check}; {setting} says where it is"))
                .answering(&all)
        }
    })
}

/// Free, or taken by one of ours.
async fn ports(cli: &Cli, args: &DoctorArgs) -> Vec<Finding> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_role = cli.services.library().is_some() || cli.services.recommender().is_some();
    let addresses = match args.listen {
        Some(address) => vec![address],
        None if is_role => Vec::new(),
        None => vec![loopback(8001), loopback(8002)],
    };
    let mut findings = Vec::new();
    for address in addresses.into_iter().filter(|address| address.port() != 0) {
        findings.push(match TcpListener::bind(address).await {
            Ok(_) => Finding::ok("port", format!("{address} is free")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken(address).await,
            Err(error) => {
                let fix = "choose another address with --listen or SONIQUEBAY_LISTEN";
                Finding::fail("port", format!("{address} cannot be listened on: {error}"), fix)
            }
        });
    }
    findings
}

async fn taken(address: SocketAddr) -> Finding {
    let here = crate::commands::health::reachable(address);
    let is_ours = match BaseUrl::parse(&format!("http://{here}"), address.port()) {
        Ok(server) => {
            let answer = client(server, None).get("/healthz", BOUNDS).await;
            answer.is_ok_and(|answer| answer.status.is_success() && answer.body.starts_with(b"{\"status\":\"ok\"}"))
        }
        Err(_) => false,
    };
    match is_ours {
        true => Finding::ok("port", format!("{address}: SoniqueBay answers there")),
        false => Finding::fail(
            "port",
            format!("{address} is taken by another program"),
            format!("find it with ss -ltnp 'sport = :{}', or choose another port with --listen", address.port()),
        ),
    }
}
