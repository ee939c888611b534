use async_trait::async_trait;
use serde_json::{Map, Value};
use soniquebay_domain::{Analyses, Analysis, AudioHash, StoreError, Track, TrackId};
use soniquebay_http::{Bytes, Method, StatusCode};
use soniquebay_wire::AnalysisInput;

use super::library::RemoteLibrary;
use super::service::encoded;

/// Of an answer with one track or one analysis.
const BYTES: usize = 256 * 1024;

#[async_trait]
impl Analyses for RemoteLibrary {
    async fn analysis_of(&self, audio: &AudioHash, revision: &str) -> Result<Option<(TrackId, Analysis)>, StoreError> {
        let path = format!("/api/analysis/audio/{audio}?revision={}", encoded(revision));
        let answer = self.service.get(&path, BYTES).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(self.service.answered(&path, &answer));
        }
        let track = self.readable(self.service.read(&path, &answer)?);
        Ok(track.and_then(|track| Some((track.id, track.analysis?))))
    }

    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError> {
        let mut kept = Vec::with_capacity(analyses.len());
        for (id, analysis) in &analyses {
            let path = format!("/api/tracks/{id}/analysis");
            let body = serde_json::to_vec(&AnalysisInput::from(analysis));
            let body = body.map_err(|error| self.service.fault(&error.to_string()))?;
            let answer = self.service.ask(Method::PUT, &path, Bytes::from(body), BYTES).await?;
            match answer.status {
                // The track is gone, and so is the need to know what it sounds like.
                StatusCode::NOT_FOUND => {}
                status if !status.is_success() => return Err(self.service.answered(&path, &answer)),
                _ => kept.extend(self.readable(self.service.read(&path, &answer)?)),
            }
        }
        Ok(kept)
    }

    async fn analysis_paused(&self) -> Result<bool, StoreError> {
        let path = "/api/analysis";
        let answer = self.service.get(path, BYTES).await?;
        if !answer.status.is_success() {
            return Err(self.service.answered(path, &answer));
        }
        let standing: Map<String, Value> = self.service.read(path, &answer)?;
        Ok(standing.get("paused") == Some(&Value::Bool(true)))
    }

    async fn pause_analysis(&self, paused: bool) -> Result<(), StoreError> {
        let path = if paused { "/api/analysis/pause" } else { "/api/analysis/resume" };
        let answer = self.service.ask(Method::POST, path, Bytes::new(), BYTES).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.service.answered(path, &answer)) }
    }
}
