//! The command line.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use uacce_sim_protocol::ROOT_VARIABLE;

use crate::device::{Description, Doorbell, Engine, Generation, Kernel, Memory, Service};
use crate::fault::Rule;
use crate::os::process::page_size;
use crate::pace::{Bandwidth, Latency, Profile, Times};
use crate::run::{self, preload_library};
use crate::serve::{self, Settings, TraceFile};
use crate::{top, trace, watch};

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
    /// Show what the devices of a daemon are doing: queues, rates, last errors
    Top {
        /// The daemon's directory [default: $UACCE_SIM_ROOT, or the only daemon there is]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Print one table and end
        #[arg(long)]
        once: bool,
        /// Print JSON, one line each time
        #[arg(long)]
        json: bool,
        /// Time between two tables, over which rates are measured
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
        interval: Duration,
    },
    /// Print a trace file, or what a daemon's clients are doing now: every descriptor with its named fields
    Trace {
        /// A file written by `--trace` [default: what happens now]
        file: Option<PathBuf>,
        /// The daemon's directory [default: $UACCE_SIM_ROOT, or the only daemon there is]
        #[arg(long, value_name = "DIR", conflicts_with = "file")]
        root: Option<PathBuf>,
        /// One line a record
        #[arg(long)]
        brief: bool,
        /// Show so many bytes of each buffer, keys among them; of a file, those that were recorded
        #[arg(long, value_name = "BYTES", default_value_t = 0, num_args = 0..=1, default_missing_value = "64", require_equals = true)]
        payload: usize,
        /// Write the records to FILE instead of printing them
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        output: Option<PathBuf>,
        /// Times in UTC
        #[arg(long)]
        utc: bool,
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
    /// Devices: hpre, sec or zip, each with a count after a colon if not 1, and a NUMA node after @ if not 0
    /// [default: hpre,zip; with --hw v1 zip]
    #[arg(long, value_name = "NAME[:COUNT][@NODE],…", value_delimiter = ',', value_parser = parse_device)]
    device: Vec<Wanted>,
    /// Hardware generation
    #[arg(long, value_enum, default_value_t = Generation::V2)]
    hw: Generation,
    /// Whose kernel driver to imitate where they differ [default: mainline; without SVA openeuler]
    #[arg(long, value_enum)]
    kernel: Option<Kernel>,
    /// How descriptors name memory: by the client's addresses, or by those of memory reserved behind an IOMMU or without one
    #[arg(long, value_enum, default_value_t = Memory::Sva)]
    memory: Memory,
    /// Page size of the machine that is imitated: 4096, 16384 or 65536 bytes [default: this machine's]
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    page_size: Option<u32>,
    /// Queues per device; opening one more fails with EBUSY
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    queues: u16,
    /// Time from the end of the engine's work to completion, e.g. 150us,deflate=15us; requests in flight overlap
    #[arg(long, value_name = "[OPERATION=]TIME,…", value_delimiter = ',')]
    latency: Vec<Latency>,
    /// What a device does in a second, e.g. deflate=7GB,rsa-2048-private=50000op: its engine's cores share it
    #[arg(long, value_name = "[OPERATION=]RATE,…", value_delimiter = ',')]
    bandwidth: Vec<Bandwidth>,
    /// Latency and bandwidth as published for a machine; --latency and --bandwidth override them
    #[arg(long, value_enum)]
    profile: Option<Profile>,
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
    /// Record every descriptor in FILE, for `uacce-sim trace FILE`
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Record so many bytes of each buffer too, keys among them
    #[arg(long, value_name = "BYTES", default_value_t = 0, requires = "trace")]
    trace_payload: usize,
    /// End the trace file at so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, requires = "trace")]
    trace_limit: u64,
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
    node: u8,
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
        Command::Top { root, once, json, interval } => {
            report(top::root(root).and_then(|root| top::top(&root, top::Style { once, json, interval })))
        }
        Command::Trace { file, root, brief, payload, output, utc } => {
            let style = trace::print::Style { brief, payload: payload > 0, utc };
            report(show_trace(file, root, payload, output, style))
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
            let _ = write!(device, "{comma}{name}:{}@{}", wanted.count, wanted.node);
        }
        let mut arguments: Vec<OsString> = [
            format!("--hw={}", value_name(&self.hw)),
            format!("--memory={}", value_name(&self.memory)),
            format!("--queues={}", self.queues),
            format!("--doorbell={}", value_name(&self.doorbell)),
            format!("--spin={}", self.spin),
        ]
        .map(OsString::from)
        .into();
        if !device.is_empty() {
            arguments.push(format!("--device={device}").into());
        }
        arguments.extend(self.page_size.map(|size| format!("--page-size={size}").into()));
        arguments.extend(self.kernel.iter().map(|kernel| format!("--kernel={}", value_name(kernel)).into()));
        arguments.extend(self.latency.iter().map(|item| format!("--latency={item}").into()));
        arguments.extend(self.bandwidth.iter().map(|item| format!("--bandwidth={item}").into()));
        arguments
            .extend(self.profile.iter().map(|profile| format!("--profile={}", value_name(profile)).into()));
        if let Some(file) = &self.trace {
            arguments.extend(["--trace".into(), file.clone().into_os_string()]);
            arguments.push(format!("--trace-payload={}", self.trace_payload).into());
            arguments.push(format!("--trace-limit={}", self.trace_limit).into());
        }
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
            memo: self.memo,
            doorbell: self.doorbell,
            spin: Duration::from_micros(self.spin.into()),
        };
        let kernel = match (self.kernel, self.memory) {
            (None, Memory::Sva) => Kernel::Mainline,
            (None, _) => Kernel::Openeuler,
            (Some(Kernel::Mainline), Memory::Iommu | Memory::Noiommu) => {
                return Err(refused("mainline kernels have no uacce devices without SVA (uacce-qm §1.3)"));
            }
            (Some(kernel), _) => kernel,
        };
        let usual = |engine| Wanted { engine, count: 1, node: 0 };
        let wanted = match (self.device.is_empty(), self.hw) {
            (false, _) => self.device,
            (true, Generation::V1) => vec![usual(Engine::Zip)],
            (true, _) => vec![usual(Engine::Hpre), usual(Engine::Zip)],
        };
        if self.hw == Generation::V1 && wanted.iter().any(|wanted| wanted.engine == Engine::Hpre) {
            return Err(refused("there is no HPRE of generation v1: its driver refuses it (uacce-qm §9)"));
        }
        let numa = wanted.iter().any(|wanted| wanted.node > 0);
        let each = wanted.iter().flat_map(|wanted| (0..wanted.count).map(|_| (wanted.engine, wanted.node)));
        let devices = each
            .zip(0..)
            .map(|((engine, node), id)| Description {
                engine,
                id,
                generation: self.hw,
                kernel,
                memory: self.memory,
                node,
                numa,
                page_size: self.page_size.unwrap_or_else(page_size),
                queues: self.queues,
                service,
            })
            .collect();
        let times = Times::new(self.profile, self.latency, self.bandwidth);
        let trace =
            self.trace.map(|path| TraceFile { path, payload: self.trace_payload, limit: self.trace_limit });
        Ok(Settings {
            root,
            devices,
            faults,
            times,
            trace,
            log: self.log,
            allow_other: self.allow_other,
            owned,
        })
    }
}

fn refused(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, why)
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

fn show_trace(
    file: Option<PathBuf>,
    root: Option<PathBuf>,
    payload: usize,
    output: Option<PathBuf>,
    style: trace::print::Style,
) -> std::io::Result<()> {
    if let Some(file) = file {
        let named =
            |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let input = std::io::BufReader::new(std::fs::File::open(&file).map_err(named)?);
        return trace::print::print(input, std::io::stdout().lock(), style).map_err(named);
    }
    let mut connection = watch::attach(&top::root(root)?, payload)?;
    match output {
        Some(path) => std::io::copy(&mut connection, &mut std::fs::File::create(path)?).map(drop),
        None => trace::print::print(std::io::BufReader::new(connection), std::io::stdout().lock(), style),
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn value_name<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn parse_device(text: &str) -> Result<Wanted, String> {
    let (what, node) = text.split_once('@').unwrap_or((text, "0"));
    let (name, count) = what.split_once(':').unwrap_or((what, "1"));
    let engine = match name {
        "hpre" => Engine::Hpre,
        "sec" => Engine::Sec,
        "zip" => Engine::Zip,
        _ => return Err(format!("no such device: {name} (hpre, sec, zip)")),
    };
    let Ok(count @ 1..=32) = count.parse() else { return Err(format!("{count}: not a count from 1 to 32")) };
    let Ok(node @ 0..=7) = node.parse() else { return Err(format!("{node}: not a node from 0 to 7")) };
    Ok(Wanted { engine, count, node })
}

fn parse_page_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (4096 | 16384 | 65536)) => Ok(size),
        _ => Err(format!("{text}: not 4096, 16384 or 65536")),
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
            "zip:2@1,hpre",
            "--hw=v3",
            "--kernel=kae",
            "--memory=noiommu",
            "--page-size=65536",
            "--latency",
            "150us,rsa=1ms",
            "--bandwidth=deflate=5GB/s",
            "--profile=kunpeng920",
            "--trace=t r",
            "--trace-payload=16",
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
    fn devices_sit_where_they_are_put() {
        let settings = options(&["--device=zip:2@3,hpre"]).settings("r".into(), false).unwrap();
        assert_eq!(settings.devices.iter().map(|device| device.node).collect::<Vec<_>>(), [3, 3, 0]);
        assert!(settings.devices.iter().all(|device| device.numa));
        for bad in ["zip@8", "zip@", "zip@1:2", "zip:0", "zap"] {
            assert!(parse_device(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_kernel_has_is_refused() {
        let settings = |arguments: &[&str]| options(arguments).settings("r".into(), false);
        assert!(settings(&["--memory=iommu", "--kernel=mainline"]).is_err());
        assert!(settings(&["--hw=v1", "--device=hpre"]).is_err());
        let names = |arguments| -> Vec<_> {
            let devices = settings(arguments).unwrap().devices;
            devices.iter().map(|device| (device.name(), device.kernel)).collect()
        };
        assert_eq!(names(&["--hw=v1"]), [("hisi_zip-0".to_owned(), Kernel::Mainline)]);
        assert_eq!(
            names(&["--memory=iommu", "--device=zip"]),
            [("hisi_zip-0".to_owned(), Kernel::Openeuler)]
        );
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
