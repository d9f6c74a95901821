//! What the kernel says of a process.

use std::ops::Sub;
use std::time::Duration;

/// What a process has spent so far, or between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    /// User and system time of all its threads, from the scheduler's own account.
    pub(super) cpu: Duration,
    /// How often one of its threads went to sleep.
    pub(super) switches: u64,
    /// Calls of `write`. Our sockets are sent to and not written, so these are wakes of other threads through an
    /// eventfd, and files; mosquitto writes its sockets.
    pub(super) writes: u64,
}

impl Spent {
    /// By the process with this number, until now.
    pub(super) fn by(process: u32) -> Self {
        let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        let mut spent = Self { writes: number_of(&io, "syscw:"), ..Self::default() };
        for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            // A thread that ends meanwhile was idle.
            let read =
                |name| std::fs::read_to_string(task.as_ref().unwrap().path().join(name)).unwrap_or_default();
            spent.cpu += cpu_in(&read("schedstat"));
            spent.switches += number_of(&read("status"), "voluntary_ctxt_switches:");
        }
        spent
    }

    /// Once the process has nothing left to do: two looks, between which it did next to nothing.
    pub(super) fn once_idle(process: u32) -> Self {
        let mut before = Self::by(process);
        loop {
            std::thread::sleep(IDLE_LOOK);
            let now = Self::by(process);
            if (now - before).cpu < IDLE_CPU {
                return before;
            }
            before = now;
        }
    }
}

/// The time between two looks at a process that may be idle, and what it may spend on its timers meanwhile.
const IDLE_LOOK: Duration = Duration::from_millis(50);
const IDLE_CPU: Duration = Duration::from_micros(100);

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
            writes: self.writes.saturating_sub(before.writes),
        }
    }
}

/// What the threads with such names have spent.
pub(super) fn cpu_of_threads(process: u32, is_meant: impl Fn(&str) -> bool) -> Duration {
    let mut cpu = Duration::ZERO;
    for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let read =
            |name| std::fs::read_to_string(task.as_ref().unwrap().path().join(name)).unwrap_or_default();
        if is_meant(read("comm").trim()) {
            cpu += cpu_in(&read("schedstat"));
        }
    }
    cpu
}

fn cpu_in(schedstat: &str) -> Duration {
    let nanoseconds = schedstat.split(' ').next().and_then(|spent| spent.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Bytes of memory that are a process's own: RssAnon.
pub(super) fn memory_bytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    number_of(&status, "RssAnon:") as f64 * 1_024.0
}

/// Bytes that the kernel holds in its slabs, where sockets live: of the whole machine, so only a hint.
pub(super) fn slab_bytes() -> f64 {
    number_of(&std::fs::read_to_string("/proc/meminfo").unwrap(), "Slab:") as f64 * 1_024.0
}

/// Bytes that the kernel holds for TCP's buffers: of the whole machine.
pub(super) fn socket_buffer_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap();
    let pages =
        text.lines().find_map(|line| line.strip_prefix("TCP:")?.split(" mem ").nth(1)?.trim().parse().ok());
    pages.unwrap_or(0.0) * 4_096.0
}

fn number_of(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
