//! What the service makes of an error that ends a run or keeps one from beginning: a program that runs once tells it
//! and ends, a service waits where waiting helps. Pure.

use std::time::Duration;

use crate::error::Kind;

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Asking the database again, with at most this long between two times.
    AskDatabase(Duration),
    /// Asking Kit again, in longer and longer intervals.
    AskKit,
    /// Waiting until another kitmirror gives up the lease.
    StandBy,
    /// Nothing until somebody has replaced the credential, or made it good again.
    Pause,
    /// Nothing: the process ends with the error's exit code.
    End,
}

/// A database that does not answer is asked this often.
const LONGEST_AWAY: Duration = Duration::from_secs(30);
/// One that answers and refuses: somebody has to do something about it first, and too many wrong passwords lock a
/// user out.
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

impl Remedy {
    /// The remedy for an error of `kind`. `worked` tells whether the service has been at work with these settings: what
    /// was wrong from the beginning is a mistake in them, and is told at once.
    ///
    /// No `_` arm: a new kind does not compile until someone has decided.
    pub fn of(kind: Kind, worked: bool) -> Self {
        match kind {
            Kind::Settings | Kind::AccountMismatch if !worked => Remedy::End,
            Kind::Settings | Kind::AccountMismatch | Kind::SourceRejectedKey => Remedy::Pause,
            Kind::SourceRefused
            | Kind::SourceUnavailable
            | Kind::SourceListUnavailable
            | Kind::SourceUntrusted
            | Kind::SourceThrottled
            | Kind::SourceNotFound
            | Kind::SourceBadRequest
            | Kind::SourceShape
            | Kind::SourceTooLarge
            | Kind::SourcePagination
            | Kind::SchemaDrift
            | Kind::DeletionsHeld
            | Kind::ParentsUnknown => Remedy::AskKit,
            Kind::DatabaseUnavailable | Kind::NoMirror => Remedy::AskDatabase(LONGEST_AWAY),
            Kind::DatabaseRefused => Remedy::AskDatabase(LONGEST_REFUSED),
            Kind::LeaseHeld | Kind::LeaseLost => Remedy::StandBy,
            Kind::SchemaMismatch
            | Kind::SchemaNewer
            | Kind::Stopped
            | Kind::Usage
            | Kind::OutputRefused
            | Kind::SystemRefused
            | Kind::Internal => Remedy::End,
        }
    }
}

/// Longer and longer waits, each drawn by lot from its upper half: twenty services that lost the same thing do not come
/// back for it as one.
#[derive(Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The wait after one more failure.
    pub fn next(&mut self, longest: Duration) -> Duration {
        let doubled = Duration::from_secs(1).saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(longest).mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-01.
    #[test]
    fn waits_grow_to_the_longest_and_are_never_the_same() {
        let mut waits = BackOff::default();
        let waits: Vec<Duration> = (0..40).map(|_| waits.next(LONGEST_AWAY)).collect();
        assert!(waits[0] <= Duration::from_secs(1));
        assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(500) && *wait <= LONGEST_AWAY));
        assert!(waits[10..].iter().all(|wait| *wait >= LONGEST_AWAY / 2));
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    /// Twenty services lost Kit, or their database, at one moment, and it is back at another.
    #[test]
    fn twenty_services_do_not_come_back_at_one_moment() {
        for (longest, outage) in
            [(LONGEST_AWAY, 300), (LONGEST_REFUSED, 300), (Duration::from_secs(300), 3_600)]
        {
            let outage = Duration::from_secs(outage);
            let mut back: Vec<Duration> = (0..20)
                .map(|seed| {
                    fastrand::seed(seed);
                    let (mut waits, mut now) = (BackOff::default(), Duration::ZERO);
                    while now < outage {
                        now += waits.next(longest);
                    }
                    now - outage
                })
                .collect();
            back.sort();
            // Spread over much of the longest wait, and never more than a few within a thirtieth of it.
            assert!(back[19] - back[0] >= longest / 3, "{back:?}");
            let most = back
                .iter()
                .map(|from| back.iter().filter(|at| *at >= from && **at - *from < longest / 30).count());
            assert!(most.max() <= Some(5), "{back:?}");
        }
    }

    #[test]
    fn what_was_wrong_from_the_beginning_ends_it_and_what_went_wrong_later_does_not() {
        for kind in [Kind::Settings, Kind::AccountMismatch] {
            assert_eq!((Remedy::of(kind, false), Remedy::of(kind, true)), (Remedy::End, Remedy::Pause));
        }
        for kind in [Kind::SchemaMismatch, Kind::SchemaNewer, Kind::Internal] {
            assert_eq!((Remedy::of(kind, false), Remedy::of(kind, true)), (Remedy::End, Remedy::End));
        }
    }
}
