use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose, Space, SpaceError, TrackFields, Vector, Vectorizer};

use crate::describe::Template;
use crate::measure::{NUMBERS, measure};

/// What the numeric block weighs beside a text block of length 1. Part of the revision; chosen in docs/quality.md.
const NUMBERS_WEIGHT: f32 = 0.2;

/// Length of all-MiniLM-L6-v2's vectors.
const MINILM_DIMS: usize = 384;

/// What decides a vector beside the model, as configuration spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceSettings {
    /// How a track becomes text.
    pub template: Template,
    /// Whether the twelve numbers are left out: 384 dimensions instead of 396.
    pub text_only: bool,
}

impl SpaceSettings {
    /// The space of vectors that these settings make with all-MiniLM-L6-v2.
    ///
    /// # Errors
    /// Never, as all names are constants.
    pub fn space(self, model: &str) -> Result<Space, SpaceError> {
        let numbers = if self.text_only { 0 } else { NUMBERS };
        // Raised with any change of template, mean, mapping or weight.
        Space::new(model, MINILM_DIMS + numbers, &format!("{}-1", self.template.name()))
    }

    /// Mean text vector over neutral tracks, made by `cargo xtask mean`. Subtracting it removes what every track's text shares.
    fn mean(self) -> Vec<f32> {
        let bytes: &[u8] = match self.template {
            Template::Phrase => include_bytes!("../data/mean-phrase-1.f32"),
            Template::Fields => include_bytes!("../data/mean-fields-1.f32"),
        };
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}

/// Makes vectors of `[words, numbers]`: the text block is the embedder's vector less the mean, made unit again; the numeric
/// block is the twelve numbers times one fixed weight, with no norm of its own, so that knowing little weighs little.
pub struct TextAndNumbers {
    embedder: Arc<dyn Embedder>,
    settings: SpaceSettings,
    space: Space,
    mean: Vec<f32>,
}

impl TextAndNumbers {
    /// Vectors by these settings over `embedder`.
    ///
    /// # Errors
    /// Where the embedder's model has another length than the mean that ships.
    pub fn new(embedder: Arc<dyn Embedder>, settings: SpaceSettings) -> Result<Self, SpaceError> {
        if embedder.dims() != MINILM_DIMS {
            return Err(SpaceError::Dims(embedder.dims()));
        }
        Ok(Self { space: settings.space(embedder.model())?, mean: settings.mean(), settings, embedder })
    }

    fn combine(&self, text: Option<&[f32]>, numbers: [f32; NUMBERS]) -> Result<Vector, EmbedError> {
        let mut values = match text {
            Some(text) => centred(text, &self.mean),
            None => vec![0.0; self.mean.len()],
        };
        if !self.settings.text_only {
            values.extend(numbers.map(|number| number * NUMBERS_WEIGHT));
        }
        let vector = Vector::with_dims(values, self.space.dims());
        let unit = vector.and_then(|vector| Vector::new(vector.to_unit()));
        unit.map_err(|error| EmbedError::Failed(format!("no vector can be made of this track: {error}")))
    }
}

/// `unit(text − mean)`.
fn centred(text: &[f32], mean: &[f32]) -> Vec<f32> {
    let mut values: Vec<f32> = text.iter().zip(mean).map(|(value, mean)| value - mean).collect();
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(1e-12);
    values.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    values
}

#[async_trait]
impl Vectorizer for TextAndNumbers {
    fn space(&self) -> &Space {
        &self.space
    }

    fn text_dims(&self) -> usize {
        self.mean.len()
    }

    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        let texts: Vec<String> = tracks.iter().map(|track| self.settings.template.describe(track)).collect();
        // A track without words is its numbers alone: the model's answer to "" would be a direction of its own.
        let told: Vec<String> = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
        let expected = told.len();
        let vectors = if told.is_empty() { Vec::new() } else { self.embedder.embed(told, Purpose::Document).await? };
        if vectors.len() != expected || vectors.iter().any(|vector| vector.len() != self.mean.len()) {
            return Err(EmbedError::Failed("the model answered with vectors of another number or length".into()));
        }
        let mut vectors = vectors.iter();
        texts
            .iter()
            .zip(&tracks)
            .map(|(text, track)| {
                let text = if text.is_empty() { None } else { vectors.next().map(Vec::as_slice) };
                self.combine(text, measure(track))
            })
            .collect()
    }

    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        let vectors = self.embedder.embed(vec![words], Purpose::Query).await?;
        match vectors.first() {
            Some(text) if text.len() == self.mean.len() => self.combine(Some(text), [0.0; NUMBERS]),
            _ => Err(EmbedError::Failed("the model answered no vector of its length".into())),
        }
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.embedder.health().await
    }
}
