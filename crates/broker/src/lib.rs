//! What runs between processes: jobs as Celery messages on Redis, in both directions.

pub mod celery;
