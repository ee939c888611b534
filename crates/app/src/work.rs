//! Where jobs are: a table of the database, or Celery's messages.

use std::sync::Arc;

use soniquebay_broker::RedisClock;
use soniquebay_broker::bus::{LocalBus, RedisBus};
use soniquebay_broker::celery::{CeleryConfig, CeleryConfigError, CeleryNode, CeleryQueue, TwoQueues};
use soniquebay_domain::{Database, EventBus, JobQueue, Space, SystemClock};

use crate::cli::ServicesArgs;
use crate::exit::End;

/// Where jobs are, and how parts tell each other what happened.
pub(crate) struct Work {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) bus: Arc<dyn EventBus>,
    /// The same, where jobs are Celery's messages.
    pub(crate) celery: Option<TwoQueues>,
}

impl Work {
    /// Jobs as Celery's messages on Redis, where the settings say so.
    pub(crate) async fn by_messages(
        services: &ServicesArgs,
        default_space: &Space,
        sound: &Space,
    ) -> anyhow::Result<Option<Self>> {
        let Some((broker, results)) = services.celery() else { return Ok(None) };
        let config =
            CeleryConfig::new(broker, results, default_space.clone()).map_err(|error| End::Usage(error.to_string()))?;
        let clock = RedisClock::new(broker).map_err(|error| End::Usage(error.to_string()))?;
        clock.first_look().await;
        let clock = Arc::new(clock);
        let heard = config.of_analysis(sound.clone());
        let unusable = |error: CeleryConfigError| End::Usage(error.to_string());
        let embedding = CeleryQueue::connect(config, clock).map_err(unusable)?;
        let analysis = embedding.beside(heard).map_err(unusable)?;
        let queues = TwoQueues { embedding, analysis };
        Ok(Some(Self { queue: Arc::new(queues.clone()), bus: bus(services)?, celery: Some(queues) }))
    }

    /// Where vectors of what tracks say wait to be made.
    pub(crate) fn embedding(&self) -> Arc<dyn JobQueue> {
        match &self.celery {
            Some(queues) => Arc::new(queues.embedding.clone()),
            None => Arc::clone(&self.queue),
        }
    }

    /// Jobs as a table.
    pub(crate) fn by_table(services: &ServicesArgs, store: Arc<dyn Database>) -> anyhow::Result<Self> {
        Ok(Self { queue: store, bus: bus(services)?, celery: None })
    }

    /// What `celery inspect` and Flower see of this process, where jobs are Celery's messages.
    pub(crate) fn node(&self) -> Option<CeleryNode> {
        self.celery.clone().map(|queues| CeleryNode::new(queues.embedding, vec![queues.analysis]))
    }
}

fn bus(services: &ServicesArgs) -> anyhow::Result<Arc<dyn EventBus>> {
    Ok(match services.redis() {
        Some(url) => {
            let bus = RedisBus::new(url, Arc::new(SystemClock));
            Arc::new(bus.map_err(|error| End::Usage(format!("REDIS_URL: {error}")))?)
        }
        None => Arc::new(LocalBus::default()),
    })
}
