//! Threads that may wait for a disk or a processor, as those that drive async work must not.

use std::cell::Cell;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Whether the running thread may wait. Then it does what takes long itself: to hand that to another thread and to be
/// woken by it costs more than most looks at a database do.
pub fn may_wait() -> bool {
    MAY_WAIT.get()
}

/// Runs `work` where it may wait: on a thread that nothing else needs meanwhile.
pub fn where_it_may_wait<T>(work: impl FnOnce() -> T) -> T {
    /// Says what was so before, however the work ends.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            MAY_WAIT.set(self.0);
        }
    }

    let _before = Before(MAY_WAIT.replace(true));
    work()
}

#[cfg(test)]
mod tests {
    use super::{may_wait, where_it_may_wait};

    #[test]
    fn a_thread_may_wait_for_as_long_as_was_said() {
        assert!(!may_wait());
        assert!(where_it_may_wait(|| where_it_may_wait(may_wait) && may_wait()));
        assert!(std::panic::catch_unwind(|| where_it_may_wait(|| std::panic::resume_unwind(Box::new(())))).is_err());
        assert!(!may_wait());
    }
}
