//! `uacce-sim run`: a daemon for one command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use uacce_sim_protocol::ROOT_VARIABLE;

use crate::cli::Options;
use crate::os::process;

/// Runs `command` on a daemon of its own. Its exit status, 128 + signal if a signal ended it; 127 and 126 when it could
/// not be started, as a shell would say; 125 when the simulator itself could not.
pub fn run(options: &Options, preload: Option<PathBuf>, command: &[OsString]) -> ExitCode {
    match try_run(options, preload, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("uacce-sim: {error}");
            ExitCode::from(125)
        }
    }
}

/// Finds the preload library: as given, or beside this program (installed: `../lib`; built: the same folder).
/// # Errors
/// `NotFound`, naming the places looked at.
pub fn preload_library(given: Option<PathBuf>) -> io::Result<PathBuf> {
    if let Some(path) = given {
        return fs::canonicalize(&path).map_err(|error| named(&path, &error));
    }
    let program = std::env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places = [folder.join("../lib").join(PRELOAD_NAME), folder.join(PRELOAD_NAME)];
    if let Some(found) = places.iter().find_map(|place| fs::canonicalize(place).ok()) {
        return Ok(found);
    }
    let message =
        format!("{PRELOAD_NAME} is neither in ../lib nor beside {}; say --preload FILE", program.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn try_run(options: &Options, preload: Option<PathBuf>, command: &[OsString]) -> io::Result<ExitCode> {
    let preload = preload_library(preload)?;
    // Before anything is started: a signal that arrives early must not be lost, nor end us without cleaning up.
    let signals =
        process::SignalSet::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD]);
    process::adopt_orphans()?;
    let mut daemon = Daemon::start(options, &signals)?;
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env(ROOT_VARIABLE, &daemon.root)
        .env("LD_PRELOAD", appended(std::env::var_os("LD_PRELOAD"), &preload));
    signals.release_in(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("uacce-sim: {}: {error}", program.to_string_lossy());
            daemon.finish();
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            return Ok(ExitCode::from(code));
        }
    };
    let status = attend(&mut child, &mut daemon, &signals)?;
    wait_for_descendants(daemon.process.id());
    daemon.finish();
    Ok(exit_code(status))
}

/// Waits for the command, passing signals on. Those of the terminal reach it anyway; it decides what they mean.
fn attend(child: &mut Child, daemon: &mut Daemon, signals: &process::SignalSet) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        daemon.notice_end();
        let taken = signals.wait();
        if taken.signal != libc::SIGCHLD && taken.sent_by_process {
            // It may have ended just now; then there is nobody to tell.
            let _ = process::send_signal(child.id(), taken.signal);
        }
    }
}

/// A command may leave descendants that are about to open a device: they get a moment. Those with an open queue then keep
/// the daemon, others (a server that went into the background) do not.
fn wait_for_descendants(daemon: u32) {
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        let others: Vec<u32> = children().into_iter().filter(|child| *child != daemon).collect();
        if others.is_empty() {
            return;
        }
        for child in others {
            process::reap(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Our children, adopted ones included; none when the kernel does not list them.
fn children() -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()));
    listed.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

struct Daemon {
    process: Child,
    root: PathBuf,
    ended: bool,
}

impl Daemon {
    /// Starts the daemon in its own process group, free of what is meant for the command.
    fn start(options: &Options, signals: &process::SignalSet) -> io::Result<Self> {
        let root = process::private_directory(&runtime_directory())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--owned").arg("--root").arg(&root).args(options.to_arguments());
        for (name, _) in std::env::vars_os() {
            if is_for_command_only(&name) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        signals.release_in(&mut command);
        let mut process = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line != "ready\n" {
            let status = process.wait()?;
            let _ = fs::remove_dir_all(&root);
            return Err(io::Error::other(format!("the daemon did not start ({status})")));
        }
        Ok(Self { process, root, ended: false })
    }

    /// Says so once if the daemon ended before the command: the devices are gone for it.
    fn notice_end(&mut self) {
        if !self.ended && matches!(self.process.try_wait(), Ok(Some(_))) {
            self.ended = true;
            eprintln!("uacce-sim: the daemon ended; its devices are gone");
        }
    }

    /// Tells the daemon that the command is done, and waits until its last connection is.
    fn finish(mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Where sockets belong; short enough for a socket address.
pub fn runtime_directory() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    directory.filter(|path| path.is_dir() && path.as_os_str().len() < 64).unwrap_or_else(|| "/tmp".into())
}

fn is_for_command_only(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["OPENSSL_", "WARPDRIVE_", "LD_PRELOAD", ROOT_VARIABLE].iter().any(|prefix| name.starts_with(prefix))
}

/// Ours last: a shim that looks libc's functions up by RTLD_NEXT must come before.
fn appended(present: Option<OsString>, library: &Path) -> OsString {
    let mut list = present.unwrap_or_default();
    if !list.is_empty() {
        list.push(":");
    }
    list.push(library);
    list
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

const PRELOAD_NAME: &str = "libuacce_sim_preload.so";
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_goes_last() {
        assert_eq!(appended(None, Path::new("/x.so")), "/x.so");
        assert_eq!(appended(Some("/a.so".into()), Path::new("/x.so")), "/a.so:/x.so");
    }

    #[test]
    fn the_daemon_is_free_of_the_commands_variables() {
        for name in ["OPENSSL_CONF", "OPENSSL_MODULES", "WARPDRIVE_POLICY", "LD_PRELOAD", "UACCE_SIM_ROOT"] {
            assert!(is_for_command_only(OsStr::new(name)), "{name}");
        }
        assert!(!is_for_command_only(OsStr::new("PATH")));
    }
}
