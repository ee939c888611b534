//! Fetching from the Hugging Face hub: one plain request a file.

use std::path::Path;
use std::time::Duration;

use ureq::Agent;

use super::{ModelFiles, ModelFilesError, OnProgress, Origin, PullProgress};

/// A home without a way out should learn so soon: another source may follow.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the hub may stay silent once it is connected.
const SILENCE: Duration = Duration::from_secs(30);

impl ModelFiles {
    /// Puts the checked files into `staging`.
    pub(super) fn fetch_from_hub(&self, staging: &Path, progress: &mut OnProgress<'_>) -> Result<(), ModelFilesError> {
        let agent: Agent = Agent::config_builder()
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build()
            .into();
        let total = self.pinned.iter().map(|pinned| pinned.bytes).sum();
        let mut done = 0;
        for pinned in self.pinned {
            let undelivered = |reason: String| ModelFilesError::Hub { file: pinned.name, reason };
            let response = agent
                .get(format!("{}/{}", self.hub, pinned.name))
                .call()
                .map_err(|error| undelivered(error.to_string()))?;
            let body = response.into_body().into_reader();
            pinned.store(body, staging, |error| undelivered(error.to_string()), &mut |length| {
                done += length as u64;
                progress(PullProgress { origin: Origin::Hub, done, total })
            })?;
        }
        Ok(())
    }
}
