//! Child processes, and what the kernel says of them.

use super::kernel::{self, Spent};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// How a child of this very program learns what it is.
pub(super) const ROLE: &str = "--serve=";

/// A server in a process of its own.
pub(super) struct Process {
    child: Child,
    said: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// This program again, in another role. It says its addresses in its first line.
    pub(super) fn own(role: &str) -> (Self, Vec<SocketAddr>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("{ROLE}{role}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = child.stdout.take().map(BufReader::new);
        let mut process = Self { child, said };
        let line = process.next_line();
        (process, line.split_whitespace().map(|address| address.parse().unwrap()).collect())
    }

    /// mosquitto on this port: nothing on the disk, no limits of its own.
    pub(super) fn mosquitto(program: &Path, port: u16, directory: &Path) -> Self {
        let file = directory.join("mosquitto.conf");
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n\
             set_tcp_nodelay true\nmax_connections -1\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        );
        std::fs::write(&file, settings).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, said: None }
    }

    /// Asks a child in its own role to do something, and waits for the line that it says.
    pub(super) fn ask(&mut self, line: &str) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        self.next_line()
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.said.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// What it has spent so far.
    pub(super) fn spent(&self) -> Spent {
        Spent::by(self.child.id())
    }

    /// Bytes of memory that are its own.
    pub(super) fn memory_bytes(&self) -> f64 {
        kernel::memory_bytes(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Where Debian puts mosquitto, if it is installed.
pub(super) fn find_mosquitto() -> Option<PathBuf> {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}
