use std::time::Duration;

use soniquebay_domain::{Job, MakeError, Setback};

/// First wait after a failure; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(2);

/// No wait is longer.
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// How long jobs rest while a service is away.
const SNOOZE: Duration = Duration::from_secs(10);

/// What becomes of a job whose vector could not be made.
pub(crate) fn setback(job: &Job, error: &MakeError) -> Setback {
    match error {
        MakeError::Away(reason) => Setback::Snooze { delay: SNOOZE, reason: reason.clone() },
        MakeError::Refused(reason) => Setback::Discard { reason: reason.clone() },
        MakeError::Failed(reason) if job.attempts.made + 1 >= job.attempts.allowed => {
            Setback::Discard { reason: format!("{reason} (tried {} times)", job.attempts.allowed) }
        }
        MakeError::Failed(reason) => {
            Setback::Retry { delay: delay(job.attempts.made, job.track_id.get()), reason: reason.clone() }
        }
    }
}

/// Exponential, with jitter between half and all of it, so that jobs that failed together do not return together.
fn delay(made: u32, seed: i64) -> Duration {
    let full = FIRST_DELAY.saturating_mul(1 << made.min(10)).min(LONGEST_DELAY);
    // SplitMix64's finaliser over the track's number: spread is all that is asked of it.
    let mut bits = (seed as u64).wrapping_add(u64::from(made)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let share = 0.5 + 0.5 * ((bits >> 11) as f64 / (1u64 << 53) as f64);
    full.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soniquebay_domain::{Attempts, Job, JobId, JobKind, MakeError, Setback, Space, TrackId};

    use super::{LONGEST_DELAY, delay, setback};

    fn job(made: u32) -> Job {
        Job {
            id: JobId::from(1),
            kind: JobKind::EmbedTrack,
            track_id: TrackId::new(1).unwrap(),
            space: Space::parse("m/4").unwrap(),
            attempts: Attempts { made, allowed: 8 },
            told: None,
        }
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for seed in 0..100 {
            assert!(delay(0, seed) >= Duration::from_secs(1) && delay(0, seed) <= Duration::from_secs(2));
            assert!(delay(3, seed) > delay(0, seed));
            assert!(delay(4_000_000_000, seed) <= LONGEST_DELAY);
        }
        assert!((0..100).any(|seed| delay(5, seed) != delay(5, 0)), "jitter spreads");
    }

    #[test]
    fn a_service_that_is_away_spends_no_attempt() {
        let away = MakeError::Away("no route".into());
        assert!(matches!(setback(&job(7), &away), Setback::Snooze { .. }));
        let failed = MakeError::Failed("bad text".into());
        assert!(matches!(setback(&job(0), &failed), Setback::Retry { .. }));
        assert!(matches!(setback(&job(7), &failed), Setback::Discard { reason } if reason.contains("bad text")));
        let refused = MakeError::Refused("no direction".into());
        assert_eq!(setback(&job(0), &refused), Setback::Discard { reason: "no direction".into() });
    }
}
