use std::sync::Arc;

use async_trait::async_trait;
use metrics::counter;
use soniquebay_audio::{AudioError, Limits, analyze, audio_hash};
use soniquebay_domain::{
    Analyses, Analysis, AudioHash, Made, MakeError, Maker, Space, StoreError, Subject, Vector, Vectors,
};

use crate::file::Files;
use crate::gate::Gate;
use crate::hearing::{Pace, on_own_thread};
use crate::translate::{kind, measured, setback};

/// Makes vectors of what tracks' files sound like, and measures them.
///
/// First the fingerprint of the audio, which is cheap: audio that was analysed before, in this file under other tags or in a
/// copy of it, is not decoded again.
pub struct SoundMaker {
    space: Space,
    files: Files,
    pace: Pace,
    gate: Gate,
    analyses: Arc<dyn Analyses>,
    vectors: Arc<dyn Vectors>,
}

impl SoundMaker {
    /// Hears `files` into `space` at this pace, when `gate` lets it; what is known already lies in `analyses` and `vectors`.
    pub fn new(
        space: Space,
        files: Files,
        pace: Pace,
        gate: Gate,
        analyses: Arc<dyn Analyses>,
        vectors: Arc<dyn Vectors>,
    ) -> Self {
        Self { space, files, pace, gate, analyses, vectors }
    }

    async fn hear(&self, subject: &Subject) -> Made {
        match self.try_hear(subject).await {
            Ok(made) => made,
            Err(error) => Made { vector: Err(error), analysis: None },
        }
    }

    async fn try_hear(&self, subject: &Subject) -> Result<Made, MakeError> {
        let (file, extension) = self.files.open(subject).await?;
        let limits = Limits { time: self.pace.time_limit, ..Limits::default() };
        let again = file.try_clone().map_err(|error| MakeError::Failed(error.to_string()))?;
        let (hint, bounds) = (extension.clone(), limits.clone());
        let hash =
            on_own_thread(self.pace.nice, move |stop| audio_hash(Box::new(file), hint.as_deref(), &bounds, stop))
                .await?
                .map_err(|error| failed(&error))?;
        let audio = AudioHash::parse(hash.as_str())
            .ok_or_else(|| MakeError::Failed(format!("{hash} is no fingerprint of audio")))?;
        let away = |error: StoreError| MakeError::Away(error.to_string());
        if let Some(made) = self.known(subject, &audio).await.map_err(away)? {
            counter!("soniquebay_analysis_files_total", "outcome" => "known").increment(1);
            return Ok(made);
        }
        let heard =
            on_own_thread(self.pace.nice, move |stop| analyze(Box::new(again), extension.as_deref(), &limits, stop))
                .await?
                .map_err(|error| failed(&error))?;
        counter!("soniquebay_analysis_files_total", "outcome" => "heard").increment(1);
        counter!("soniquebay_analysis_audio_seconds_total").increment(heard.duration.max(0.0) as u64);
        let analysis = self.analysis(subject, audio, measured(&heard));
        let vector = match heard.sound {
            Some(numbers) => Vector::with_dims(numbers, self.space.dims())
                .map_err(|error| MakeError::Refused(format!("the analysis made no vector: {error}"))),
            None => {
                Err(MakeError::Refused("nothing is heard in it that a vector could be made of: it is silent".into()))
            }
        };
        Ok(Made { vector, analysis: Some(analysis) })
    }

    /// What is known of this audio, with a vector that was made of it.
    async fn known(&self, subject: &Subject, audio: &AudioHash) -> Result<Option<Made>, StoreError> {
        let Some((track, known)) = self.analyses.analysis_of(audio, self.space.revision()).await? else {
            return Ok(None);
        };
        let stored = self.vectors.vectors(&self.space, vec![track]).await?.pop();
        // A track that was heard anew meanwhile may have another vector by now.
        let vector = stored.filter(|stored| stored.content_hash == known.file).map(|stored| stored.vector);
        Ok(vector.map(|vector| Made {
            vector: Ok(vector),
            analysis: Some(self.analysis(subject, audio.clone(), known.measured)),
        }))
    }

    fn analysis(&self, subject: &Subject, audio: AudioHash, measured: soniquebay_domain::Measured) -> Analysis {
        Analysis { audio, revision: self.space.revision().to_owned(), file: subject.made_from.clone(), measured }
    }
}

fn failed(error: &AudioError) -> MakeError {
    if !matches!(error, AudioError::Interrupted) {
        counter!("soniquebay_analysis_failures_total", "reason" => kind(error)).increment(1);
    }
    setback(error)
}

#[async_trait]
impl Maker for SoundMaker {
    fn space(&self) -> &Space {
        &self.space
    }

    async fn health(&self) -> Result<(), MakeError> {
        self.gate.check().await
    }

    async fn make(&self, subjects: &[Subject]) -> Vec<Made> {
        let mut made = Vec::with_capacity(subjects.len());
        for subject in subjects {
            made.push(self.hear(subject).await);
        }
        made
    }
}
