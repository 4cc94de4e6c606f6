//! A scenario's run without any fault: what is asked, how long it takes, how it ends.

use std::time::Duration;

use testbed::fault_proxy::Record;

use crate::oracle::Stable;
use crate::snapshot::Snapshot;
use crate::tally::Counts;

#[derive(Clone)]
pub struct Reference {
    pub records: Vec<Record>,
    pub events: usize,
    pub took: Duration,
    pub end: Snapshot,
    pub stable: Stable,
    /// How often each object was made and deleted.
    pub counts: Counts,
}
