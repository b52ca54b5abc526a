//! What happens, as it happens: for progress bars, log lines and metrics. The extractor tells; who
//! listens decides what to make of it.

use std::sync::Arc;

use super::ObjectReport;
use crate::kit::Meter;
use crate::store::Written;

/// A page, or a run of pages, was committed.
#[derive(Debug, Clone, Copy)]
pub struct PageWritten<'p> {
    /// Whose rows.
    pub object: &'static str,
    /// Parent's id, or empty.
    pub partition: &'p str,
    /// Pages in the commit.
    pub pages: u64,
    /// Records in it.
    pub records: u64,
    /// What it did to the table.
    pub written: Written,
    /// Records of the list read so far, and how many it has, where that is known.
    pub extent: (Option<u64>, u64),
}

/// Listens to a run. Called from the tasks that do the work: must not block.
pub trait Observer: Send + Sync {
    /// The run of an object begins, with this many partitions to read. The meter goes on counting what it costs.
    fn object_started(&self, _object: &'static str, _partitions: usize, _meter: &Arc<Meter>) {}
    /// A page was committed.
    fn page_written(&self, _page: &PageWritten<'_>) {}
    /// A partition is complete.
    fn partition_done(&self, _object: &'static str, _partition: &str) {}
    /// The run of an object is over.
    fn object_done(&self, _report: &ObjectReport) {}
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}
