//! A Redis server of a test's own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

/// `redis-server` on a free port of this machine, stopped when it is dropped. Nothing of it is kept on disk.
pub struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    /// A server that is ready.
    ///
    /// # Panics
    /// Where `redis-server` is not installed.
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    /// A server on this port, where another one was before.
    ///
    /// # Panics
    /// Where `redis-server` is not installed, or the port is taken.
    pub fn start_on(port: u16) -> Self {
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--daemonize", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server does not start ({error}): ./check installs it"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains("Ready to accept connections") => break,
                Some(Ok(line)) => said.push(line),
                _ => panic!("redis-server on port {port} ended:\n{}", said.join("\n")),
            }
        }
        // Read to the end, or the server would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As REDIS_URL names it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listened on a moment ago.
///
/// # Panics
/// Where this machine has no loopback interface.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
