use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use soniquebay_domain::{EmbedError, Embedder, Purpose};
use tokio::sync::OnceCell;

use crate::local::{ALL_MINILM_L6_V2, LocalEmbedder, LocalModel, Precision};
use crate::model_files::{ModelFiles, ModelFilesError, ModelStatus};

/// The model of a data folder, loaded when it is first needed: a command that embeds nothing costs no memory, and a model
/// that is pulled while a server runs is found without a restart.
pub struct InstalledModel {
    name: String,
    precision: Precision,
    files: ModelFiles,
    loaded: OnceCell<LocalEmbedder>,
    /// What the last look at the content of the files said, by their fingerprint: damaged files are not read again and again.
    checked: Arc<Mutex<Option<Checked>>>,
}

/// A fingerprint of files, and what their content said.
type Checked = (String, Result<(), EmbedError>);

impl InstalledModel {
    /// The model whose files these are, there or not, in single precision.
    pub fn new(files: ModelFiles) -> Self {
        Self::with_precision(files, Precision::Fp32)
    }

    /// The model whose files these are, there or not. The files are the same for every precision; the name is not.
    pub fn with_precision(files: ModelFiles, precision: Precision) -> Self {
        let name = ALL_MINILM_L6_V2.model_name(precision);
        Self { name, precision, files, loaded: OnceCell::new(), checked: Arc::default() }
    }

    fn missing(&self) -> EmbedError {
        EmbedError::ModelMissing { model: self.name.clone() }
    }

    /// Whether the files hold what was published: a damaged model would make vectors that look right and are not.
    async fn content(&self) -> Result<(), EmbedError> {
        let (files, checked) = (self.files.clone(), Arc::clone(&self.checked));
        let unavailable = |error: ModelFilesError| EmbedError::Unavailable(error.to_string());
        let fingerprint = files.fingerprint().map_err(unavailable)?;
        tokio::task::spawn_blocking(move || {
            let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((known, result)) = &*checked
                && *known == fingerprint
            {
                return result.clone();
            }
            let result = files.verify_once().map_err(|error| {
                EmbedError::Unavailable(format!("{error}: fetch it again with `soniquebay model pull`"))
            });
            *checked = Some((fingerprint, result.clone()));
            result
        })
        .await
        .map_err(|panic| EmbedError::Unavailable(panic.to_string()))?
    }

    /// The loaded model; callers that come while it loads wait for that one loading.
    async fn embedder(&self) -> Result<&LocalEmbedder, EmbedError> {
        self.loaded
            .get_or_try_init(|| async {
                self.health().await?;
                let (folder, precision) = (self.files.folder().to_owned(), self.precision);
                tokio::task::spawn_blocking(move || {
                    let model = LocalModel::load(&folder, precision)
                        .map_err(|error| EmbedError::Unavailable(error.to_string()))?;
                    LocalEmbedder::start(Arc::new(model), LocalEmbedder::default_workers())
                        .map_err(|error| EmbedError::Unavailable(error.to_string()))
                })
                .await
                .map_err(|panic| EmbedError::Unavailable(panic.to_string()))?
            })
            .await
    }
}

#[async_trait]
impl Embedder for InstalledModel {
    fn model(&self) -> &str {
        &self.name
    }

    fn dims(&self) -> usize {
        ALL_MINILM_L6_V2.hidden
    }

    async fn health(&self) -> Result<(), EmbedError> {
        if self.loaded.initialized() {
            return Ok(());
        }
        match self.files.status() {
            Ok(ModelStatus::Present) => self.content().await,
            Ok(ModelStatus::Missing { .. }) => Err(self.missing()),
            Ok(ModelStatus::WrongSize { file, expected, found }) => Err(EmbedError::Unavailable(format!(
                "{file} has {found} bytes instead of {expected}: fetch it again with `soniquebay model pull`"
            ))),
            Err(error) => Err(EmbedError::Unavailable(error.to_string())),
        }
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embedder().await?.embed(texts, purpose).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn each_precision_is_a_model_of_its_own_name() {
        let files = ModelFiles::all_minilm_l6_v2(Path::new("/nonexistent"));
        for (model, name) in [
            (InstalledModel::new(files.clone()), "all-MiniLM-L6-v2"),
            (InstalledModel::with_precision(files, Precision::Int8), "all-MiniLM-L6-v2-int8"),
        ] {
            assert_eq!((model.model(), model.dims()), (name, 384));
            assert_eq!(model.health().await, Err(EmbedError::ModelMissing { model: name.to_owned() }));
        }
    }
}
