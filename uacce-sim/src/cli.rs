//! The command line.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use uacce_sim_protocol::ROOT_VARIABLE;

use crate::device::{Description, Doorbell, Engine, Hardware, Kernel, Service};
use crate::fault::Rule;
use crate::run::{self, preload_library};
use crate::serve::{self, Settings};

/// Simulated uacce devices for any uacce program.
#[derive(Parser)]
#[command(name = "uacce-sim", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run COMMAND on simulated devices; ends with its exit status (128 + signal if it was killed)
    Run {
        #[command(flatten)]
        options: Options,
        /// The preload library [default: beside this program]
        #[arg(long, value_name = "FILE")]
        preload: Option<PathBuf>,
        /// What to run
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Serve simulated devices in the foreground, for any number of commands
    Serve {
        /// Directory for the socket and the attribute files; created if absent
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        #[command(flatten)]
        options: Options,
        #[arg(long, hide = true)]
        owned: bool,
    },
    /// Print the variables that lead a shell's programs to a serving daemon: eval "$(uacce-sim env --root DIR)"
    Env {
        /// The directory given to `serve`
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// The preload library [default: beside this program]
        #[arg(long, value_name = "FILE")]
        preload: Option<PathBuf>,
    },
}

/// What is simulated, and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Devices: hpre, sec or zip, each with a count after a colon if not 1
    #[arg(long, value_name = "NAME[:COUNT],…", value_delimiter = ',', default_value = "hpre,zip", value_parser = parse_device)]
    device: Vec<Wanted>,
    /// Hardware generation
    #[arg(long, value_enum, default_value_t = Hardware::V2)]
    hw: Hardware,
    /// Whose kernel driver to imitate where they differ
    #[arg(long, value_enum, default_value_t = Kernel::Mainline)]
    kernel: Kernel,
    /// Queues per device; opening one more fails with EBUSY
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    queues: u16,
    /// Time from doorbell to completion at least, e.g. 150us; requests in flight overlap
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_time)]
    latency: Duration,
    /// The same input gives the remembered output: leaves the client's own cost
    #[arg(long)]
    memo: bool,
    /// How doorbells arrive; `poll` is for strictly synchronous clients
    #[arg(long, value_enum, default_value_t = Doorbell::Trap)]
    doorbell: Doorbell,
    /// Microseconds a queue spins for its next doorbell before it sleeps
    #[arg(long, value_name = "US", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    spin: u32,
    /// What goes wrong: KIND[=VALUE][,CONDITION=VALUE]…, e.g. lost,device=zip,every=100; may be given again
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Rule>,
    /// A file of faults, one a line
    #[arg(long, value_name = "FILE")]
    fault_file: Option<PathBuf>,
    /// Append the daemon's log to FILE
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Serve other users' processes too
    #[arg(long)]
    allow_other: bool,
}

/// One item of `--device`.
#[derive(Clone, Debug)]
struct Wanted {
    engine: Engine,
    count: u16,
}

/// Parses the arguments and runs what they say.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { options, preload, command } => run::run(&options, preload, &command),
        // Clients compare the socket's address with their own spelling of the directory: it must not depend on ours.
        Command::Serve { root, options, owned } => {
            let settings = std::path::absolute(root).and_then(|root| options.settings(root, owned));
            report(settings.and_then(serve::serve))
        }
        Command::Env { root, preload } => report(print_environment(root, preload)),
    }
}

impl Options {
    /// These options as arguments of `serve`.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut device = String::new();
        for wanted in &self.device {
            let name = wanted.engine.name();
            let comma = if device.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(device, "{comma}{name}:{}", wanted.count);
        }
        let mut arguments: Vec<OsString> = [
            format!("--device={device}"),
            format!("--hw={}", value_name(&self.hw)),
            format!("--kernel={}", value_name(&self.kernel)),
            format!("--queues={}", self.queues),
            format!("--latency={}ns", self.latency.as_nanos()),
            format!("--doorbell={}", value_name(&self.doorbell)),
            format!("--spin={}", self.spin),
        ]
        .map(OsString::from)
        .into();
        arguments.extend(self.fault.iter().map(|rule| format!("--fault={rule}").into()));
        if let Some(file) = &self.fault_file {
            arguments.extend(["--fault-file".into(), file.clone().into_os_string()]);
        }
        if self.memo {
            arguments.push("--memo".into());
        }
        if self.allow_other {
            arguments.push("--allow-other".into());
        }
        if let Some(log) = &self.log {
            arguments.extend(["--log".into(), log.clone().into_os_string()]);
        }
        arguments
    }

    fn settings(self, root: PathBuf, owned: bool) -> std::io::Result<Settings> {
        let mut faults = self.fault;
        if let Some(file) = &self.fault_file {
            faults.extend(Rule::read(file)?);
        }
        let service = Service {
            latency: self.latency,
            memo: self.memo,
            doorbell: self.doorbell,
            spin: Duration::from_micros(self.spin.into()),
        };
        let engines = self.device.iter().flat_map(|wanted| (0..wanted.count).map(|_| wanted.engine));
        let devices = engines
            .zip(0..)
            .map(|(engine, id)| Description {
                engine,
                id,
                hardware: self.hw,
                kernel: self.kernel,
                queues: self.queues,
                service,
            })
            .collect();
        Ok(Settings { root, devices, faults, log: self.log, allow_other: self.allow_other, owned })
    }
}

fn report(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("uacce-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_environment(root: PathBuf, preload: Option<PathBuf>) -> std::io::Result<()> {
    let root = std::path::absolute(root)?;
    let preload = preload_library(preload)?;
    println!("export {ROOT_VARIABLE}={}", shell_quoted(&root.to_string_lossy()));
    println!(
        "export LD_PRELOAD=\"${{LD_PRELOAD:+$LD_PRELOAD:}}\"{}",
        shell_quoted(&preload.to_string_lossy())
    );
    Ok(())
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn value_name<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn parse_device(text: &str) -> Result<Wanted, String> {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    let engine = match name {
        "hpre" => Engine::Hpre,
        "sec" => Engine::Sec,
        "zip" => Engine::Zip,
        _ => return Err(format!("no such device: {name} (hpre, sec, zip)")),
    };
    match count.parse() {
        Ok(count @ 1..=32) => Ok(Wanted { engine, count }),
        _ => Err(format!("{count}: not a count from 1 to 32")),
    }
}

/// A number with a unit: ns, us, ms or s; 0 needs none. At most a minute.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("{text}: not a time"))?;
    let time = match unit {
        "ns" => Duration::from_nanos(number),
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "" if number == 0 => Duration::ZERO,
        _ => return Err(format!("{text}: a unit is needed: ns, us, ms or s")),
    };
    if time > Duration::from_secs(60) { Err(format!("{text}: longer than a minute")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let arguments = ["uacce-sim", "run"].iter().chain(arguments).chain(&["--", "true"]);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Run { options, .. } => options,
            _ => unreachable!(),
        }
    }

    #[test]
    fn options_survive_the_way_to_the_daemon() {
        let given = options(&[
            "--device",
            "zip:2,hpre",
            "--hw=v3",
            "--latency",
            "150us",
            "--memo",
            "--fault",
            "late=1ms,every=3",
            "--fault=lost",
            "--log",
            "a b",
        ]);
        let arguments = given.to_arguments();
        let again = ["uacce-sim", "serve", "--root", "r"].map(OsString::from).into_iter().chain(arguments);
        let Command::Serve { options: again, .. } = Cli::try_parse_from(again).unwrap().command else {
            unreachable!()
        };
        assert_eq!(format!("{given:?}"), format!("{again:?}"));
    }

    #[test]
    fn one_counter_numbers_all_devices() {
        let settings = options(&["--device", "zip:2,hpre"]).settings("r".into(), false).unwrap();
        let names: Vec<_> = settings.devices.iter().map(Description::name).collect();
        assert_eq!(names, ["hisi_zip-0", "hisi_zip-1", "hisi_hpre-2"]);
    }

    #[test]
    fn times_need_units() {
        assert_eq!(parse_time("150us"), Ok(Duration::from_micros(150)));
        assert_eq!(parse_time("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "us", "1h", "61s", "-1ms", "99999999999999999999s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
