//! The server's memory while it runs: what its own numbers say is written down for the judge, and through what the
//! kernel says, without SQLite's caches, a straight line is laid.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::export;
use super::witness::Lines;
use crate::server::Site;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// This part of a process's life is not fitted: caches fill.
const WARM_UP: f64 = 0.3;
/// Fewer samples tell nothing.
const SAMPLES_MIN: usize = 20;

/// Samples of one process after the other.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    lines: Lines,
    process: Arc<AtomicU32>,
    lives: Arc<Mutex<Vec<Life>>>,
}

#[derive(Clone, Debug)]
struct Life {
    process: u32,
    /// Seconds since the begin, and KiB without those of C.
    samples: Vec<(f64, f64)>,
}

/// A straight line through the longest life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// How many samples it goes through.
    pub(super) samples: usize,
    /// Over how long, seconds.
    pub(super) seconds: f64,
    /// Where it begins, MiB.
    pub(super) begins_mib: f64,
    /// What it gains over that time, MiB.
    pub(super) gains_mib: f64,
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, samples) = (self.seconds, self.samples);
        write!(
            f,
            "{:.1} MiB, {:+.2} MiB in {seconds:.0} s ({samples} samples)",
            self.begins_mib, self.gains_mib
        )
    }
}

impl Memory {
    /// Nothing is looked at yet; `lines` is told what is seen.
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, process: Arc::default(), lives: Arc::default() }
    }

    /// From now on this process is looked at; 0 is none.
    pub(super) fn of(&self, process: u32) {
        self.process.store(process, Ordering::SeqCst);
    }

    /// Looks until it is told to stop.
    pub(super) async fn watch(self, site: Site, http: reqwest::Client, stop: CancellationToken) {
        let begun = Instant::now();
        while !stop.is_cancelled() {
            let process = self.process.load(Ordering::SeqCst);
            let resident = resident(process);
            if let Some(resident) = resident {
                let mut lives = self.lives.lock().expect("nobody panics while looking");
                if lives.last().is_none_or(|life| life.process != process) {
                    lives.push(Life { process, samples: Vec::new() });
                }
                if let Some(life) = lives.last_mut() {
                    life.samples.push((begun.elapsed().as_secs_f64(), resident.all - resident.of_c));
                }
            }
            let numbers = export::numbers(&export::metrics(&site, &http).await);
            let number =
                |name: &str| numbers.get(&format!("chautari_gateway_{name}")).map(|number| *number as u64);
            if let (Some(held), Some(sessions), Some(connections)) =
                (number("held_bytes"), number("sessions"), number("connections"))
            {
                self.lines.write(&json!({
                    "what": "held", "process": process, "resident_kib": resident.map(|resident| resident.all),
                    "of_c_kib": resident.map(|resident| resident.of_c), "held_bytes": held, "sessions": sessions,
                    "connections": connections,
                }));
            }
            sleep(EVERY).await;
        }
    }

    /// Least squares through the longest life, without its begin; `None` if no life was long enough.
    pub(super) fn fit(&self) -> Option<Fit> {
        let lives = self.lives.lock().expect("nobody panics while looking");
        let longest = lives.iter().max_by_key(|life| life.samples.len())?;
        let warm = (longest.samples.len() as f64 * WARM_UP) as usize;
        fit(&longest.samples[warm..])
    }
}

fn fit(samples: &[(f64, f64)]) -> Option<Fit> {
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let count = samples.len() as f64;
    let (mean_t, mean_m) =
        samples.iter().fold((0.0, 0.0), |(t, m), sample| (t + sample.0 / count, m + sample.1 / count));
    let (covariance, variance) = samples.iter().fold((0.0, 0.0), |(covariance, variance), (t, m)| {
        (covariance + (t - mean_t) * (m - mean_m), variance + (t - mean_t).powi(2))
    });
    let slope = covariance / variance;
    let (begin, end) = (samples.first()?.0, samples.last()?.0);
    Some(Fit {
        samples: samples.len(),
        seconds: end - begin,
        begins_mib: (mean_m + slope * (begin - mean_t)) / 1_024.0,
        gains_mib: slope * (end - begin) / 1_024.0,
    })
}

/// A process in memory, KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Resident {
    /// All of it.
    all: f64,
    /// The arenas of the C library: what SQLite has allocated, its caches above all. These fill as the books grow, up to
    /// a bound for each connection, and that takes longer than a soak. The product's own allocator is another one.
    of_c: f64,
}

fn resident(process: u32) -> Option<Resident> {
    Some(resident_of(&fs::read_to_string(format!("/proc/{process}/smaps")).ok()?))
}

fn resident_of(smaps: &str) -> Resident {
    /// An arena begins at a multiple of this and is reserved up to the next one.
    const ARENA_BYTES: u64 = 64 << 20;
    let (mut resident, mut is_arena) = (Resident::default(), false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "Rss:" {
            let kib = words.next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
            resident.all += kib;
            resident.of_c += if is_arena { kib } else { 0.0 };
        } else if let Some((begin, end)) = first.split_once('-') {
            let address = |digits| u64::from_str_radix(digits, 16).unwrap_or_default();
            let (begin, end) = (address(begin), address(end));
            let (is_named, fits) = (words.nth(4).is_some(), end - begin <= ARENA_BYTES);
            is_arena = line.ends_with("[heap]") || (!is_named && fits && begin.is_multiple_of(ARENA_BYTES));
        }
    }
    resident
}

#[test]
fn a_line_is_found_through_noise() {
    let noise = |at: u32| if at.is_multiple_of(2) { 40.0 } else { -40.0 };
    let samples: Vec<_> =
        (0..1_000).map(|at| (f64::from(at), 10_240.0 + f64::from(at) * 2.0 + noise(at))).collect();
    let fit = fit(&samples).expect("enough samples");
    assert!((fit.begins_mib - 10.0).abs() < 0.05, "{fit:?}");
    assert!((fit.gains_mib - 1_998.0 / 1_024.0).abs() < 0.05, "{fit:?}");
}

#[test]
fn what_the_c_library_holds_is_told_apart() {
    let smaps = "\
5500aa000000-5500aa021000 rw-p 00000000 00:00 0                          [heap]
Rss:                  28 kB
3c64cc00000-3c68cc00000 rw-p 00000000 00:00 0
Size:            1048576 kB
Rss:               62900 kB
7fc580000000-7fc58024c000 rw-p 00000000 00:00 0
Rss:                2352 kB
7fc58024c000-7fc584000000 ---p 00000000 00:00 0
Rss:                   0 kB
7fc590000000-7fc5a0000000 r-xp 00000000 fe:00 123                        /usr/bin/chautari
Rss:                1000 kB";
    assert_eq!(resident_of(smaps), Resident { all: 66_280.0, of_c: 2_380.0 });
}
