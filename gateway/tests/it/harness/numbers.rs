//! What the gateways of this process have counted, over all its tests: compare before and after.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Once};

static COUNTERS: LazyLock<Mutex<HashMap<String, Arc<AtomicU64>>>> = LazyLock::new(Mutex::default);

/// Counts from now on; the first gateway of the process does it.
pub(crate) fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| metrics::set_global_recorder(Numbers).unwrap());
}

/// `counted("chautari_gateway_closes_total", "silence")`; `None` if there is no such series.
pub(crate) fn counted(name: &str, label: &str) -> Option<u64> {
    let counters = COUNTERS.lock().unwrap();
    counters.get(&series(name, label)).map(|counter| counter.load(Ordering::Relaxed))
}

/// The labels of a counter.
pub(crate) fn labels(name: &str) -> Vec<String> {
    let prefix = series(name, "");
    let counters = COUNTERS.lock().unwrap();
    counters.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()
}

fn series(name: &str, label: &str) -> String {
    format!("{name} {label}")
}

struct Numbers;

impl Recorder for Numbers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let label = key.labels().map(metrics::Label::value).collect::<Vec<_>>().join(" ");
        let mut counters = COUNTERS.lock().unwrap();
        Counter::from_arc(counters.entry(series(key.name(), &label)).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
