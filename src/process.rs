//! What this process takes of the machine, for `/metrics`: read from `/proc` whenever somebody asks, silent without it.

use std::fs;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use rustix::process::{Resource, getrlimit};

/// Linux tells programs its times in hundredths of a second, whatever its own are.
const TICK_MS: u64 = 10;

/// Tells the recorder what each number means, and when this process started.
pub(crate) fn describe(started_at_ms: u64) {
    describe_gauge!("chautari_process_start_seconds", "When this process started, seconds since 1970");
    describe_gauge!("chautari_process_resident_bytes", "Memory of this process that is in RAM");
    describe_gauge!("chautari_process_threads", "Threads of this process");
    describe_gauge!("chautari_process_open_descriptors", "File descriptors that are open now");
    describe_gauge!(
        "chautari_process_descriptors_max",
        "File descriptors that may be open; absent without limit"
    );
    describe_counter!(
        "chautari_process_cpu_milliseconds_total",
        "Time on a CPU, of all threads, in user and system mode"
    );
    gauge!("chautari_process_start_seconds").set(started_at_ms as f64 / 1_000.0);
}

/// Reads the present numbers. It reads files and may take milliseconds where many descriptors are open.
pub(crate) fn measure() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = field(&status, "VmRSS:") {
        gauge!("chautari_process_resident_bytes").set(kib as f64 * 1_024.0);
    }
    if let Some(threads) = field(&status, "Threads:") {
        gauge!("chautari_process_threads").set(threads as f64);
    }
    if let Some(cpu_ms) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_ms) {
        counter!("chautari_process_cpu_milliseconds_total").absolute(cpu_ms);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        gauge!("chautari_process_open_descriptors").set(open.count().saturating_sub(1) as f64);
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        gauge!("chautari_process_descriptors_max").set(limit as f64);
    }
}

/// The number behind a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time of `/proc/self/stat`: the 14th and 15th field, the second of which may hold blanks.
fn cpu_ms(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_the_kernel_writes() {
        let status = "Name:\tchautari\nVmHWM:\t  99999 kB\nVmRSS:\t   51234 kB\nThreads:\t7\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (Some(51_234), Some(7)));
        assert_eq!(field(status, "VmSwap:"), None);
        let stat =
            "4242 (a name) with) S 1 4242 4242 0 -1 4194560 900 0 1 0 250 50 0 0 20 0 7 0 100 1000 200";
        assert_eq!(cpu_ms(stat), Some(3_000));
        assert_eq!(cpu_ms("nothing of the kind"), None);
    }
}
