//! Where the other parts are, in deployments of more than one process.

use clap::Args;

use crate::exit::End;

/// The database, and the services beside this process. Without any of them, everything lies in the data folder.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Services")]
pub(crate) struct ServicesArgs {
    /// The database: sqlite:///path or postgres://user:password@host/name. [default: a file in the data folder]
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// A Redis server that several machines share: events are told over it, and embeddings of texts kept there.
    #[arg(long, global = true, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// The library, where it is another process.
    #[arg(long, global = true, value_name = "URL", env = "LIBRARY_API_URL", hide_env_values = true)]
    pub(crate) library_url: Option<String>,

    /// The recommender, where it is another process.
    #[arg(long, global = true, value_name = "URL", env = "RECOMMENDER_API_URL", hide_env_values = true)]
    pub(crate) recommender_url: Option<String>,

    /// The Redis server whose queue `vectorization` holds the jobs, as Celery's messages. [default: REDIS_URL, where
    /// library and recommender are other processes; else jobs are a table of the database]
    #[arg(long, global = true, value_name = "URL", env = "CELERY_BROKER_URL", hide_env_values = true)]
    pub(crate) broker_url: Option<String>,

    /// The Redis server that keeps what became of each job. [default: the broker]
    #[arg(long, global = true, value_name = "URL", env = "CELERY_RESULT_BACKEND", hide_env_values = true)]
    pub(crate) result_backend: Option<String>,

    /// The key that our services ask each other for. Better in the environment than in a command line.
    #[arg(long, global = true, value_name = "KEY", env = "SONIQUEBAY_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// An empty variable says nothing.
fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

impl ServicesArgs {
    pub(crate) fn database(&self) -> Option<&str> {
        given(&self.database_url)
    }

    pub(crate) fn redis(&self) -> Option<&str> {
        given(&self.redis_url)
    }

    pub(crate) fn library(&self) -> Option<&str> {
        given(&self.library_url)
    }

    pub(crate) fn recommender(&self) -> Option<&str> {
        given(&self.recommender_url)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        given(&self.api_key)
    }

    /// Whether the database is one that several machines share.
    pub(crate) fn shares_database(&self) -> bool {
        self.database().is_some_and(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"))
    }

    /// The servers of broker and results, where jobs are Celery's messages; `None` where they are a table.
    pub(crate) fn celery(&self) -> Option<(&str, Option<&str>)> {
        let by_http = self.library().is_some() || self.recommender().is_some();
        let broker = given(&self.broker_url);
        let broker = broker.or_else(|| self.redis().filter(|_| by_http && !self.shares_database()));
        broker.map(|broker| (broker, given(&self.result_backend)))
    }

    /// The same for a role of several: jobs are messages on REDIS_URL, unless all share a database.
    pub(crate) fn of_services(&self) -> Self {
        let broker_url = match self.shares_database() {
            true => self.broker_url.clone(),
            false => given(&self.broker_url).or(self.redis()).map(str::to_owned),
        };
        Self { broker_url, ..self.clone() }
    }

    /// For a process that does everything itself.
    ///
    /// # Errors
    /// Where a setting says that another process does a part of it.
    pub(crate) fn nobody_else(&self) -> Result<(), End> {
        for (name, url) in [("LIBRARY_API_URL", self.library()), ("RECOMMENDER_API_URL", self.recommender())] {
            if url.is_some() {
                return Err(End::Usage(format!(
                    "{name} is set, but `serve` is library and recommender itself: unset it, or start the roles `library`, \
                     `recommender`, `listener` and `worker` instead"
                )));
            }
        }
        Ok(())
    }
}
