//! Fingerprints by id, page by page, as our lists give them.

use serde::Deserialize;
use soniquebay_domain::{ContentHash, Fingerprint, MetadataHash, StoreError, TrackId};
use soniquebay_http::StatusCode;

use super::service::{Problem, Service};

/// Fingerprints in one answer.
const PAGE: usize = 1000;

/// An id and two hashes with their names take a tenth of it.
const BYTES: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<i64>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(alias = "id")]
    track_id: i64,
    content_hash: String,
    metadata_hash: String,
    #[serde(default)]
    file_hash: Option<String>,
}

impl Item {
    fn read(&self) -> Option<Fingerprint> {
        Some(Fingerprint {
            track_id: TrackId::new(self.track_id)?,
            content_hash: ContentHash::parse(&self.content_hash)?,
            metadata_hash: MetadataHash::parse(&self.metadata_hash)?,
            file_hash: self.file_hash.as_deref().and_then(ContentHash::parse),
        })
    }
}

/// Up to `limit` fingerprints above `after` from the list that `question` begins to ask for; `None` where the server has no
/// such list.
pub(super) async fn fingerprints(
    service: &Service,
    question: &str,
    after: i64,
    limit: usize,
) -> Result<Option<Vec<Fingerprint>>, StoreError> {
    let (mut found, mut after) = (Vec::new(), after);
    while found.len() < limit {
        let path = format!("{question}&after={after}&limit={}", (limit - found.len()).min(PAGE));
        let answer = service.get(&path, BYTES).await?;
        match answer.status {
            // There is nothing at all of what was asked for: most likely another server.
            StatusCode::NOT_FOUND => return Err(service.answered(&path, &answer)),
            status if !status.is_success() && Problem::of(&answer).code.is_none() => return Ok(None),
            status if !status.is_success() => return Err(service.answered(&path, &answer)),
            _ => {}
        }
        let answered: serde_json::Value = service.read(&path, &answer)?;
        let Ok(page) = serde_json::from_value::<Page>(answered) else { return Ok(None) };
        for item in &page.items {
            let one = item.read().filter(|one| one.track_id.get() > after);
            let one = one.ok_or_else(|| service.fault("its list holds an entry that is out of place"))?;
            after = one.track_id.get();
            found.push(one);
        }
        if page.next.is_none() || page.items.is_empty() {
            break;
        }
    }
    found.truncate(limit);
    Ok(Some(found))
}
