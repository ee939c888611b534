//! One space's vectors in memory.

use std::collections::HashMap;

use soniquebay_domain::{Facts, TrackId, Vector, VectorChange};

use crate::scan::Rows;

/// A space's rows, up to one point of the change log.
pub(crate) struct Segment {
    dims: usize,
    sequence: i64,
    numbers: Vec<f32>,
    ids: Vec<TrackId>,
    facts: Vec<Facts>,
    row_of: HashMap<TrackId, usize>,
}

impl Segment {
    pub(crate) fn new(dims: usize) -> Self {
        Self { dims, sequence: 0, numbers: Vec::new(), ids: Vec::new(), facts: Vec::new(), row_of: HashMap::new() }
    }

    /// Number of the last change that is in.
    pub(crate) fn sequence(&self) -> i64 {
        self.sequence
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { dims: self.dims, numbers: &self.numbers, ids: &self.ids, facts: &self.facts }
    }

    /// Takes changes in. Those that are in already are left out: a search that was given up leaves its batch to finish
    /// behind a later one, and must not bring an older vector back.
    pub(crate) fn apply(&mut self, changes: Vec<VectorChange>) {
        for change in changes {
            if change.sequence <= self.sequence {
                continue;
            }
            self.sequence = change.sequence;
            match change.now {
                Some((vector, facts)) if vector.as_slice().len() == self.dims => {
                    self.put(change.track_id, &vector, facts);
                }
                Some((vector, _)) => {
                    tracing::warn!(
                        track.id = %change.track_id, found = vector.as_slice().len(), expected = self.dims,
                        "A stored vector has another length than its space and is left out"
                    );
                    self.remove(change.track_id);
                }
                None => self.remove(change.track_id),
            }
        }
    }

    fn put(&mut self, id: TrackId, vector: &Vector, facts: Facts) {
        let unit = vector.to_unit();
        if let Some(&row) = self.row_of.get(&id) {
            self.numbers[row * self.dims..(row + 1) * self.dims].copy_from_slice(&unit);
            self.facts[row] = facts;
            return;
        }
        if self.numbers.len() == self.numbers.capacity() {
            // Doubling would hold twice the library in memory for a moment; an eighth more costs few copies.
            self.numbers.reserve_exact((self.ids.len() / 8).max(1024) * self.dims);
        }
        self.row_of.insert(id, self.ids.len());
        self.ids.push(id);
        self.facts.push(facts);
        self.numbers.extend_from_slice(&unit);
    }

    /// The last row takes the place of the removed one.
    fn remove(&mut self, id: TrackId) {
        let Some(row) = self.row_of.remove(&id) else { return };
        let last = self.ids.len() - 1;
        self.ids.swap_remove(row);
        self.facts.swap_remove(row);
        self.numbers.copy_within(last * self.dims..(last + 1) * self.dims, row * self.dims);
        self.numbers.truncate(last * self.dims);
        if row != last {
            self.row_of.insert(self.ids[row], row);
        }
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Facts, TrackId, Vector, VectorChange};

    use super::Segment;

    fn change(sequence: i64, id: i64, now: Option<[f32; 2]>) -> VectorChange {
        let track_id = TrackId::new(id).unwrap();
        let now = now.map(|v| (Vector::new(v.to_vec()).unwrap(), Facts::default()));
        VectorChange { sequence, track_id, now }
    }

    fn content(segment: &Segment) -> Vec<(i64, [f32; 2])> {
        let rows = segment.rows();
        let mut all: Vec<_> =
            rows.ids.iter().zip(rows.numbers.chunks(2)).map(|(id, v)| (id.get(), [v[0], v[1]])).collect();
        all.sort_by_key(|row| row.0);
        all
    }

    #[test]
    fn rows_follow_the_log() {
        let mut segment = Segment::new(2);
        let [x, y] = [[1.0, 0.0], [0.0, 1.0]];
        segment.apply(vec![change(1, 1, Some(x)), change(2, 2, Some([0.0, 5.0])), change(3, 3, Some(x))]);
        assert_eq!(content(&segment), [(1, x), (2, y), (3, x)], "vectors are made unit");
        segment.apply(vec![change(4, 1, None), change(5, 3, Some(y)), change(6, 9, None)]);
        assert_eq!(content(&segment), [(2, y), (3, y)]);
        segment.apply(vec![change(7, 2, None), change(8, 3, None), change(9, 4, Some(x))]);
        assert_eq!((content(&segment), segment.sequence()), (vec![(4, x)], 9));
    }

    #[test]
    fn a_late_batch_changes_nothing() {
        let mut segment = Segment::new(2);
        segment.apply(vec![change(5, 1, Some([1.0, 0.0]))]);
        segment.apply(vec![change(4, 1, Some([0.0, 1.0])), change(5, 1, None)]);
        assert_eq!(content(&segment), [(1, [1.0, 0.0])]);
    }

    #[test]
    fn a_vector_of_another_length_is_left_out() {
        let mut segment = Segment::new(3);
        segment.apply(vec![change(1, 1, Some([1.0, 0.0]))]);
        assert!(segment.rows().ids.is_empty());
    }
}
