//! Jobs as Celery messages on Redis: what a Python producer or worker of Celery 5 sends and reads, and safer.

mod envelope;
mod failure;
mod message;
mod python;
