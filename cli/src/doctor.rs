//! `warpdrive doctor`: one screen that says whether work is offloaded and, if not, why.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use warpdrive::Algorithm;
use warpdrive::config::{CONF_VARIABLE, Config, Policy, SYSTEM_FILE, Source};
use warpdrive::devices::{DeviceInfo, Roots, obstacle};

use crate::devices::{plain, sorted};

/// A device and what opening it said.
struct Found {
    info: DeviceInfo,
    /// `Err`: why it gives no queue.
    queue: Result<(), String>,
}

/// One kind of work: `Err` says why it stays in software.
struct Verdict {
    work: &'static str,
    offloaded: Result<(), String>,
}

pub(crate) fn run(roots: &Roots, out: &mut impl Write) -> io::Result<ExitCode> {
    let config = Config::load();
    let devices: Vec<Found> = sorted(roots).into_iter().map(probe).collect();
    let provider = provider();
    let shim = shim();

    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, text: String| rows.push([name.to_owned(), plain(&text)]);
    row("configuration", configuration(&config));
    row("policy", policy(&config));
    if devices.is_empty() {
        row("devices", format!("none in {}", roots.class.display()));
    }
    for (index, found) in devices.iter().enumerate() {
        let state =
            found.queue.as_ref().map_or_else(|why| format!("not used: {why}"), |()| "gives queues".into());
        let text = format!("{} ({}): {state}", found.info.name, found.info.algorithms.join(","));
        row(if index == 0 { "devices" } else { "" }, text);
    }
    if let Some(root) = env::var_os("UACCE_SIM_ROOT") {
        row("simulator", format!("devices here are simulated, by {}", root.to_string_lossy()));
    }
    row("OpenSSL", provider.as_ref().map_or_else(Clone::clone, Clone::clone));
    row("zlib", shim.as_ref().map_or_else(Clone::clone, Clone::clone));
    row("counters", counters(&config));

    writeln!(out, "warpdrive {}", env!("CARGO_PKG_VERSION"))?;
    crate::columns(&rows.into_iter().map(Vec::from).collect::<Vec<_>>(), out)?;

    let verdicts = [
        rsa(&config, &devices, &provider),
        compression("deflate", Algorithm::Deflate, &config, &devices, &shim),
        compression("inflate", Algorithm::Inflate, &config, &devices, &shim),
    ];
    writeln!(out)?;
    for verdict in &verdicts {
        match &verdict.offloaded {
            Ok(()) => writeln!(out, "{:<9}offloaded", verdict.work)?,
            Err(why) => writeln!(out, "{:<9}not offloaded: {}", verdict.work, plain(why))?,
        }
    }
    writeln!(out)?;
    writeln!(
        out,
        "This is the view from this shell. Services may have another environment; programs that are set-uid, or linked"
    )?;
    writeln!(
        out,
        "statically with OpenSSL or zlib, are not reached. What a process really did: warpdrive stats."
    )?;

    let good = config.error.is_none() && verdicts.iter().any(|verdict| verdict.offloaded.is_ok());
    Ok(ExitCode::from(u8::from(!good)))
}

/// Opens the device for a moment: nothing else tells whether it gives this user a queue.
fn probe(info: DeviceInfo) -> Found {
    let queue = match obstacle(&info) {
        Some(why) => Err(why.to_owned()),
        None => match OpenOptions::new().read(true).write(true).open(&info.path) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::PermissionDenied => format!("no permission for {}", info.path.display()),
                io::ErrorKind::ResourceBusy => "all its queues are taken".to_owned(),
                io::ErrorKind::NotFound => format!("{} does not exist", info.path.display()),
                _ => format!("{}: {error}", info.path.display()),
            }),
        },
    };
    Found { info, queue }
}

fn configuration(config: &Config) -> String {
    if let Some(error) = &config.error {
        return format!("everything stays in software: {error}");
    }
    match &config.source {
        Source::Environment(path) => format!("{} ({CONF_VARIABLE}), valid", path.display()),
        Source::System(path) => format!("{}, valid", path.display()),
        Source::Secure => "not read: this process has more rights than its caller".to_owned(),
        _ => format!("no {SYSTEM_FILE}, {CONF_VARIABLE} not set: defaults"),
    }
}

/// `auto`, or the rows that differ from it.
fn policy(config: &Config) -> String {
    let rows = Algorithm::ALL.map(|algorithm| (algorithm.name(), config.policy(algorithm)));
    let [(_, first), ..] = rows;
    if rows.iter().all(|(_, policy)| *policy == first) {
        return format!("{} for everything", first.name());
    }
    let usual = config.default_policy();
    let exceptions = rows.iter().filter(|(_, policy)| *policy != usual);
    let exceptions: Vec<_> = exceptions.map(|(name, policy)| format!("{name} {}", policy.name())).collect();
    format!("{}, but {}", usual.name(), exceptions.join(", "))
}

fn counters(config: &Config) -> String {
    match &config.stats.dir {
        None => "in memory only (WARPDRIVE_STATS_DIR and stats.dir are not set)".to_owned(),
        Some(dir) if !dir.is_dir() => format!("in memory only: {} is not a directory", dir.display()),
        Some(dir) => format!("in {}", dir.display()),
    }
}

fn rsa(config: &Config, devices: &[Found], provider: &Result<String, String>) -> Verdict {
    let offered = || {
        served("RSA", &["rsa"], devices)?;
        provider.as_ref().map(|_| ()).map_err(|why| format!("OpenSSL: {why}"))
    };
    Verdict { work: "RSA", offloaded: allowed(config, Algorithm::RsaPrivate(2048)).and_then(|()| offered()) }
}

fn compression(
    work: &'static str,
    algorithm: Algorithm,
    config: &Config,
    devices: &[Found],
    shim: &Result<String, String>,
) -> Verdict {
    let reached = || {
        served("compression", &["zlib", "gzip", "deflate"], devices)?;
        shim.as_ref().map(|_| ()).map_err(|why| format!("zlib: {why}"))
    };
    Verdict { work, offloaded: allowed(config, algorithm).and_then(|()| reached()) }
}

fn allowed(config: &Config, algorithm: Algorithm) -> Result<(), String> {
    if config.error.is_some() {
        Err("the configuration is not valid".to_owned())
    } else if config.policy(algorithm) == Policy::Software {
        Err("the policy is software".to_owned())
    } else if config.queue.budget == 0 {
        Err("queue.budget is 0".to_owned())
    } else {
        Ok(())
    }
}

/// Some device does one of `algorithms` and gives a queue; else the first complaint of those that do.
fn served(what: &str, algorithms: &[&str], devices: &[Found]) -> Result<(), String> {
    let able: Vec<&Found> = devices
        .iter()
        .filter(|found| algorithms.iter().any(|algorithm| found.info.offers(algorithm)))
        .collect();
    if able.iter().any(|found| found.queue.is_ok()) {
        return Ok(());
    }
    let complaint = able.iter().find_map(|found| Some((&found.info.name, found.queue.as_ref().err()?)));
    Err(complaint.map_or_else(|| format!("no device for {what}"), |(name, why)| format!("{name}: {why}")))
}

/// Whether OpenSSL programs started from here load the provider: `Ok` says from where, `Err` what is missing.
fn provider() -> Result<String, String> {
    let (path, text) = match env::var_os("OPENSSL_CONF").filter(|value| !value.is_empty()) {
        Some(path) => {
            let path = PathBuf::from(path);
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            (path, text)
        }
        None => OPENSSL_CONF_FILES
            .iter()
            .find_map(|path| Some((PathBuf::from(path), fs::read_to_string(path).ok()?)))
            .ok_or_else(|| "no openssl.cnf, and OPENSSL_CONF is not set".to_owned())?,
    };
    let lines = || text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    if !lines().any(|line| line.contains("warpdrive")) {
        return Err(format!("{} does not name warpdrive", path.display()));
    }
    let named = lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "module" && value.contains("warpdrive")).then(|| PathBuf::from(value.trim()))
    });
    let modules = env::var_os("OPENSSL_MODULES").map(PathBuf::from);
    let module = match (named, modules) {
        (Some(module), _) if module.is_absolute() => Some(module).filter(|module| module.is_file()),
        (_, Some(dir)) => Some(dir.join(MODULE)).filter(|module| module.is_file()),
        (_, None) => module_dirs().map(|dir| dir.join(MODULE)).find(|module| module.is_file()),
    };
    match module {
        Some(module) => Ok(format!("{} names warpdrive; module {}", path.display(), module.display())),
        None => {
            Err(format!("{} names warpdrive, but there is no {MODULE} where OpenSSL looks", path.display()))
        }
    }
}

/// Distributions' module directories: `/usr/lib`, `/usr/lib64`, and one per architecture below `/usr/lib`.
fn module_dirs() -> impl Iterator<Item = PathBuf> {
    let triples = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let plain = ["/usr/lib64", "/usr/lib", "/usr/local/lib64", "/usr/local/lib"].map(PathBuf::from);
    plain.into_iter().chain(triples).map(|dir| dir.join("ossl-modules"))
}

/// Whether zlib programs started from here get ours.
fn shim() -> Result<String, String> {
    let preload = env::var("LD_PRELOAD").unwrap_or_default();
    let named = preload.split([':', ' ']).find(|path| path.contains("libwarpdrive_z.so"));
    match named {
        Some(path) if path.contains('/') && !Path::new(path).is_file() => {
            Err(format!("LD_PRELOAD names {path}, which does not exist"))
        }
        Some(path) => Ok(format!("LD_PRELOAD names {path}")),
        None => Err("LD_PRELOAD does not name libwarpdrive_z.so".to_owned()),
    }
}

const MODULE: &str = "warpdrive.so";
const OPENSSL_CONF_FILES: [&str; 4] = [
    "/usr/lib/ssl/openssl.cnf",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/usr/local/ssl/openssl.cnf",
];
