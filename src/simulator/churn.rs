//! Changes that happen while somebody reads: after the n-th request of a route, or after every so many.
//! They take place when the answer is made and not yet sent, so the next request meets them.

use parking_lot::Mutex;

use super::account::Account;
use super::faults::Route;
use super::random::ChangeKind;

/// Random changes between requests, as a plan.
#[derive(Debug, Clone)]
pub struct Churn {
    /// Which requests count; see [`super::Fault::on`] for the pattern.
    pub route: String,
    /// A change after every so many of them.
    pub every: u64,
    /// The kinds of change, chosen with equal chance.
    pub kinds: Vec<ChangeKind>,
    /// At most so many changes.
    pub times: Option<u64>,
    /// Makes the changes repeatable.
    pub seed: u64,
}

impl Churn {
    /// A change of that kind after every `every` requests.
    pub fn every(every: u64, kind: ChangeKind) -> Self {
        Self { route: String::new(), every: every.max(1), kinds: vec![kind], times: None, seed: 1 }
    }

    /// Only requests of that route count.
    pub fn on(self, route: &str) -> Self {
        Self { route: route.into(), ..self }
    }

    /// Of that kind too.
    pub fn or(mut self, kind: ChangeKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// At most so many changes.
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// With that seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

type Change = Box<dyn FnMut(&mut Account) + Send>;

/// The hooks of a simulator.
#[derive(Default)]
pub(super) struct Hooks(Mutex<Vec<Hook>>);

struct Hook {
    route: Route,
    seen: u64,
    when: When,
    change: Change,
}

enum When {
    Nth(u64),
    Every { every: u64, left: Option<u64> },
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Hooks")
    }
}

impl Hooks {
    pub(super) fn after_nth(
        &self,
        route: &str,
        nth: u64,
        change: impl FnOnce(&mut Account) + Send + 'static,
    ) {
        let mut once = Some(change);
        let change = move |account: &mut Account| {
            if let Some(change) = once.take() {
                change(account);
            }
        };
        self.add(route, When::Nth(nth), Box::new(change));
    }

    pub(super) fn every(&self, route: &str, every: u64, change: impl FnMut(&mut Account) + Send + 'static) {
        self.add(route, When::Every { every: every.max(1), left: None }, Box::new(change));
    }

    pub(super) fn churn(&self, churn: Churn) {
        let mut chance = fastrand::Rng::with_seed(churn.seed);
        let kinds = churn.kinds;
        let change = move |account: &mut Account| {
            if let Some(kind) = chance.choice(&kinds) {
                account.random_change_of(*kind, &mut chance);
            }
        };
        self.add(
            &churn.route,
            When::Every { every: churn.every.max(1), left: churn.times },
            Box::new(change),
        );
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Makes the changes that are due after a request of that path. `with` opens the account, and is only
    /// called if there are any.
    pub(super) fn run(&self, path: &str, with: impl FnOnce(&mut dyn FnMut(&mut Account))) {
        let mut hooks = self.0.lock();
        let mut due = Vec::new();
        for hook in hooks.iter_mut().filter(|hook| hook.route.matches(path)) {
            hook.seen += 1;
            let fires = match &mut hook.when {
                When::Nth(nth) => hook.seen == *nth,
                When::Every { left: Some(0), .. } => false,
                When::Every { every, left } if hook.seen.is_multiple_of(*every) => {
                    *left = left.map(|left| left - 1);
                    true
                }
                When::Every { .. } => false,
            };
            if fires {
                due.push(&mut hook.change);
            }
        }
        if !due.is_empty() {
            with(&mut |account| due.iter_mut().for_each(|change| change(account)));
        }
    }

    fn add(&self, route: &str, when: When, change: Change) {
        let hook = Hook { route: Route::new(route), seen: 0, when, change };
        self.0.lock().push(hook);
    }
}
