//! Cutting many texts into batches of similar cost.

/// Tokens per batch. Large enough to keep the kernels busy, small enough that the
/// activations stay in the second-level cache and that a waiting query gets its turn soon.
const BATCH_TOKENS: usize = 256;

/// Groups texts, given their token counts, into batches of at most [`BATCH_TOKENS`] tokens;
/// a longer text is a batch of its own. Returns indices into `lengths`.
///
/// Longest first: the short batches at the end then even out the workers' finishing times.
pub(crate) fn cut(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch) if lengths[index] <= room => {
                room -= lengths[index];
                batch.push(index);
            }
            _ => {
                room = BATCH_TOKENS.saturating_sub(lengths[index]);
                batches.push(vec![index]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_exactly_one_batch_within_the_budget() {
        let lengths: Vec<usize> = (0..200).map(|i| 2 + (i * 7919) % 300).collect();
        let batches = cut(&lengths);
        for batch in &batches {
            let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
            assert!(tokens <= BATCH_TOKENS || batch.len() == 1);
        }
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..lengths.len()));
    }

    #[test]
    fn nothing_gives_no_batches() {
        assert!(cut(&[]).is_empty());
    }
}
