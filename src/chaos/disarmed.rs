//! Nothing: what a release contains of all this.

use std::future::Future;
use std::io;

use super::{Bug, Failpoint};

#[inline(always)]
pub(crate) fn reach(_: Failpoint) -> std::future::Ready<()> {
    std::future::ready(())
}

#[inline(always)]
pub(crate) fn reach_with(_: Failpoint, _: bool) -> std::future::Ready<()> {
    std::future::ready(())
}

#[inline(always)]
pub(crate) fn breaks(_: Failpoint) -> std::future::Ready<io::Result<()>> {
    std::future::ready(Ok(()))
}

#[inline(always)]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[inline(always)]
pub(crate) const fn few(usual: usize, _: usize) -> usize {
    usual
}

#[inline(always)]
pub(crate) const fn hasty(usual: std::time::Duration) -> std::time::Duration {
    usual
}

#[inline(always)]
pub(crate) const fn now() -> Option<std::time::SystemTime> {
    None
}

#[inline(always)]
pub(crate) fn in_place<T, F: Future<Output = T>>(work: F) -> F {
    work
}
