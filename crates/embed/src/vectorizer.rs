use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose, Space, SpaceError, TrackFields, Vector, Vectorizer};

use crate::describe::{Part, Template};
use crate::measure::{NAMES, NUMBERS, measure};
use crate::remote::RemoteModel;

/// What the numeric block weighs beside a text block of length 1. Part of the revision; chosen in docs/quality.md.
const NUMBERS_WEIGHT: f32 = 0.2;

/// The models that the means were made with: all-MiniLM-L6-v2, and the same with weights of 8 bits.
const CENTRED: [&str; 2] = ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8"];

/// What decides a vector beside the model, as configuration spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceSettings {
    /// How a track becomes texts.
    pub template: Template,
    /// Whether the twelve numbers are left out: for all-MiniLM-L6-v2, 384 dimensions instead of 396.
    pub text_only: bool,
}

impl SpaceSettings {
    /// The space of vectors that these settings make with `model`, whose own vectors have `text_dims` numbers.
    ///
    /// # Errors
    /// Where the model's name or length makes no space.
    pub fn space(self, model: &str, text_dims: usize) -> Result<Space, SpaceError> {
        let numbers = if self.text_only { 0 } else { NUMBERS };
        // Raised with any change of template, mean, mapping or weight.
        let name = format!("{}-1", self.template.name());
        // What a server's model wants before a text decides its vectors too.
        let prefixes = RemoteModel::known(model).map(|model| model.revision()).filter(|prefixes| !prefixes.is_empty());
        let revision = match prefixes {
            _ if CENTRED.contains(&model) => name,
            Some(prefixes) => format!("{name}-uncentred+{prefixes}"),
            None => format!("{name}-uncentred"),
        };
        Space::new(model, text_dims.saturating_add(numbers), &revision)
    }

    /// The settings that make vectors of `space`, given the length of its model's own vectors; `None` where none do. So a
    /// space that was filled before the configuration moved on can still be asked with typed words.
    pub fn of(space: &Space, text_dims: usize) -> Option<Self> {
        Template::ALL
            .into_iter()
            .flat_map(|template| [false, true].map(|text_only| Self { template, text_only }))
            .find(|settings| settings.space(space.model(), text_dims).as_ref() == Ok(space))
    }

    /// The mean vector of neutral tracks' texts, made by `cargo xtask mean`. Subtracting it removes what all texts share, so
    /// that what has nothing in common scores near 0.
    ///
    /// None ships for models that are served elsewhere: it would have to be made anew for every version that their server
    /// may hold, and with these templates it decides little (docs/quality.md).
    fn mean(self, model: &str) -> Option<Vec<f32>> {
        let bytes: &[u8] = match self.template {
            Template::Parts => include_bytes!("../data/mean-parts-1.f32"),
            Template::Fields => include_bytes!("../data/mean-fields-1.f32"),
        };
        let mean = || bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        CENTRED.contains(&model).then(mean)
    }
}

/// Makes vectors of `[words, numbers]`.
///
/// The text block is the weighted sum of what is known in words, each text's vector less the mean and made unit, and the
/// whole made unit. The numeric block is the twelve numbers times one fixed weight, with no norm of its own, so that knowing
/// little weighs little.
pub struct TextAndNumbers {
    embedder: Arc<dyn Embedder>,
    settings: SpaceSettings,
    space: Space,
    /// Zeros for a model that has none.
    mean: Vec<f32>,
}

/// The vectors of texts, centred and unit.
type Known = HashMap<String, Vec<f32>>;

impl TextAndNumbers {
    /// Vectors by these settings over `embedder`.
    ///
    /// # Errors
    /// Where the embedder's model has another length than the mean that ships for it, or one that makes no space.
    pub fn new(embedder: Arc<dyn Embedder>, settings: SpaceSettings) -> Result<Self, SpaceError> {
        let dims = embedder.dims();
        let space = settings.space(embedder.model(), dims)?;
        let mean = settings.mean(embedder.model()).unwrap_or_else(|| vec![0.0; dims]);
        if mean.len() != dims {
            return Err(SpaceError::Dims(dims));
        }
        Ok(Self { space, mean, settings, embedder })
    }

    /// Each text's vector, centred and unit. No text is embedded twice: artists, genres and moods recur within a batch.
    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Known, EmbedError> {
        if texts.is_empty() {
            return Ok(Known::new());
        }
        let vectors = self.embedder.embed(texts.clone(), purpose).await?;
        if vectors.len() != texts.len() || vectors.iter().any(|vector| vector.len() != self.mean.len()) {
            return Err(EmbedError::Failed("the model answered with vectors of another number or length".into()));
        }
        let centred =
            |vector: Vec<f32>| unit(vector.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect());
        Ok(texts.into_iter().zip(vectors.into_iter().map(centred)).collect())
    }

    /// The text block; zeros where nothing is known in words, as the model's answer to "" would be a direction of its own.
    fn text_block(&self, parts: &[Part], known: &Known) -> Vec<f32> {
        let mut block = vec![0.0; self.mean.len()];
        for part in parts {
            let mut of_part = vec![0.0; self.mean.len()];
            part.texts.iter().filter_map(|text| known.get(text)).for_each(|vector| add(&mut of_part, vector, 1.0));
            add(&mut block, &unit(of_part), part.weight);
        }
        unit(block)
    }

    fn combine(&self, mut values: Vec<f32>, numbers: [f32; NUMBERS]) -> Result<Vector, EmbedError> {
        if !self.settings.text_only {
            values.extend(numbers.map(|number| number * NUMBERS_WEIGHT));
        }
        let vector = Vector::with_dims(values, self.space.dims());
        let unit = vector.and_then(|vector| Vector::new(vector.to_unit()));
        unit.map_err(|error| EmbedError::Failed(format!("no vector can be made of this track: {error}")))
    }
}

fn add(sum: &mut [f32], values: &[f32], weight: f32) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

/// Made length 1; zeros stay zeros.
fn unit(mut values: Vec<f32>) -> Vec<f32> {
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

    fn numbers(&self, track: &TrackFields) -> Vec<(&'static str, f32)> {
        NAMES.into_iter().zip(measure(track)).collect()
    }

    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        let told: Vec<Vec<Part>> = tracks.iter().map(|track| self.settings.template.describe(track)).collect();
        let mut texts: Vec<String> = told.iter().flatten().flat_map(|part| part.texts.iter().cloned()).collect();
        texts.sort_unstable();
        texts.dedup();
        let known = self.embed(texts, Purpose::Document).await?;
        told.iter()
            .zip(&tracks)
            .map(|(parts, track)| self.combine(self.text_block(parts, &known), measure(track)))
            .collect()
    }

    /// Words are compared as they are typed: with the parts of a track's text block, of which they are most often one.
    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError> {
        let known = self.embed(vec![words], Purpose::Query).await?;
        let block = known.into_values().next().unwrap_or_default();
        self.combine(block, [0.0; NUMBERS])
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.embedder.health().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use soniquebay_domain::{EmbedError, Embedder, Purpose, Space, TrackFields, Vectorizer, dot};

    use super::{SpaceSettings, Template, TextAndNumbers};

    /// A direction a text, by its first letter; remembers what it was asked.
    struct Letters {
        model: &'static str,
        dims: usize,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Embedder for Letters {
        fn model(&self) -> &str {
            self.model
        }

        fn dims(&self) -> usize {
            self.dims
        }

        async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.asked.lock().unwrap().extend(texts.iter().cloned());
            let axis = |text: &String| usize::from(text.as_bytes()[0] - b'a');
            Ok(texts
                .iter()
                .map(|text| (0..self.dims).map(|i| f32::from(u8::from(i == axis(text)))).collect())
                .collect())
        }
    }

    fn over(model: &'static str, dims: usize, settings: SpaceSettings) -> (Arc<Letters>, TextAndNumbers) {
        let letters = Arc::new(Letters { model, dims, asked: Mutex::default() });
        (letters.clone(), TextAndNumbers::new(letters, settings).unwrap())
    }

    fn track(title: &str, artist: &str, genres: &[&str]) -> TrackFields {
        TrackFields {
            title: Some(title.into()),
            artist: Some(artist.into()),
            genre_tags: genres.iter().map(|genre| (*genre).to_owned()).collect(),
            ..TrackFields::default()
        }
    }

    #[tokio::test]
    async fn the_text_block_is_the_weighted_sum_of_its_parts() {
        let (letters, vectorizer) = over("letters", 5, SpaceSettings::default());
        let tracks = [track("t", "a", &["c"]), track("b", "a", &["c", "d"]), TrackFields::default()];
        let vector = vectorizer.vectorize(tracks[..2].to_vec()).await.unwrap().remove(1).to_unit();
        assert_eq!(*letters.asked.lock().unwrap(), ["a", "b", "c", "d", "t"], "each once");
        // Two genres share the weight of one.
        let norm = (1.0f32 + 0.49 + 4.0).sqrt();
        let half = 2.0 / 2f32.sqrt() / norm;
        for (found, expected) in vector.iter().zip([1.0 / norm, 0.7 / norm, half, half, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{vector:?}");
        }
        let nothing = vectorizer.vectorize(tracks[2..].to_vec()).await.unwrap_err().to_string();
        assert!(nothing.contains("no vector"), "{nothing}");
    }

    #[tokio::test]
    async fn numbers_alone_make_a_vector_where_words_are_absent() {
        let (letters, vectorizer) = over("letters", 5, SpaceSettings::default());
        let dated = TrackFields { year: Some(1970), ..TrackFields::default() };
        let vector = vectorizer.vectorize(vec![dated]).await.unwrap().remove(0).to_unit();
        assert_eq!((vector[..5].iter().map(|v| v.abs()).sum::<f32>(), vector[16]), (0.0, -1.0));
        assert!(letters.asked.lock().unwrap().is_empty(), "nothing to embed");
    }

    #[tokio::test]
    async fn a_typed_name_is_near_the_track_that_bears_it() {
        let (_, vectorizer) = over("letters", 5, SpaceSettings::default());
        let vectors = vectorizer.vectorize(vec![track("b", "a", &[]), track("c", "a", &[])]).await.unwrap();
        let query = vectorizer.vectorize_query("b".into()).await.unwrap().to_unit();
        assert!(dot(&query, &vectors[0].to_unit()) > dot(&query, &vectors[1].to_unit()));
    }

    #[test]
    fn spaces_are_named_and_read_back() {
        for (model, text_dims, template, text_only, name) in [
            ("all-MiniLM-L6-v2", 384, Template::Parts, false, "all-MiniLM-L6-v2/396/parts-1"),
            ("all-MiniLM-L6-v2", 384, Template::Fields, true, "all-MiniLM-L6-v2/384/fields-1"),
            ("all-MiniLM-L6-v2-int8", 384, Template::Parts, false, "all-MiniLM-L6-v2-int8/396/parts-1"),
            (
                "nomic-embed-text",
                768,
                Template::Parts,
                true,
                "nomic-embed-text/768/parts-1-uncentred+search_document+search_query",
            ),
            (
                "nomic-embed-text",
                768,
                Template::Parts,
                false,
                "nomic-embed-text/780/parts-1-uncentred+search_document+search_query",
            ),
        ] {
            let (settings, space) = (SpaceSettings { template, text_only }, Space::parse(name).unwrap());
            assert_eq!(settings.space(model, text_dims).as_ref(), Ok(&space));
            assert_eq!(SpaceSettings::of(&space, text_dims), Some(settings));
            let (_, vectorizer) = over(model, text_dims, settings);
            assert_eq!((vectorizer.space(), vectorizer.text_dims()), (&space, text_dims));
        }
        for foreign in ["external/396", "all-MiniLM-L6-v2/396/parts-2", "all-MiniLM-L6-v2/400/parts-1", "x/396/parts-1"]
        {
            assert_eq!(SpaceSettings::of(&Space::parse(foreign).unwrap(), 384), None, "{foreign}");
        }
    }

    #[test]
    fn a_model_of_another_length_than_its_mean_is_refused() {
        let letters = Letters { model: "all-MiniLM-L6-v2", dims: 5, asked: Mutex::default() };
        assert!(TextAndNumbers::new(Arc::new(letters), SpaceSettings::default()).is_err());
    }
}
