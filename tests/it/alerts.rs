//! Alerts, runbook and dashboard speak of numbers that exist, and of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::tidy::rust_files;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const RUNBOOK: &str = "deploy/RUNBOOK.md";
const DASHBOARD: &str = "deploy/grafana/chautari.json";
/// What the exporter makes of a histogram.
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Every metric that some `describe_…!` explains, with its kind.
fn described() -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        for kind in ["counter", "gauge", "histogram"] {
            for call in text.split(&["describe_", kind, "!("].concat()).skip(1) {
                let name = call.split(',').next().unwrap().trim();
                let literal = match name.strip_prefix('"') {
                    Some(literal) => literal,
                    None => text
                        .split(&["const ", name, ": &str = \""].concat())
                        .nth(1)
                        .unwrap_or_else(|| panic!("{}: what is {name}?", path.display())),
                };
                found.insert(literal.split('"').next().unwrap().to_owned(), kind);
            }
        }
    }
    found
}

/// Every word that begins as a metric of ours does.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("chautari_") && !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

/// The words of `text` that no process will ever show.
fn invented(text: &str) -> Vec<String> {
    let described = described();
    assert!(described.len() > 50, "the search finds too few: {described:?}");
    let exists = |name: &str| {
        let of_histogram = HISTOGRAM_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_histogram = |base| described.get(base).is_some_and(|kind| *kind == "histogram");
        of_histogram.is_some_and(is_histogram) || described.get(name).is_some_and(|kind| *kind != "histogram")
    };
    named(text).into_iter().filter(|name| !exists(name)).collect()
}

#[test]
fn every_number_that_people_are_sent_to_exists() {
    for file in [ALERTS, RUNBOOK, DASHBOARD] {
        let invented = invented(&read(file));
        assert!(invented.is_empty(), "{file} names metrics that nobody describes: {invented:?}");
    }
}

#[test]
fn every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() {
    let (alerts, runbook) = (read(ALERTS), read(RUNBOOK));
    let entries: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut names = BTreeSet::new();
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        let value = |key: &str| {
            let mut lines = alert.lines().map(str::trim);
            lines.find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        let severity = value("severity: ");
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        assert_eq!(value("runbook: "), format!("{RUNBOOK}#{}", name.to_lowercase()));
        assert!(!value("for: ").is_empty() && !value("summary: ").is_empty(), "{name}");
        // The entry begins with what the alert asks of people.
        let says = format!("### {name}\n**{severity}.** ");
        assert!(runbook.contains(&says), "{RUNBOOK} has to say: {says}");
        assert!(names.insert(name), "{name} is there twice");
    }
    assert_eq!(names, entries, "alerts and entries of the runbook differ");
    assert!(
        !runbook.contains("\\\""),
        "a shell gives `\\\"` inside of single quotes to the command as it stands"
    );
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{panel}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert!(!named(expression).is_empty(), "{expression} shows nothing of ours");
        }
    }
}
