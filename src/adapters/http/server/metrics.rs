//! Request metrics. Labels are operation names and statuses, so callers cannot increase their number.

use std::time::Duration;

use poem_openapi::OperationId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the buckets in seconds; 2 s is the threshold for a rollback.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// Counts requests and measures their duration, per operation of the OpenAPI document.
pub struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let requests = Family::default();
        let durations: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut registry = Registry::default();
        let help = "Requests that were answered, by operation and status";
        registry.register("memgate_http_requests", help, Family::clone(&requests));
        let help = "How long requests took, in seconds";
        registry.register("memgate_http_request_duration_seconds", help, Family::clone(&durations));
        Self { registry, requests, durations }
    }
}

impl HttpMetrics {
    /// Counts one request. `None` stands for a path without an operation.
    pub(crate) fn observe(&self, operation: Option<OperationId>, status: u16, took: Duration) {
        let operation = operation.map_or("none", |operation| operation.0);
        self.requests.get_or_create(&RequestLabels { operation, status }).inc();
        self.durations.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
    }

    /// The metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = encode_registry(&mut text, &self.registry);
        text
    }
}
