use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};
use soniquebay_domain::{Fingerprint, StoreError, Track, TrackId, Tracks};
use soniquebay_http::{ApiKey, BaseUrl, StatusCode};
use soniquebay_wire::read_track;
use tokio::sync::Mutex;

use super::listing;
use super::service::{AT_ONCE, Patience, Service, joined};

/// Tracks named in one request: the line it makes fits through any proxy.
const IDS_AT_ONCE: usize = 250;

/// Of an answer with tracks, each of which may have 16 kB of fields that nobody knows.
const BYTES: usize = 32 * 1024 * 1024;

/// Tracks a page of a list that is walked by `skip`; the second where the first is more than the server gives.
const PAGES: [usize; 2] = [500, 100];

/// Tracks of a library whose list has no order of its own, of which all fingerprints are held at a time.
const MOST_WALKED: usize = 1_000_000;

/// The tracks of a library that is another process.
pub struct RemoteLibrary {
    pub(super) service: Service,
    /// It does not know `ids`: tracks are asked for one by one.
    one_by_one: AtomicBool,
    /// It does not know `after` and `fields`: its list is walked by `skip`.
    by_skip: AtomicBool,
    /// What such a walk found, until it has been given away.
    walked: Mutex<Option<Vec<Fingerprint>>>,
}

impl RemoteLibrary {
    /// Nothing is asked before it is needed.
    pub fn new(server: BaseUrl, api_key: Option<ApiKey>, patience: Patience) -> Self {
        Self {
            service: Service::new("library", server, api_key, patience),
            one_by_one: AtomicBool::new(false),
            by_skip: AtomicBool::new(false),
            walked: Mutex::new(None),
        }
    }

    /// Some tracks in one request; `None` where the library does not understand it.
    async fn by_ids(&self, ids: &[TrackId]) -> Result<Option<Vec<Track>>, StoreError> {
        let path = format!("/api/tracks/?ids={}", joined(ids));
        let answer = self.service.get(&path, BYTES).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(self.service.answered(&path, &answer));
        }
        if !answer.status.is_success() {
            return Ok(None);
        }
        let Value::Array(items) = self.service.read(&path, &answer)? else { return Ok(None) };
        let mut tracks = Vec::with_capacity(items.len());
        for item in items {
            // Whoever ignores `ids` answers with the first tracks there are, and knows no hashes.
            let Value::Object(fields) = item else { return Ok(None) };
            let asked = fields.get("id").and_then(Value::as_i64).and_then(TrackId::new).filter(|id| ids.contains(id));
            if asked.is_none() || !fields.contains_key("content_hash") {
                return Ok(None);
            }
            tracks.extend(self.readable(fields));
        }
        Ok(Some(tracks))
    }

    async fn by_id(&self, id: TrackId) -> Result<Option<Track>, StoreError> {
        let path = format!("/api/tracks/{id}");
        let answer = self.service.get(&path, BYTES).await?;
        match answer.status {
            // A page says that there is no such address; JSON, that there is no such track.
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let _: Map<String, Value> =
                    self.service.read(&path, &answer).map_err(|_| self.service.answered(&path, &answer))?;
                return Ok(None);
            }
            status if !status.is_success() => return Err(self.service.answered(&path, &answer)),
            _ => {}
        }
        Ok(self.readable(self.service.read(&path, &answer)?).filter(|track| track.id == id))
    }

    /// One track that cannot be read does not hold the others back.
    pub(super) fn readable(&self, fields: Map<String, Value>) -> Option<Track> {
        let id = fields.get("id").cloned().unwrap_or_default();
        read_track(fields)
            .inspect_err(|errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                tracing::warn!(track.id = %id, errors = errors.join("; "), "The library's track cannot be read");
            })
            .ok()
    }

    /// The next fingerprints of a library whose list is in no order that could be gone on from: it is read whole at the
    /// walk's start.
    async fn walk(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        let mut walked = self.walked.lock().await;
        let all = match walked.take().filter(|_| after > 0) {
            Some(all) => all,
            None => self.read_all().await?,
        };
        let start = all.partition_point(|one| one.track_id.get() <= after);
        let page: Vec<Fingerprint> = all.iter().skip(start).take(limit).cloned().collect();
        if page.len() == limit {
            *walked = Some(all);
        }
        Ok(page)
    }

    async fn read_all(&self) -> Result<Vec<Fingerprint>, StoreError> {
        let mut found: BTreeMap<i64, Option<Fingerprint>> = BTreeMap::new();
        let [mut size, small] = PAGES;
        let mut skip = 0;
        loop {
            let path = format!("/api/tracks/?skip={skip}&limit={size}");
            let answer = self.service.get(&path, BYTES).await?;
            if matches!(answer.status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST) && size > small {
                size = small;
                continue;
            }
            if !answer.status.is_success() {
                return Err(self.service.answered(&path, &answer));
            }
            let items: Vec<Map<String, Value>> = self.service.read(&path, &answer)?;
            skip += items.len();
            let known = found.len();
            for fields in items {
                let id = fields.get("id").and_then(Value::as_i64).unwrap_or(0);
                found.entry(id).or_insert_with(|| self.readable(fields).map(|track| Fingerprint::from(&track)));
            }
            // A short page may only be as long as the server gives; the end is where nothing new comes.
            if found.len() == known {
                return Ok(found.into_values().flatten().collect());
            }
            if found.len() > MOST_WALKED {
                return Err(self.service.fault(&format!("it has more than {MOST_WALKED} tracks, and no list by id")));
            }
        }
    }
}

#[async_trait]
impl Tracks for RemoteLibrary {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_AT_ONCE) {
            if !self.one_by_one.load(Relaxed) {
                if let Some(tracks) = self.by_ids(ids).await? {
                    found.extend(tracks);
                    continue;
                }
                self.one_by_one.store(true, Relaxed);
                self.service.make_do("ids");
            }
            let tracks = stream::iter(ids.to_vec()).map(|id| self.by_id(id)).buffer_unordered(2 * AT_ONCE);
            found.extend(tracks.try_collect::<Vec<_>>().await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        if !self.by_skip.load(Relaxed) {
            let question = "/api/tracks/?fields=id,content_hash,metadata_hash,file_hash";
            if let Some(found) = listing::fingerprints(&self.service, question, after, limit).await? {
                return Ok(found);
            }
            self.by_skip.store(true, Relaxed);
            self.service.make_do("after, fields");
        }
        self.walk(after, limit).await
    }
}
