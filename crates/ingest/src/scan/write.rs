use std::collections::HashSet;

use soniquebay_domain::{
    Applied, Catalog, Change, Outcome, Priority, StoreError, Target, TrackFields, TrackId, TrackPatch, TrackWrite,
    WriteMode,
};

use super::moves::Vanished;
use super::read::Read;
use super::{Failure, ScanOptions, ScanReport};

/// Turns what was read into writes, and sends them in batches.
pub(super) struct Writer<'a> {
    catalog: &'a dyn Catalog,
    priority: Priority,
    batch: usize,
    vanished: Vanished,
    may_adopt: bool,
    adopted: HashSet<TrackId>,
    writes: Vec<TrackWrite>,
    /// For each write, whose file it is about and whether that moved.
    about: Vec<(String, bool)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(catalog: &'a dyn Catalog, options: &ScanOptions, vanished: Vanished, may_adopt: bool) -> Self {
        let (priority, batch) = (options.priority, options.batch.max(1));
        let (adopted, writes, about) = (HashSet::new(), Vec::with_capacity(batch), Vec::with_capacity(batch));
        Self { catalog, priority, batch, vanished, may_adopt, adopted, writes, about }
    }

    pub(super) async fn add(&mut self, read: Read, report: &mut ScanReport) -> Result<(), StoreError> {
        let path = read.file.file.path.clone();
        let tags = match read.tags {
            Ok(tags) => tags,
            Err(reason) => {
                report.fail(Failure { path, reason });
                return Ok(());
            }
        };
        report.tags_read += 1;
        tags.warnings.into_iter().for_each(|warning| report.warn(format!("{path}: {warning}")));
        let mut patch = tags.patch;
        patch.path = Change::Set(path.clone());
        patch.file_size = Change::Set(read.file.file.size);
        patch.file_mtime = Change::Set(read.file.file.mtime);
        let mut target = Target::File;
        let mut is_move = false;
        if read.file.known.is_none() {
            // Only a patch without a title fails, and the reader always gives one: then the write is refused below.
            let fields = patch.apply(&TrackFields::default()).unwrap_or_default();
            if let Some(id) = self.vanished.claim(&read.file.file, &fields) {
                target = Target::Existing { id, version: None };
                is_move = true;
            } else if let Some(id) = self.adoptable(fields).await? {
                target = Target::Existing { id, version: None };
                keep_unknown(&mut patch);
            }
        }
        self.writes.push(TrackWrite { target, mode: WriteMode::Merge, patch, priority: self.priority });
        self.about.push((path, is_move));
        if self.writes.len() >= self.batch { self.flush(report).await } else { Ok(()) }
    }

    /// Writes what is left; the tracks whose files moved.
    pub(super) async fn finish(mut self, report: &mut ScanReport) -> Result<HashSet<TrackId>, StoreError> {
        self.flush(report).await?;
        Ok(self.vanished.into_claimed())
    }

    /// A track that came without a file, by import or over HTTP, and that this file holds.
    async fn adoptable(&mut self, mut fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        if !self.may_adopt {
            return Ok(None);
        }
        fields.identity.path = None;
        let found = self.catalog.without_file(fields).await?;
        // A second copy of the song may come before the first one's batch is written: it is a track of its own.
        Ok(found.filter(|id| self.adopted.insert(*id)))
    }

    async fn flush(&mut self, report: &mut ScanReport) -> Result<(), StoreError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let applied = self.catalog.apply(std::mem::take(&mut self.writes)).await?;
        for ((path, is_move), applied) in self.about.drain(..).zip(applied) {
            match applied {
                Applied::Done { .. } if is_move => report.moved += 1,
                Applied::Done { outcome: Outcome::Created, .. } => report.created += 1,
                Applied::Done { outcome: Outcome::Updated, .. } => report.updated += 1,
                Applied::Done { outcome: Outcome::Unchanged, .. } => report.unchanged += 1,
                Applied::Refused(error) => report.fail(Failure { path, reason: error.to_string() }),
                Applied::Missing(id) | Applied::Outdated { id, .. } => {
                    let reason = format!("track {id} was changed meanwhile: scan again");
                    report.fail(Failure { path, reason });
                }
            }
        }
        Ok(())
    }
}

/// An imported track often knows more than the tags of the file that it finds: what they don't say stays.
fn keep_unknown(patch: &mut TrackPatch) {
    fn keep<T>(change: &mut Change<T>) {
        if matches!(change, Change::Clear) {
            *change = Change::Keep;
        }
    }
    let TrackPatch { title, artist, album, album_artist, genre, musicbrainz_id, isrc, .. } = patch;
    [title, artist, album, album_artist, genre, musicbrainz_id, isrc].into_iter().for_each(keep);
    [&mut patch.genre_tags, &mut patch.mood_tags].into_iter().for_each(keep);
    keep(&mut patch.year);
    keep(&mut patch.duration);
    keep(&mut patch.bitrate);
}
