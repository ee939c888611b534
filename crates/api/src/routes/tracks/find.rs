use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use soniquebay_domain::{Track, TrackId, fold};
use soniquebay_wire::TrackView;

use crate::Services;
use crate::error::ApiError;
use crate::params::{MAX_LIMIT, Params};

/// Text hits that the named fields are looked for in, at most.
const MOST_HITS: usize = 5000;

/// Tracks by the words in their names
///
/// `q` looks everywhere and forgives typing; `title`, `artist`, `album` must hold their words, and `genre` narrows
/// what the others found.
#[utoipa::path(
    get, path = "/api/tracks/search", operation_id = "find_tracks", tag = "tracks",
    params(
        ("q" = Option<String>, Query, description = "Words in title, artist or album", example = "bjork joga"),
        ("title" = Option<String>, Query, description = "Part of the title"),
        ("artist" = Option<String>, Query, description = "Part of the artist"),
        ("album" = Option<String>, Query, description = "Part of the album"),
        ("genre" = Option<String>, Query, description = "Part of a genre, together with one of the others"),
        ("skip" = Option<i64>, Query, description = "So many are left out at the start", minimum = 0,
            maximum = 4294967295i64),
        ("limit" = Option<u32>, Query, description = "How many; 100 where left out", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "The tracks, best first", body = Vec<TrackView>))
)]
pub(crate) async fn find_tracks(
    State(services): State<Services>,
    mut params: Params,
) -> Result<Json<Vec<TrackView>>, ApiError> {
    let [q, title, artist, album, genre] = ["q", "title", "artist", "album", "genre"].map(|name| params.text(name));
    let skip = params.number("skip", &(0..=u32::MAX as usize)).unwrap_or(0);
    let limit = params.limit(100, MAX_LIMIT);
    let words: Vec<&str> = [&q, &title, &artist, &album].into_iter().flatten().map(String::as_str).collect();
    let words = words.join(" ");
    if words.trim().is_empty() {
        params.refuse("q", "missing: say q, title, artist or album");
    } else if words.chars().count() > soniquebay_domain::bounds::TEXT_CHARS {
        params.refuse("q", format!("more than {} characters", soniquebay_domain::bounds::TEXT_CHARS));
    }
    params.finish()?;

    let plain = title.is_none() && artist.is_none() && album.is_none() && genre.is_none();
    let wanted = skip.saturating_add(limit);
    let asked = if plain { wanted } else { wanted.saturating_mul(10).max(200) }.min(MOST_HITS);
    let ids: Vec<TrackId> = services.catalog.find_text(words, asked).await?.into_iter().map(|hit| hit.id).collect();
    let tracks = services.catalog.tracks(ids.clone()).await?;
    let mut tracks: HashMap<TrackId, Track> = tracks.into_iter().map(|track| (track.id, track)).collect();
    let holds = |track: &Track| {
        let fields = &track.fields;
        let mut genres = fields.genre.iter().chain(&fields.genre_tags);
        within(title.as_deref(), fields.title.as_deref())
            && within(artist.as_deref(), fields.artist.as_deref())
            && within(album.as_deref(), fields.album.as_deref())
            && (genre.is_none() || genres.any(|one| within(genre.as_deref(), Some(one))))
    };
    let found = ids.into_iter().filter_map(|id| tracks.remove(&id)).filter(holds).skip(skip).take(limit);
    Ok(Json(found.map(|track| TrackView::from(&track)).collect()))
}

fn within(part: Option<&str>, whole: Option<&str>) -> bool {
    part.is_none_or(|part| whole.is_some_and(|whole| fold(whole).contains(&fold(part))))
}
