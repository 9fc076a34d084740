//! `warpdrive stats`: a directory of counters, summed, in three forms.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use warpdrive::config::Config;
use warpdrive::stats::{Row, Skipped, Totals, read_directory};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One object
    Json,
    /// For a Prometheus text-file collector
    Prometheus,
}

pub(crate) fn run(
    dir: Option<PathBuf>,
    format: Format,
    every: Option<u64>,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let Some(dir) = dir.or_else(|| Config::load().stats.dir) else {
        let _ = writeln!(
            io::stderr(),
            "warpdrive: no directory: give --dir, set WARPDRIVE_STATS_DIR, or stats.dir in warpdrive.toml"
        );
        return Ok(ExitCode::from(2));
    };
    loop {
        let (totals, skipped) = read_directory(&dir)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        write(&totals, format, out)?;
        out.flush()?;
        complain(skipped);
        let Some(seconds) = every else { return Ok(ExitCode::SUCCESS) };
        sleep(Duration::from_secs(seconds));
        if format == Format::Text {
            writeln!(out)?;
        }
    }
}

fn complain(skipped: Skipped) {
    for (count, what) in
        [(skipped.unreadable, "not readable"), (skipped.foreign, "not counters, or of a later version")]
    {
        if count != 0 {
            let _ = writeln!(io::stderr(), "warpdrive: files left out: {count} {what}");
        }
    }
}

pub(crate) fn write(totals: &Totals, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Text => text(totals, out),
        Format::Json => writeln!(out, "{:#}", object(totals)),
        Format::Prometheus => prometheus(totals, out),
    }
}

fn text(totals: &Totals, out: &mut impl Write) -> io::Result<()> {
    if totals.algorithms.is_empty() {
        return writeln!(out, "nothing counted\nprocesses: {}", totals.processes);
    }
    let heading = ["", "hardware", "software", "hardware bytes", "software bytes", "why software"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (algorithm, row) in &totals.algorithms {
        let reasons: Vec<String> =
            row.software.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        rows.push(vec![
            algorithm.clone(),
            row.hardware.to_string(),
            row.software_requests().to_string(),
            row.hardware_bytes.to_string(),
            row.software_bytes.to_string(),
            reasons.join(", "),
        ]);
    }
    crate::columns(&rows, out)?;
    writeln!(out, "processes: {}", totals.processes)
}

fn object(totals: &Totals) -> Value {
    let row = |row: &Row| {
        json!({
            "hardware": row.hardware,
            "software": row.software,
            "hardware_bytes": row.hardware_bytes,
            "software_bytes": row.software_bytes,
        })
    };
    let algorithms: Map<String, Value> =
        totals.algorithms.iter().map(|(name, counts)| (name.clone(), row(counts))).collect();
    json!({ "algorithms": algorithms, "processes": totals.processes })
}

/// Names were checked when they were read: lower-case letters, digits, `-` and `/`. No label needs escaping.
fn prometheus(totals: &Totals, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# HELP warpdrive_requests_total Requests, by who answered and, for software, why.")?;
    writeln!(out, "# TYPE warpdrive_requests_total counter")?;
    for (name, row) in &totals.algorithms {
        let sample = "warpdrive_requests_total";
        writeln!(out, "{sample}{{algorithm=\"{name}\",engine=\"hardware\",reason=\"\"}} {}", row.hardware)?;
        for (reason, count) in &row.software {
            writeln!(
                out,
                "{sample}{{algorithm=\"{name}\",engine=\"software\",reason=\"{reason}\"}} {count}"
            )?;
        }
    }
    writeln!(out, "# HELP warpdrive_bytes_total Bytes worked on, by who did.")?;
    writeln!(out, "# TYPE warpdrive_bytes_total counter")?;
    for (name, row) in &totals.algorithms {
        let sample = "warpdrive_bytes_total";
        writeln!(out, "{sample}{{algorithm=\"{name}\",engine=\"hardware\"}} {}", row.hardware_bytes)?;
        writeln!(out, "{sample}{{algorithm=\"{name}\",engine=\"software\"}} {}", row.software_bytes)?;
    }
    writeln!(out, "# HELP warpdrive_processes Processes whose counters were summed.")?;
    writeln!(out, "# TYPE warpdrive_processes gauge")?;
    writeln!(out, "warpdrive_processes {}", totals.processes)
}
