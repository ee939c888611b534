//! Who may do what here.
//!
//! A caller is let in for the key that it shows, for the network that it is in, or, where nobody asks for keys, because
//! it is on this machine. Who was let in without a key must besides not be a foreign page in a browser: see [`page`].

mod client;
mod keyring;
mod page;
mod rate;
mod scopes;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use soniquebay_domain::{KeyHash, Keys, Scope};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::{ApiError, Code};
use client::Client;
use keyring::{KeyRing, shown_key};
pub use rate::Rate;
use rate::RateLimiter;
pub(crate) use scopes::required;

/// How this is reached, and by whom.
#[derive(Clone, Default)]
pub struct AccessSettings {
    /// Where keys are kept; a role without a database knows none but its own.
    pub keys: Option<Arc<dyn Keys>>,
    /// The key that our roles send each other, which allows everything.
    pub own_key: Option<KeyHash>,
    /// Whether other machines reach this, so that keys are asked for although there may be none.
    pub reachable: bool,
    /// Whether everybody is let in, and under any name.
    pub insecure: bool,
    /// Networks whose callers need no key.
    pub trusted_networks: Vec<IpNet>,
    /// Proxies that are believed about whom they ask for.
    pub trusted_proxies: Vec<IpNet>,
    /// Names beside localhost and addresses under which this is reached without a key.
    pub hosts: Vec<String>,
    /// Pages of other origins that may ask from a browser, such as `https://music.example`.
    pub cors_origins: Vec<HeaderValue>,
    /// What one caller may ask; `None` for as much as it likes.
    pub rate: Option<Rate>,
    /// Path below which a reverse proxy shows this: "/soniquebay", or nothing.
    pub base_path: String,
}

/// Lets callers in. One a process: what is counted holds for all its addresses.
pub struct Access {
    settings: AccessSettings,
    keyring: KeyRing,
    limiter: Option<RateLimiter>,
}

/// Who asks, as the log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever shows this key.
    Key(Arc<str>),
    /// One of our own roles.
    Role,
    /// In a trusted network.
    Trusted,
    /// Anybody, as nobody asks for keys.
    Open,
    /// Without a key, where it needs none.
    Anonymous,
}

impl Caller {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Key(name) => name,
            Self::Role => "(role)",
            Self::Trusted => "(trusted network)",
            Self::Open => "(open)",
            Self::Anonymous => "(anonymous)",
        }
    }
}

impl Access {
    /// By these settings.
    pub fn new(settings: AccessSettings) -> Arc<Self> {
        let keyring = KeyRing::new(settings.keys.clone(), settings.own_key);
        let limiter = settings.rate.map(RateLimiter::new);
        Arc::new(Self { settings, keyring, limiter })
    }

    /// As on a machine where nothing is set: its own programs are let in.
    pub fn loopback() -> Arc<Self> {
        Self::new(AccessSettings::default())
    }

    /// The path below which this is shown.
    pub(crate) fn base_path(&self) -> &str {
        &self.settings.base_path
    }

    /// What browsers are told about pages of other origins; `None` where there are none.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        let origins = &self.settings.cors_origins;
        let headers = ["authorization", "content-type", "if-match", "x-api-key", "x-request-id"];
        let told = ["etag", "location", "retry-after", "x-request-id"];
        let names =
            |names: &[&'static str]| names.iter().map(|name| header::HeaderName::from_static(name)).collect::<Vec<_>>();
        let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        (!origins.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins.clone()))
                .allow_methods(methods)
                .allow_headers(names(&headers))
                .expose_headers(names(&told))
                .max_age(std::time::Duration::from_secs(600))
        })
    }

    async fn admit(&self, request: &Parts) -> Result<Caller, ApiError> {
        let client = Client::of(request, &self.settings.trusted_proxies);
        let path = request.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let needed = required(&request.method, path);
        let (caller, allowed) = match self.identify(&request.headers, &client).await {
            Ok(known) => known,
            Err(refused) => {
                self.count(&Caller::Anonymous, &client)?;
                // Whether a process lives is told to whoever asks, whatever key it shows.
                match needed {
                    None => return Ok(Caller::Anonymous),
                    Some(_) => return Err(refused),
                }
            }
        };
        self.count(&caller, &client)?;
        if matches!(caller, Caller::Trusted | Caller::Open) {
            let any_host = self.settings.insecure;
            page::check(request, any_host, &self.settings.hosts, &self.settings.cors_origins)?;
        }
        match needed {
            Some(needed) if allowed < Some(needed) => Err(wrong_scope(&caller, needed)),
            _ => Ok(caller),
        }
    }

    /// Who this is and what it may do.
    async fn identify(&self, headers: &HeaderMap, client: &Client) -> Result<(Caller, Option<Scope>), ApiError> {
        if self.settings.insecure {
            return Ok((Caller::Open, Some(Scope::Admin)));
        }
        let known = self.keyring.known().await;
        let is_open = !self.settings.reachable && known.as_ref().is_ok_and(|known| self.keyring.asks_nobody(known));
        if is_open {
            return Ok((Caller::Open, Some(Scope::Admin)));
        }
        if let Some(key) = shown_key(headers) {
            return match self.keyring.find(known.as_deref().unwrap_or_default(), key) {
                Some((caller, scope)) => Ok((caller, Some(scope))),
                // Perhaps it is one that could not be looked up.
                None => Err(known.err().unwrap_or_else(unknown_key)),
            };
        }
        if client.is_in(&self.settings.trusted_networks) {
            return Ok((Caller::Trusted, Some(Scope::Admin)));
        }
        Err(known.err().unwrap_or_else(no_key))
    }

    /// Counts the request; our own roles and this machine may ask as much as they like.
    fn count(&self, caller: &Caller, client: &Client) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let counted = match caller {
            Caller::Role | Caller::Trusted => return Ok(()),
            _ if client.is_this_machine() => return Ok(()),
            Caller::Key(name) => rate::Counted::Key(Arc::clone(name)),
            Caller::Open | Caller::Anonymous => rate::Counted::Address(client.network()),
        };
        limiter.count(counted).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let detail = format!("That is more than {}; come back in {seconds} s.", limiter.rate());
            ApiError::new(Code::RateLimited, detail).retry_after(seconds)
        })
    }
}

pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    // A body is nothing that an async function may look at in two places.
    let (parts, body) = request.into_parts();
    match access.admit(&parts).await {
        Ok(caller) => {
            let mut response = next.run(Request::from_parts(parts, body)).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(error) => error.into_response(),
    }
}

fn no_key() -> ApiError {
    let detail = "A key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`. \
                  `soniquebay keys create NAME` makes one.";
    ApiError::new(Code::Unauthorized, detail)
}

fn unknown_key() -> ApiError {
    let detail = "This key is not known here, or was revoked; `soniquebay keys list` shows which ones there are.";
    ApiError::new(Code::Unauthorized, detail)
}

fn wrong_scope(caller: &Caller, needed: Scope) -> ApiError {
    let detail =
        format!("The key {:?} does not allow this: it takes one made with `--scope {}`.", caller.name(), needed.name());
    ApiError::new(Code::ForbiddenScope, detail)
}
