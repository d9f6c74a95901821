//! Rules of the house that no compiler checks. Each message says why the rule is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer than this, a file usually hides a second concern.
const LINES_MAX: usize = 600;
/// Names that say nothing about what is inside.
const DRAWERS: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
/// Rooms that may not be imported, by the room that may not do it.
const CLOSED_DOORS: [(&str, &[&str]); 6] = [
    ("protocol", &["storage", "gateway", "backend", "entities", "simulator"]),
    ("storage", &["gateway", "backend", "entities", "simulator"]),
    ("gateway", &["backend", "entities", "simulator"]),
    ("backend", &["gateway", "simulator", "doubles"]),
    ("backend/doubles", &["storage", "gateway", "backend", "entities", "simulator"]),
    ("simulator", &["storage", "gateway", "backend", "entities"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn rust_files() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !name.starts_with('.') && !matches!(name, "target" | "data" | "corpus") {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn refuse(offenders: &[String], reason: &str) {
    assert!(offenders.is_empty(), "{reason}\n  {}", offenders.join("\n  "));
}

#[test]
fn files_fit_a_reader() {
    let offenders: Vec<_> = rust_files()
        .iter()
        .map(|path| (shown(path), fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    refuse(&offenders, "A file this long usually holds a second concern: give that one its own room.");
}

#[test]
fn nothing_is_kept_in_a_drawer() {
    let offenders: Vec<_> = rust_files()
        .iter()
        .filter(|path| {
            path.components().any(|part| {
                let part = part.as_os_str().to_str().unwrap();
                DRAWERS.contains(&part.trim_end_matches(".rs"))
            })
        })
        .map(|path| shown(path))
        .collect();
    refuse(&offenders, "Name the thing and put it beside its user.");
}

#[test]
fn rooms_import_only_along_the_arrows() {
    let mut offenders = Vec::new();
    for (room, closed) in CLOSED_DOORS {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for door in closed {
            if dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{door}.")) || line.starts_with(&format!("{door} =")))
            {
                offenders.push(format!("{room} imports {door}"));
            }
        }
    }
    refuse(&offenders, "The arrows are drawn in ARCHITECTURE.md; any other one ties two rooms together.");
}

#[test]
fn nothing_unfinished_is_on_main() {
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
    ];
    let mut offenders = Vec::new();
    for path in rust_files() {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                offenders.push(format!("{}:{}", shown(&path), number + 1));
            }
        }
    }
    refuse(&offenders, "Unfinished work stays on its branch.");
}

#[test]
fn only_db_rs_knows_the_dialect() {
    let words = ["DbBackend::", "DatabaseBackend::", "get_database_backend"];
    let mut offenders = Vec::new();
    for path in rust_files() {
        let place = shown(&path);
        if !place.starts_with("backend/src/")
            || place == "backend/src/db.rs"
            || place.starts_with("backend/src/db/")
        {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offenders.push(format!("{place}:{}", number + 1));
            }
        }
    }
    refuse(
        &offenders,
        "Every statement works on SQLite and PostgreSQL; what differs lives in backend/src/db.rs.",
    );
}

#[test]
fn every_migration_says_what_it_is_for() {
    let offenders: Vec<_> = rust_files()
        .iter()
        .filter(|path| shown(path).contains("/src/migration"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    refuse(&offenders, "A migration is read years later by somebody in a hurry: begin it with a comment.");
}
