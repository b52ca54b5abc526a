//! The limiter over any rhythm of requests, waits, crashes and clean ends, under a clock of its own.

use proptest::prelude::*;

use super::window::{BUCKET, WINDOW};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// So many requests, one after the other.
    Ask(u8),
    /// So many milliseconds go by.
    Wait(u32),
    /// The process dies and another one begins.
    Crash,
    /// The process ends in good order and another one begins.
    Restart,
    /// A job is expected to need so many requests from now on.
    Expect(u16),
    /// Kit asks for a pause of so many milliseconds, or does not say how long.
    Pause(u16, bool),
}

fn steps(with_pauses: bool) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0..2_000u32, 0..70_000u32];
    let pause = if with_pauses { 1 } else { 0 };
    let step = prop_oneof![
        8 => (1..40u8).prop_map(Step::Ask),
        4 => wait.prop_map(Step::Wait),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        2 => (0..1_000u16).prop_map(Step::Expect),
        pause => (any::<u16>(), any::<bool>()).prop_map(|(wait, narrow)| Step::Pause(wait, narrow)),
    ];
    prop::collection::vec(step, 1..60)
}

/// Processes one after the other, and what they write down.
struct Lives {
    limit: u32,
    begun: Instant,
    /// Since `begun`.
    elapsed: Duration,
    limiter: Limiter,
    paper: Memory,
    left: Vec<Duration>,
}

impl Lives {
    fn of(limit: u32) -> Self {
        let limiter = Limiter::new(limit);
        Lives {
            limit,
            begun: Instant::now(),
            elapsed: Duration::ZERO,
            limiter,
            paper: Memory::default(),
            left: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.begun + self.elapsed
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_714_726_800_250) + self.elapsed
    }

    /// What [`Limiter::acquire`] does, on this clock. Whether each refusal had a reason is `judge`'s to say.
    fn ask(&mut self, judge: impl Fn(&State, Instant)) {
        loop {
            let (now, wall) = (self.now(), self.wall());
            let mut state = self.limiter.state();
            let taken = state.take(now);
            match taken {
                Ok(()) => {
                    // An entry takes no time here.
                    loop {
                        let (is_reserved, is_low) = state.use_up();
                        if is_low {
                            self.paper = state.next_entry(now, wall);
                            state.reserved += state.block();
                        }
                        if is_reserved {
                            break;
                        }
                    }
                    drop(state);
                    self.left.push(self.elapsed);
                    return;
                }
                Err(until) => {
                    judge(&state, now);
                    drop(state);
                    assert!(until > now, "a wait that does not wait would never end");
                    self.elapsed = until - self.begun;
                }
            }
        }
    }

    fn step(&mut self, step: &Step, judge: impl Fn(&State, Instant) + Copy) {
        let (now, wall) = (self.now(), self.wall());
        match step {
            Step::Ask(count) => (0..*count).for_each(|_| self.ask(judge)),
            Step::Wait(ms) => self.elapsed += Duration::from_millis(u64::from(*ms)),
            Step::Expect(count) => self.limiter.state().expect(|_| u64::from(*count), now),
            Step::Pause(ms, narrow) => {
                let mut state = self.limiter.state();
                state.paused_until =
                    state.paused_until.max(Some(now + Duration::from_millis(u64::from(*ms))));
                if *narrow {
                    state.narrow(now);
                }
            }
            Step::Crash | Step::Restart => {
                if matches!(step, Step::Restart) {
                    self.paper = self.limiter.state().memory(now, wall, 0);
                }
                self.limiter = Limiter::new(self.limit);
                self.limiter.state().recall(&self.paper, now, wall);
            }
        }
    }

    fn busiest_minute(&self) -> usize {
        let minute = Duration::from_secs(60);
        let within = |first: usize| {
            self.left[first..].iter().take_while(|at| **at < self.left[first] + minute).count()
        };
        (0..self.left.len()).map(within).max().unwrap_or(0)
    }
}

proptest! {
    /// O6, K-08, H-01, H-02: all lives of a process together stay within the limit, in any minute.
    #[test]
    fn no_lives_of_a_process_exceed_the_limit_together(limit in 1u32..700, steps in steps(true)) {
        let mut lives = Lives::of(limit);
        for step in &steps {
            lives.step(step, |_, _| {});
        }
        prop_assert!(lives.busiest_minute() <= limit as usize, "{} of {limit}", lives.busiest_minute());
    }

    /// O6: who is made to wait, waits because half of the window is used and the rest is spread, or all of it is.
    #[test]
    fn nobody_waits_while_there_is_room(limit in 1u32..700, steps in steps(false)) {
        let mut lives = Lives::of(limit);
        for step in &steps {
            lives.step(step, |state, now| {
                let recent = state.window.iter().filter(|(start, _)| now - *start < WINDOW + BUCKET);
                let used: u32 = recent.map(|(_, count)| count).sum();
                assert_eq!(used, state.used, "what is older than the window is forgotten");
                assert!(used >= if state.burst { state.cap } else { state.cap / 2 }, "{used} of {}", state.cap);
            });
        }
    }

    /// O6: a job that takes minutes gets what the limit allows, less a forty-eighth and the length of the window.
    #[test]
    fn a_long_job_gets_the_whole_limit(limit in 2u32..700) {
        let mut lives = Lives::of(limit);
        let cap = lives.limiter.per_minute();
        (0..5 * cap).for_each(|_| lives.ask(|_, _| {}));
        let most = (WINDOW + BUCKET * 3) * 5;
        prop_assert!(lives.elapsed <= most, "{:?} for {} requests", lives.elapsed, 5 * cap);
    }

    /// what stands in the database was not always written by us.
    #[test]
    fn any_memory_is_recalled_without_a_panic(
        sent in prop::collection::vec((any::<u64>(), any::<u32>()), 0..8), reserved in any::<u32>(),
    ) {
        let limiter = Limiter::new(120);
        limiter.recall(&Memory { sent, reserved });
        let _ = limiter.state().take(Instant::now());
    }
}
