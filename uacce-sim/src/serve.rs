//! `uacce-sim serve`: the daemon. One thread accepts, one thread per connection answers its calls.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use uacce_sim_protocol::{PAGE_SIZE_NAME, REQUEST_LEN, Reply, Request, SOCKET_NAME};

use crate::device::{Description, Device, Outside, build};
use crate::fault::{Armed, Rule};
use crate::log::Sink;
use crate::note;
use crate::os::client::ClientMemory;
use crate::os::{process, socket};
use crate::pace::Times;
use crate::queue::{Opening, Queue};
use crate::sysfs;
use crate::trace::Tracer;
use crate::watch::{self, Watched};

/// How the daemon is set up.
pub struct Settings {
    /// Its directory.
    pub root: PathBuf,
    /// The devices.
    pub devices: Vec<Description>,
    /// What is to go wrong.
    pub faults: Vec<Rule>,
    /// How long requests take.
    pub times: Times,
    /// Where each request is recorded.
    pub trace: Option<TraceFile>,
    /// Where its log goes; nowhere without.
    pub log: Option<PathBuf>,
    /// Serve other users, not only its own.
    pub allow_other: bool,
    /// Started by `run`: say nothing, end when standard input is closed and the last connection gone, remove the directory.
    pub owned: bool,
}

/// A trace file to write.
pub struct TraceFile {
    /// Where; replaced if it exists.
    pub path: PathBuf,
    /// Bytes of each buffer to record.
    pub payload: usize,
    /// Most bytes of the file.
    pub limit: u64,
}

/// Serves until SIGINT, SIGTERM, or (owned) until nobody is left.
/// # Errors
/// When the directory, the socket or the attribute files cannot be set up.
pub fn serve(settings: Settings) -> io::Result<()> {
    let signals = process::SignalSet::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]);
    process::raise_descriptor_limit();
    process::limit_arenas();
    crate::log::open(match &settings.log {
        Some(path) => Sink::file(path)?,
        None if settings.owned => Sink::Quiet,
        None => Sink::Stderr,
    });
    let root = &settings.root;
    fs::create_dir_all(root)?;
    let mode = if settings.allow_other { 0o711 } else { 0o700 };
    fs::set_permissions(root, fs::Permissions::from_mode(mode))?;
    clear(root)?;
    if let Some(size) = settings.devices.first().map(|device| device.page_size) {
        if size != process::page_size() {
            std::os::unix::fs::symlink(size.to_string(), root.join(PAGE_SIZE_NAME))?;
        }
    }
    let tracer = Arc::new(Tracer::default());
    if let Some(trace) = &settings.trace {
        let file = fs::File::create(&trace.path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", trace.path.display())))?;
        tracer.listen(file, trace.payload, trace.limit, true)?;
    }
    let outside = Outside {
        faults: settings.faults.iter().cloned().map(|rule| Arc::new(Armed::new(rule))).collect(),
        times: settings.times.clone(),
        tracer: Arc::clone(&tracer),
    };
    let devices = build(root, settings.devices.clone(), &outside)?;
    watch::listen(
        root,
        Watched { devices: devices.clone(), tracer: Arc::clone(&tracer), started: Instant::now() },
    )?;
    let listener = socket::listen(&root.join(SOCKET_NAME))?;
    if settings.allow_other {
        fs::set_permissions(root.join(SOCKET_NAME), fs::Permissions::from_mode(0o666))?;
    }
    fs::write(root.join(PID_NAME), format!("{}\n", std::process::id()))?;
    let named = devices.into_iter().map(|device| (device.description.name(), device)).collect();
    let daemon = Arc::new(Daemon::new(named, settings.allow_other));
    let accepting = Arc::clone(&daemon);
    thread::Builder::new().name("accept".to_owned()).spawn(move || accept(&accepting, &listener))?;
    // Whoever started the daemon reads this line to know that clients may come.
    writeln!(io::stdout(), "ready")?;
    note!("serving {}", daemon.devices.keys().cloned().collect::<Vec<_>>().join(", "));
    if settings.owned {
        let (root, tracer) = (root.clone(), Arc::clone(&tracer));
        thread::Builder::new().name("owner".to_owned()).spawn(move || {
            wait_for_owner();
            daemon.wait_until_unused();
            tracer.finish();
            remove(&root, true);
            std::process::exit(0);
        })?;
    }
    let taken = signals.wait();
    note!("signal {}, ending", taken.signal);
    tracer.finish();
    remove(root, settings.owned);
    Ok(())
}

struct Daemon {
    devices: HashMap<String, Arc<Device>>,
    allow_other: bool,
    /// Open connections of each process.
    connections: Mutex<HashMap<libc::pid_t, usize>>,
    none_left: Condvar,
    /// Of one process at a time.
    most_connections: usize,
}

impl Daemon {
    fn new(devices: HashMap<String, Arc<Device>>, allow_other: bool) -> Self {
        // All queues there are, and opens that fail meanwhile.
        let queues: usize = devices.values().map(|device| usize::from(device.description.queues)).sum();
        Self {
            devices,
            allow_other,
            connections: Mutex::default(),
            none_left: Condvar::new(),
            most_connections: queues + SPARE_CONNECTIONS,
        }
    }

    /// Counts a connection; false if its process has too many: each takes a thread and descriptors from all others.
    fn admit(&self, process: libc::pid_t) -> bool {
        let mut connections = self.connections.lock();
        let count = connections.entry(process).or_default();
        let admitted = *count < self.most_connections;
        if admitted {
            *count += 1;
        }
        admitted
    }

    fn wait_until_unused(&self) {
        let mut connections = self.connections.lock();
        while !connections.is_empty() {
            self.none_left.wait(&mut connections);
        }
    }
}

fn accept(daemon: &Arc<Daemon>, listener: &OwnedFd) {
    loop {
        let connection = match socket::accept(listener.as_fd()) {
            Ok(connection) => connection,
            Err(error) => {
                // Out of descriptors, or a peer that vanished again: others may still succeed.
                note!("accept: {error}");
                thread::sleep(std::time::Duration::from_millis(10));
                continue;
            }
        };
        let process = socket::peer(connection.as_fd()).map_or(0, |peer| peer.pid);
        if !daemon.admit(process) {
            note!("process {process} has {} connections already", daemon.most_connections);
            continue;
        }
        let serving = Arc::clone(daemon);
        let spawned =
            thread::Builder::new().name("connection".to_owned()).stack_size(256 << 10).spawn(move || {
                converse(&serving, connection);
                disconnected(&serving, process);
            });
        if let Err(error) = spawned {
            note!("no thread for a connection: {error}");
            disconnected(daemon, process);
        }
    }
}

fn disconnected(daemon: &Daemon, process: libc::pid_t) {
    let mut connections = daemon.connections.lock();
    if let Some(count) = connections.get_mut(&process) {
        *count -= 1;
        if *count == 0 {
            connections.remove(&process);
        }
    }
    daemon.none_left.notify_all();
}

/// Answers the calls of one connection to these devices: a daemon without a socket.
#[cfg(any(test, feature = "fuzzing"))]
pub fn converse_with(devices: &[Arc<Device>], connection: OwnedFd) {
    let devices = devices.iter().map(|device| (device.description.name(), Arc::clone(device))).collect();
    converse(&Daemon::new(devices, false), connection);
}

/// Answers the calls of one connection until its last reference is closed.
fn converse(daemon: &Daemon, connection: OwnedFd) {
    let connection = Arc::new(connection);
    let mut queue: Option<Queue> = None;
    let mut wire = [0; REQUEST_LEN + 1];
    while let Ok((len, descriptors)) = socket::receive(connection.as_fd(), &mut wire) {
        if len == 0 {
            break;
        }
        let mut descriptors = descriptors.into_iter();
        let Some(reply_to) = descriptors.next() else {
            note!("a message without a reply socket");
            continue;
        };
        let request = Request::decode(wire.get(..len).unwrap_or_default());
        let (reply, memory) = match (request, &mut queue) {
            (None, _) => (Reply::failure(libc::EPROTO), None),
            (Some(Request::Open { name, flags, page_size }), None) => {
                let opened = open(daemon, &connection, &name, flags, page_size, descriptors.next());
                match opened {
                    Ok(opened) => {
                        queue = Some(opened);
                        (Reply::default(), None)
                    }
                    Err(errno) => (Reply::failure(errno), None),
                }
            }
            (Some(Request::Ioctl { command, bytes, .. }), Some(queue)) => {
                (queue.ioctl(command, &bytes), None)
            }
            (Some(Request::Map { offset, length, prot }), Some(queue)) => queue.map(offset, length, prot),
            (Some(_), _) => (Reply::failure(libc::EBADF), None),
        };
        let memory = memory.as_slice();
        if let Err(error) = socket::send(reply_to.as_fd(), &reply.encode(), memory) {
            note!("a caller did not wait for its answer: {error}");
        }
    }
    if let Some(queue) = queue {
        queue.close();
        process::give_back_memory();
    }
}

fn open(
    daemon: &Daemon,
    connection: &Arc<OwnedFd>,
    name: &str,
    flags: u32,
    page_size: u32,
    mem: Option<OwnedFd>,
) -> Result<Queue, i32> {
    let device = daemon.devices.get(name).ok_or(libc::ENODEV)?;
    let peer = socket::peer(connection.as_fd()).map_err(|_| libc::EACCES)?;
    if peer.uid != process::user() && !daemon.allow_other {
        note!("{name}: user {} refused (--allow-other admits it)", peer.uid);
        return Err(libc::EACCES);
    }
    let memory = ClientMemory::new(peer.pid, mem).map_err(|error| {
        note!("{name}: no way to the memory of process {}: {error}", peer.pid);
        libc::EACCES
    })?;
    Queue::open(device, Opening { flags, page_size, socket: Arc::clone(connection), memory })
}

/// Returns when whoever started us closed our standard input, by intention or by dying.
fn wait_for_owner() {
    let mut line = Vec::new();
    while matches!(io::stdin().lock().read_until(b'\n', &mut line), Ok(1..)) {
        line.clear();
    }
}

/// Removes what an earlier daemon left; refuses to take the directory from a living one.
fn clear(root: &Path) -> io::Result<()> {
    let path = root.join(SOCKET_NAME);
    if path.exists() {
        if socket::connect(&path).is_ok() {
            let message = format!("{}: another uacce-sim is serving here", root.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        fs::remove_file(&path)?;
    }
    match fs::remove_file(root.join(watch::SOCKET_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // What a killed daemon left.
    let _ = fs::remove_file(root.join(PAGE_SIZE_NAME));
    sysfs::remove(root);
    Ok(())
}

fn remove(root: &Path, directory_too: bool) {
    let _ = fs::remove_file(root.join(SOCKET_NAME));
    let _ = fs::remove_file(root.join(watch::SOCKET_NAME));
    let _ = fs::remove_file(root.join(PID_NAME));
    let _ = fs::remove_file(root.join(PAGE_SIZE_NAME));
    sysfs::remove(root);
    if directory_too {
        let _ = fs::remove_dir(root);
    }
}

/// Connections beyond queues that a process may have.
const SPARE_CONNECTIONS: usize = 64;
/// The daemon's process id, beside its socket.
pub const PID_NAME: &str = "pid";
