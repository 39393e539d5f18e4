//! How many parts of passes over everything lie in memory at once: as many as there are cores to go through them.
//!
//! A part is half a sweep's memory, and every partition has one under way; what no core works on need not lie there.
//! Who waits for a turn holds no lock, so that holders always come to their end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Parts that lie in memory.
static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(());

impl Turn {
    /// Waits for one.
    pub fn take() -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let mut taken =
            GIVEN_BACK.wait_while(held(), |taken| *taken >= most).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *held() -= 1;
        GIVEN_BACK.notify_one();
    }
}

fn held() -> MutexGuard<'static, usize> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_gets_a_turn_when_one_is_given_back() {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..most * 4).map(|_| {
            std::thread::spawn(move || {
                let _turn = Turn::take();
                let taken = *held();
                assert!((1..=most).contains(&taken), "{taken} of {most}");
            })
        });
        lanes.collect::<Vec<_>>().into_iter().for_each(|lane| lane.join().unwrap());
    }
}
