//! What was measured: all samples, by load and by server.

use std::collections::BTreeMap;

use super::load::Load;
use super::servers::{Durability, Kind};

/// Which server under which promise.
pub(crate) type Subject = (Kind, Durability);

/// All rounds of one load on one subject.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) requests_per_s: Vec<f64>,
    pub(crate) cpu_us_per_request: Vec<f64>,
    pub(crate) p50_ms: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
    pub(crate) max_ms: Vec<f64>,
    pub(crate) rss_mib: Vec<f64>,
}

/// Everything measured, by subject and load.
pub(crate) type Results = BTreeMap<(Load, Subject), Samples>;
