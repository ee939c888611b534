//! Which space answers where a question names none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{Space, SpaceSize, StoreError, VectorStore};

/// How long a look at the spaces holds: counting vectors takes milliseconds, and a space fills over minutes.
const LOOK_HOLDS: Duration = Duration::from_secs(2);

/// A space answers for one that is preferred to it while it has this much more of the library. Without the margin,
/// each new track would move answers to whichever space gets its vector first.
const MARGIN: f64 = 1.05;

/// The space that covers the library best, of several.
///
/// While a space is filled, because the settings changed or its model was away, the one before goes on answering.
pub struct Serving {
    vectors: Arc<dyn VectorStore>,
    preferred: Space,
    others: Vec<Space>,
    looked: Mutex<Option<(Instant, Vec<Space>)>>,
}

impl Serving {
    /// `preferred` wherever it holds as much as the others do; those in order of preference.
    pub fn new(vectors: Arc<dyn VectorStore>, preferred: Space, others: Vec<Space>) -> Self {
        Self { vectors, preferred, others, looked: Mutex::new(None) }
    }

    /// The space that is to answer alone once it is full.
    pub fn preferred(&self) -> &Space {
        &self.preferred
    }

    /// Looks anew at the next question: a space was dropped.
    pub(crate) fn forget(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The space that answers now.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn space(&self) -> Result<Space, StoreError> {
        Ok(self.in_order().await?.swap_remove(0))
    }

    /// The space that answers now, then those that may answer in its place.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub(crate) async fn in_order(&self) -> Result<Vec<Space>, StoreError> {
        if self.others.is_empty() {
            return Ok(vec![self.preferred.clone()]);
        }
        if let Some((when, spaces)) = &*self.looked.lock().unwrap_or_else(PoisonError::into_inner)
            && when.elapsed() < LOOK_HOLDS
        {
            return Ok(spaces.clone());
        }
        let spaces = order(&self.preferred, &self.others, &self.vectors.spaces().await?);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), spaces.clone()));
        Ok(spaces)
    }
}

fn order(preferred: &Space, others: &[Space], sizes: &[SpaceSize]) -> Vec<Space> {
    let held = |space: &Space| sizes.iter().find(|size| size.space == *space).map_or(0, |size| size.vectors);
    let all: Vec<&Space> = std::iter::once(preferred).chain(others).collect();
    let most = all.iter().map(|space| held(space)).max().unwrap_or(0);
    // Never none: the one that holds most is its own first.
    let first = all.iter().position(|space| held(space) as f64 * MARGIN >= most as f64).unwrap_or(0);
    // One that was dropped meanwhile is nobody's stand-in; a wanted one may be filled at this moment.
    let stands_in = |space: &Space| held(space) > 0 || sizes.iter().any(|size| size.space == *space && size.wanted);
    let rest = all.iter().enumerate().filter(|(index, space)| *index != first && stands_in(space));
    std::iter::once(all[first]).chain(rest.map(|(_, space)| *space)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Space, SpaceSize};

    use super::order;

    fn space(name: &str) -> Space {
        Space::new(name, 3, "1").unwrap()
    }

    fn ordered(held: &[(&str, u64)]) -> Vec<String> {
        let size =
            |(name, vectors): &(&str, u64)| SpaceSize { space: space(name), wanted: *name != "old", vectors: *vectors };
        let sizes: Vec<_> = held.iter().map(size).collect();
        let spaces = order(&space("new"), &[space("second"), space("old")], &sizes);
        spaces.iter().map(|space| space.model().to_owned()).collect()
    }

    #[test]
    fn the_fuller_space_answers_until_the_preferred_one_has_caught_up() {
        let (kept, old_first) = (["new", "second", "old"], ["old", "new", "second"]);
        assert_eq!(ordered(&[]), ["new"], "before anything is wanted");
        assert_eq!(
            ordered(&[("new", 0), ("second", 0)]),
            ["new", "second"],
            "an empty library; the old one was dropped"
        );
        assert_eq!(ordered(&[("new", 0), ("second", 0), ("old", 1000)]), old_first);
        assert_eq!(ordered(&[("new", 10), ("second", 500), ("old", 1000)]), old_first);
        assert_eq!(ordered(&[("new", 940), ("second", 0), ("old", 1000)]), old_first);
        assert_eq!(ordered(&[("new", 960), ("second", 0), ("old", 1000)]), kept, "a few tracks more decide nothing");
        assert_eq!(ordered(&[("new", 10), ("second", 1000), ("old", 900)]), ["second", "new", "old"]);
    }
}
