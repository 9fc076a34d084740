//! The daemon's side of `top` and `trace --root`: a socket in its directory, for its own user.
//!
//! A connection sends one line and gets an answer: `state` one line of JSON, `trace N` records as in a trace file for as
//! long as it reads, with at most N bytes of each buffer.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::account::DeviceState;
use crate::device::Device;
use crate::note;
use crate::os::process::processor_time;
use crate::trace::Tracer;
use crate::trouble::Condition;

/// The daemon at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its process id.
    pub process: u32,
    /// Seconds since it started.
    pub age: f64,
    /// Processor time it used, seconds.
    pub processor: f64,
    /// Bytes of its memory that are present.
    pub resident: u64,
    /// Its devices, in their order.
    pub devices: Vec<DeviceState>,
}

/// What is watched.
pub struct Watched {
    /// All devices, in their order.
    pub devices: Vec<Arc<Device>>,
    /// Where records go.
    pub tracer: Arc<Tracer>,
    /// When the daemon started.
    pub started: Instant,
}

impl Watched {
    /// How things stand.
    pub fn state(&self) -> State {
        let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = status.split_whitespace().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
        State {
            process: std::process::id(),
            age: self.started.elapsed().as_secs_f64(),
            processor: processor_time().as_secs_f64(),
            resident: pages * u64::from(crate::os::process::page_size()),
            devices: self
                .devices
                .iter()
                .map(|device| {
                    let condition = match device.health.condition() {
                        Condition::Normal => "normal",
                        Condition::Stopped => "stopped",
                        Condition::Removed => "removed",
                    };
                    device.account.state(device.description.queues, condition)
                })
                .collect(),
        }
    }
}

/// Serves the socket from now on.
/// # Errors
/// When it cannot be made.
pub fn listen(root: &Path, watched: Watched) -> io::Result<()> {
    let path = root.join(SOCKET_NAME);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let watched = Arc::new(watched);
    let serve = move || {
        for connection in listener.incoming() {
            let watched = Arc::clone(&watched);
            let answered = connection.and_then(|connection| {
                let answer = move || {
                    // Whoever asked and went away is nobody's trouble.
                    let _ = answer(connection, &watched);
                };
                thread::Builder::new().name("watch".to_owned()).stack_size(256 << 10).spawn(answer)
            });
            if let Err(error) = answered {
                note!("watch: {error}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    };
    thread::Builder::new().name("watch".to_owned()).stack_size(128 << 10).spawn(serve).map(drop)
}

fn answer(mut connection: UnixStream, watched: &Watched) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(Read::take(&connection, LONGEST_QUESTION)).read_line(&mut line)?;
    match line.trim_end().split_once(' ') {
        None if line == "state\n" => {
            let state = serde_json::to_string(&watched.state())?;
            connection.set_write_timeout(Some(PATIENCE))?;
            writeln!(connection, "{state}")
        }
        Some(("trace", payload)) => match payload.parse() {
            Ok(payload) => watched.tracer.listen(connection, payload, u64::MAX, false),
            Err(_) => writeln!(connection, "not a number: {payload}"),
        },
        _ => writeln!(connection, "not understood"),
    }
}

/// Asks a daemon how things stand.
/// # Errors
/// When none serves in `root`, or it speaks otherwise.
pub fn ask(root: &Path) -> io::Result<State> {
    let mut connection = connect(root)?;
    connection.write_all(b"state\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Listens to a daemon's records.
/// # Errors
/// When none serves in `root`.
pub fn attach(root: &Path, payload: usize) -> io::Result<UnixStream> {
    let mut connection = connect(root)?;
    writeln!(connection, "trace {payload}")?;
    Ok(connection)
}

fn connect(root: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(root.join(SOCKET_NAME)).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: no uacce-sim serves here ({error})", root.display()))
    })
}

/// The socket's name in the daemon's directory.
pub const SOCKET_NAME: &str = "watch";
/// A question is short and comes at once.
const LONGEST_QUESTION: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(5);
