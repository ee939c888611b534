//! A real llama-server with a tiny model, from the folder that `scripts/llama_server.sh` makes.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::gguf::{self, Sizes};

/// As nomic-embed-text has them, where they can be seen from outside.
const SIZES: Sizes = Sizes { dims: 768, layers: 1, feed_forward: 256, heads: 12, context: 2048 };

/// Longest time until it listens, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// Words that its model reads as one token each.
pub const WORDS: &str = gguf::WORDS;

/// A running llama-server; killed when dropped.
pub struct LlamaServer {
    address: SocketAddr,
    root: PathBuf,
    child: Child,
}

impl LlamaServer {
    /// Length of its vectors.
    pub const DIMS: usize = SIZES.dims;

    /// Tokens it reads of a text.
    pub const CONTEXT: usize = SIZES.context as usize;

    /// Starts one on a free port of loopback and waits until it answers.
    ///
    /// # Errors
    /// Where it is not there, with the command that fetches it, or does not start.
    pub fn start() -> io::Result<Self> {
        let root = root()?;
        write_model(&root)?;
        // Free now; whoever takes it in between makes the start fail loudly.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(Self { child: spawn(&root, address)?, address, root })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again on its port.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.child = spawn(&self.root, self.address)?;
        Ok(())
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn root() -> io::Result<PathBuf> {
    let folder = std::env::var_os("SONIQUEBAY_LLAMA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/llama"), PathBuf::from);
    let root = folder.join("root");
    if root.join("usr/bin/llama-server").is_file() {
        return root.canonicalize();
    }
    let told = format!(
        "there is no llama-server in {}: run `scripts/llama_server.sh` as root, or name its folder in SONIQUEBAY_LLAMA",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, told))
}

/// Puts the model where the server finds it: whole, whoever else does the same.
fn write_model(root: &Path) -> io::Result<()> {
    let model = root.join("models/tiny.gguf");
    if model.is_file() {
        return Ok(());
    }
    let unfinished = root.join(format!("models/tiny.{}.{:?}", std::process::id(), std::thread::current().id()));
    gguf::write(SIZES, BufWriter::new(File::create(&unfinished)?))?;
    fs::rename(unfinished, model)
}

fn spawn(root: &Path, address: SocketAddr) -> io::Result<Child> {
    let (context, port) = (SIZES.context.to_string(), address.port().to_string());
    let mut child = Command::new("chroot")
        .arg(root)
        .args([
            "/usr/bin/llama-server",
            "-m",
            "/models/tiny.gguf",
            "--embedding",
            "--host",
            "127.0.0.1",
            "--port",
            &port,
        ])
        .args(["-t", "1", "-np", "1", "-c", &context, "-b", &context, "-ub", &context])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, lines) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        // Read to the end, as a full pipe would stop the server.
        std::thread::spawn(move || follow(stderr, &sender));
    }
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(START) {
        if line.contains("listening on http") {
            return Ok(child);
        }
        said.push(line);
    }
    let _ = child.kill();
    let _ = child.wait();
    let last = said.split_off(said.len().saturating_sub(10)).join("\n");
    Err(io::Error::other(format!("llama-server does not start (chroot needs root):\n{last}")))
}

fn follow(stderr: impl Read, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        // Nobody listens any more once it has started.
        let _ = lines.send(line);
    }
}
