use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, GenericClient, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
};
use soniquebay_domain::StoreError;
use tokio_postgres::config::Host;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::SqlError;

/// How long a caller waits for a connection before it is told that we are overloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take to answer a new connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections of one process. PostgreSQL allows 100 in all unless it is told otherwise.
const CONNECTIONS: usize = 16;

/// Times that work is tried which something passing stands in the way of. As many connections of the pool may be dead as it
/// holds, when a server was started again.
const TRIES: u32 = 6;

/// What each connection runs under: a process that hangs, or whose machine is gone, does not keep others waiting for long.
const SETTINGS: &str = "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=30s \
     -c TimeZone=UTC -c client_min_messages=warning -c jit=off";

/// Without bounds of time, for what reads or writes a whole library.
const PATIENT: &str = "-c statement_timeout=0 -c lock_timeout=20s -c idle_in_transaction_session_timeout=0 -c TimeZone=UTC \
     -c client_min_messages=warning -c jit=off";

/// The name that connections have in the server's lists.
pub(super) const NAME: &str = "soniquebay";

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A role or a command, beside any number of others.
    Beside,
    /// Whoever looks after the whole database.
    Upkeep,
    /// One connection, which sees the database as it was when it was made.
    Snapshot,
}

impl Manner {
    fn settings(self) -> &'static str {
        if self == Self::Beside { SETTINGS } else { PATIENT }
    }

    fn name(self) -> &'static str {
        if self == Self::Beside { NAME } else { "soniquebay db" }
    }

    /// What a new connection begins with. Loads pgvector's library: settings of it that come before are never checked.
    fn beginning(self) -> &'static str {
        match self {
            Self::Beside | Self::Upkeep => "SELECT '[1]'::vector",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT '[1]'::vector",
        }
    }
}

/// The server, as a pool of connections to it.
#[derive(Clone)]
pub(super) struct Server {
    pool: Pool,
    config: Arc<Config>,
    tls: MakeRustlsConnect,
    address: Arc<str>,
}

impl Server {
    /// Reads the address. Connects when it is first asked something.
    pub(super) fn new(url: &str, manner: Manner) -> Result<Self, StoreError> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            StoreError::Unavailable(format!(
                "DATABASE_URL is no PostgreSQL address ({cause}): write postgres://user:password@host:5432/database"
            ))
        })?;
        let options = [config.get_options().unwrap_or_default(), manner.settings()].join(" ");
        config.options(options.trim());
        if config.get_application_name().is_none() || manner != Manner::Beside {
            config.application_name(manner.name());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        // A host that falls silent is noticed, also in the midst of an answer.
        config.keepalives_idle(Duration::from_secs(15)).keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
        let address: Arc<str> = address(&config).into();
        let tls = tls()?;
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(if manner == Manner::Snapshot { 1 } else { CONNECTIONS })
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(CONNECT * 2))
            .recycle_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move { client.batch_execute(manner.beginning()).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, config: Arc::new(config), tls, address })
    }

    /// Host, port and database: what may be shown.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// An error as whoever asked is told it.
    pub(super) fn told(&self, error: tokio_postgres::Error) -> StoreError {
        SqlError::from(error).told(&self.address)
    }

    /// A connection outside the pool, for what holds one for long, with the messages that the server sends on it.
    pub(super) async fn alone(
        &self,
    ) -> Result<
        (
            tokio_postgres::Client,
            tokio_postgres::Connection<
                tokio_postgres::Socket,
                <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
            >,
        ),
        StoreError,
    > {
        self.config.connect(self.tls.clone()).await.map_err(|error| self.told(error))
    }

    /// A connection of the pool.
    pub(super) async fn client(&self) -> Result<Client, SqlError> {
        Ok(self.pool.get().await?)
    }

    /// What work came to; nothing where it is to be tried again.
    pub(super) async fn outcome<T>(&self, done: Result<T, SqlError>, tried: &mut u32) -> Option<Result<T, StoreError>> {
        match done {
            Err(error) if error.is_passing() && *tried + 1 < TRIES => {
                *tried += 1;
                tokio::time::sleep(Duration::from_millis(5 << *tried)).await;
                None
            }
            done => Some(done.map_err(|error| error.told(&self.address))),
        }
    }
}

/// Reads, as in `read!(server, |client| work(client))`, where `work` makes a future. Each statement sees one consistent state.
///
/// A macro, like the next one: the compiler does not yet see that the future of a closure which borrows what it is given is
/// [`Send`].
macro_rules! read {
    ($server:expr, |$client:ident| $work:expr) => {{
        let (server, mut tried) = (&$server, 0);
        loop {
            let done: Result<_, SqlError> = async {
                let $client = &server.client().await?;
                $work.await
            }
            .await;
            if let Some(outcome) = server.outcome(done, &mut tried).await {
                break outcome;
            }
        }
    }};
}

/// Writes all or nothing, as in `transaction!(server, |tx| work(tx))`. The work is done again where another transaction stood
/// in its way or its connection was lost before the end.
macro_rules! transaction {
    ($server:expr, |$tx:ident| $work:expr) => {{
        let (server, mut tried) = (&$server, 0);
        loop {
            let done: Result<_, SqlError> = async {
                let mut client = server.client().await?;
                let transaction = client.transaction().await?;
                let result = {
                    let $tx = &transaction;
                    let worked: Result<_, SqlError> = $work.await;
                    worked?
                };
                transaction.commit().await.map_err(SqlError::committing)?;
                Ok(result)
            }
            .await;
            if let Some(outcome) = server.outcome(done, &mut tried).await {
                break outcome;
            }
        }
    }};
}

pub(super) use {read, transaction};

/// Host, port and database of the address, without user and password.
fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let host = |(index, host): (usize, &Host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => format!("{}:{port}", folder.display()),
        }
    };
    let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().or(config.get_user()).unwrap_or_default())
}

/// TLS where the address asks for it (`sslmode=require`) or the server offers it. Its certificate must come from an authority
/// that this machine trusts, or that SSL_CERT_FILE names.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The rows that a statement answers. Prepared once a connection.
pub(super) async fn rows(
    client: &impl GenericClient,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, SqlError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, values).await?)
}

/// The first row that a statement answers.
pub(super) async fn first(
    client: &impl GenericClient,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, SqlError> {
    Ok(rows(client, sql, values).await?.into_iter().next())
}

/// How many rows a statement touched. Prepared once a connection.
pub(super) async fn execute(
    client: &impl GenericClient,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<u64, SqlError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, values).await?)
}

#[cfg(test)]
mod tests {
    use super::{Manner, Server};

    #[tokio::test]
    async fn a_password_is_never_shown() {
        let server = Server::new("postgres://user:s3cret@db.example:5433/library", Manner::Beside).unwrap();
        assert_eq!(server.address(), "db.example:5433/library");
        for wrong in
            ["postgres://user:s3cret@:x/", "http://user:s3cret@host/", "s3cret", "postgres://u:s3cret@h/d?nonsense=1"]
        {
            if let Err(error) = Server::new(wrong, Manner::Beside) {
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
        }
    }
}
