use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;
use soniquebay_domain::{Fingerprint, Space, SpaceSize, StoreError, StoredVector, TrackId, VectorWrite, Vectors};
use soniquebay_http::{Answer, ApiKey, BaseUrl, Bytes, Method, StatusCode};
use soniquebay_wire::{VectorAnswer, VectorOutput};

use super::listing;
use super::service::{AT_ONCE, Patience, Problem, Service, encoded, joined};

/// Bytes of a body, below the 2 MiB that the API takes.
const BODY_BYTES: usize = 1_900_000;

/// Vectors that the API takes at once.
const VECTORS_AT_ONCE: usize = 1000;

/// Vectors asked for at once.
const IDS_AT_ONCE: usize = 100;

/// Of an answer without numbers.
const BYTES: usize = 1024 * 1024;

/// A number as servers write it, with its comma, is no longer.
const BYTES_A_NUMBER: usize = 32;

/// The vectors of a recommender that is another process.
pub struct RemoteVectors {
    service: Service,
    /// It takes no batches: vectors are sent one by one.
    no_batch: AtomicBool,
    /// It does not know `ids`: vectors are asked for one by one.
    one_by_one: AtomicBool,
}

/// A vector as it is sent.
struct Item {
    id: TrackId,
    json: Vec<u8>,
}

impl RemoteVectors {
    /// Nothing is asked before it is needed.
    pub fn new(server: BaseUrl, api_key: Option<ApiKey>, patience: Patience) -> Self {
        Self {
            service: Service::new("recommender", server, api_key, patience),
            no_batch: AtomicBool::new(false),
            one_by_one: AtomicBool::new(false),
        }
    }

    async fn put_chunk(&self, items: &[Item]) -> Result<(), StoreError> {
        if !self.no_batch.load(Relaxed) {
            let path = "/api/track-vectors/batch";
            let answer = self.service.ask(Method::POST, path, array(items), BYTES).await?;
            if answer.status.is_success() {
                return Ok(());
            }
            let is_unknown = matches!(
                answer.status,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNPROCESSABLE_ENTITY
            );
            if !is_unknown || Problem::of(&answer).code.is_some() {
                return Err(self.refused(path, &answer, items));
            }
            self.no_batch.store(true, Relaxed);
            self.service.make_do("batch");
        }
        let puts: Vec<_> = items.iter().map(|item| self.put_one(item)).collect();
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn put_one(&self, item: &Item) -> Result<(), StoreError> {
        let path = "/api/track-vectors/";
        let answer = self.service.ask(Method::POST, path, item.json.clone().into(), BYTES).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(self.refused(path, &answer, std::slice::from_ref(item))),
        }
    }

    fn refused(&self, path: &str, answer: &Answer, items: &[Item]) -> StoreError {
        let problem = Problem::of(answer);
        let sent: Vec<TrackId> = items.iter().map(|item| item.id).collect();
        match (answer.status, problem.code.as_deref(), problem.track(&sent)) {
            (StatusCode::NOT_FOUND, Some("no_track"), Some(id)) => StoreError::NoTrack(id),
            (StatusCode::NOT_FOUND, None, Some(id)) if problem.is_authors() => StoreError::NoTrack(id),
            (StatusCode::CONFLICT, Some("vector_outdated"), Some(id)) => StoreError::Outdated(id),
            _ => self.service.answered(path, answer),
        }
    }

    /// Some vectors in one request; `None` where the recommender does not understand it.
    async fn by_ids(&self, space: &Space, ids: &[TrackId]) -> Result<Option<Vec<StoredVector>>, StoreError> {
        let path = format!("/api/track-vectors/?ids={}&space={}", joined(ids), encoded(&space.to_string()));
        let answer = self.service.get(&path, BYTES + ids.len() * space.dims() * BYTES_A_NUMBER).await?;
        if !answer.status.is_success() {
            return match Problem::of(&answer).code.as_deref() {
                // Another program, or an older version of ours.
                None | Some("invalid_filter") => Ok(None),
                Some(_) => Err(self.service.answered(&path, &answer)),
            };
        }
        let Ok(items) = serde_json::from_slice::<Vec<VectorAnswer>>(&answer.body) else {
            // JSON of another shape is another program's; what is no JSON is nobody's.
            return self.service.read::<IgnoredAny>(&path, &answer).map(|_| None);
        };
        let mut vectors = Vec::with_capacity(items.len());
        for item in items {
            // Whoever ignores `ids` answers with the first vectors there are, and knows no hashes.
            let is_ours = item.says_all();
            match item.check(space) {
                Ok(stored) if is_ours && ids.contains(&stored.track_id) => vectors.push(stored),
                Ok(_) => return Ok(None),
                Err(_) if !is_ours => return Ok(None),
                Err(error) => return Err(self.service.fault(&format!("a vector cannot be read: {error}"))),
            }
        }
        Ok(Some(vectors))
    }

    async fn by_id(&self, space: &Space, id: TrackId) -> Result<Option<StoredVector>, StoreError> {
        let path = format!("/api/track-vectors/{id}?space={}", encoded(&space.to_string()));
        let answer = self.service.get(&path, BYTES + space.dims() * BYTES_A_NUMBER).await?;
        match answer.status {
            StatusCode::NOT_FOUND => return Ok(None),
            status if !status.is_success() => return Err(self.service.answered(&path, &answer)),
            _ => {}
        }
        let stored = self.service.read::<VectorAnswer>(&path, &answer)?.check(space);
        // One of another length or space is none of this space.
        let stored = stored.inspect_err(|error| tracing::debug!(track.id = %id, %error, "Not a vector of {space}"));
        Ok(stored.ok().filter(|stored| stored.track_id == id))
    }

    async fn forget_one(&self, id: TrackId) -> Result<usize, StoreError> {
        let path = format!("/api/track-vectors/{id}");
        let answer = self.service.ask(Method::DELETE, &path, Bytes::new(), BYTES).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(0),
            status if status.is_success() => Ok(1),
            _ => Err(self.service.answered(&path, &answer)),
        }
    }
}

#[async_trait]
impl Vectors for RemoteVectors {
    /// All or none of up to 1,000 vectors that fit into 1.9 MB, which is some 300 of 396 numbers. Of more, some may be stored
    /// when others are refused: storing all again does no harm.
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError> {
        let mut items = Vec::with_capacity(writes.len());
        for write in &writes {
            let json = serde_json::to_vec(&VectorOutput::from(write));
            let json = json.map_err(|error| self.service.fault(&format!("a vector cannot be written: {error}")))?;
            items.push(Item { id: write.track_id, json });
        }
        let puts: Vec<_> = chunks(&items).into_iter().map(|chunk| self.put_chunk(chunk)).collect();
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_AT_ONCE) {
            if !self.one_by_one.load(Relaxed) {
                if let Some(vectors) = self.by_ids(space, ids).await? {
                    found.extend(vectors);
                    continue;
                }
                self.one_by_one.store(true, Relaxed);
                self.service.make_do("ids");
            }
            let vectors = stream::iter(ids.to_vec()).map(|id| self.by_id(space, id)).buffer_unordered(2 * AT_ONCE);
            found.extend(vectors.try_collect::<Vec<_>>().await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// A recommender that keeps no hashes cannot be compared with a library, and that is an error: an empty answer would
    /// have everything made anew, again and again.
    async fn vector_fingerprints(
        &self,
        space: &Space,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        let fields = "track_id,content_hash,metadata_hash,space";
        let question = format!("/api/track-vectors/?fields={fields}&space={}", encoded(&space.to_string()));
        let found = listing::fingerprints(&self.service, &question, after, limit).await?;
        found.ok_or_else(|| self.service.fault("it does not tell what its vectors were made from"))
    }

    /// None of a recommender that knows no spaces.
    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        #[derive(Deserialize)]
        struct Spaces {
            spaces: Vec<Size>,
        }
        #[derive(Deserialize)]
        struct Size {
            space: String,
            wanted: bool,
            ready: u64,
            stale: u64,
        }
        let path = "/api/spaces";
        let answer = self.service.get(path, BYTES).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(Vec::new()),
            status if !status.is_success() => return Err(self.service.answered(path, &answer)),
            _ => {}
        }
        let Spaces { spaces } = self.service.read(path, &answer)?;
        let sizes = spaces.into_iter().map(|Size { space, wanted, ready, stale }| {
            let space = Space::parse(&space).map_err(|error| self.service.fault(&error.to_string()))?;
            Ok(SpaceSize { space, wanted, vectors: ready.saturating_add(stale) })
        });
        sizes.collect()
    }

    async fn forget(&self, ids: Vec<TrackId>) -> Result<usize, StoreError> {
        let counts = stream::iter(ids).map(|id| self.forget_one(id)).buffer_unordered(AT_ONCE);
        counts.try_fold(0, |sum, count| async move { Ok(sum + count) }).await
    }
}

fn array(items: &[Item]) -> Bytes {
    let mut body = Vec::with_capacity(items.iter().map(|item| item.json.len() + 1).sum::<usize>() + 1);
    for item in items {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&item.json);
    }
    body.push(b']');
    body.into()
}

/// As few requests as the bounds of a body allow.
fn chunks(items: &[Item]) -> Vec<&[Item]> {
    let (mut chunks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, item) in items.iter().enumerate() {
        let is_full = bytes + item.json.len() >= BODY_BYTES || index - start == VECTORS_AT_ONCE;
        if is_full && index > start {
            chunks.push(&items[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += item.json.len() + 1;
    }
    if start < items.len() {
        chunks.push(&items[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use soniquebay_domain::TrackId;

    use super::{BODY_BYTES, Item, array, chunks};

    fn items(sizes: &[usize]) -> Vec<Item> {
        let item = |size: &usize| Item { id: TrackId::new(1).unwrap(), json: vec![b'1'; *size] };
        sizes.iter().map(item).collect()
    }

    #[test]
    fn chunks_stay_within_the_bounds_of_a_body() {
        for (sizes, lengths) in [
            (vec![], vec![]),
            (vec![5000; 64], vec![64]),
            (vec![5000; 1000], vec![379, 379, 242]),
            (vec![10; 2500], vec![1000, 1000, 500]),
            (vec![BODY_BYTES + 1, 1, 1], vec![1, 2]),
        ] {
            let items = items(&sizes);
            let chunks = chunks(&items);
            assert_eq!(chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), lengths);
            assert!(chunks.iter().filter(|chunk| chunk.len() > 1).all(|chunk| array(chunk).len() < 2 * 1024 * 1024));
        }
        let body: Value = serde_json::from_slice(&array(&items(&[1, 2]))).unwrap();
        assert_eq!(body, serde_json::json!([1, 11]));
    }
}
