//! Command line: what devices there are, whether work reaches them and if not why, and what has been counted.
//!
//! Results go to standard output, complaints to standard error. A reader that leaves early (`| head`) is no error.

mod devices;
mod doctor;
mod stats;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kunpeng accelerator queues under OpenSSL and zlib programs.
#[derive(Parser)]
#[command(name = "warpdrive", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the accelerators that the kernel shows
    Devices {
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
        #[command(flatten)]
        roots: Roots,
    },
    /// Say whether work is offloaded and, if not, why
    ///
    /// Looks at this shell's environment. Opens each usable device for a moment, to see whether it gives a queue.
    /// Exit status 0: at least one kind of work is offloaded and the configuration is valid; 1: not.
    Doctor {
        #[command(flatten)]
        roots: Roots,
    },
    /// Sum the counters that processes left in a directory
    Stats {
        /// Directory of counter files; default: WARPDRIVE_STATS_DIR, else stats.dir of warpdrive.toml
        #[arg(long)]
        dir: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = stats::Format::Text)]
        format: stats::Format,
        /// Print again every SECONDS, until interrupted
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        every: Option<u64>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

/// Where devices are looked for; only tests look elsewhere.
#[derive(Args)]
struct Roots {
    #[arg(long, hide = true, default_value = "/sys/class/uacce")]
    class: PathBuf,
    #[arg(long, hide = true, default_value = "/dev")]
    dev: PathBuf,
}

impl From<Roots> for warpdrive::devices::Roots {
    fn from(roots: Roots) -> Self {
        Self { class: roots.class, dev: roots.dev }
    }
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(command, &mut out).and_then(|code| out.flush().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "warpdrive: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> io::Result<ExitCode> {
    match command {
        Command::Devices { format, roots } => {
            let list = devices::sorted(&roots.into());
            match format {
                ListFormat::Table => devices::table(&list, out)?,
                ListFormat::Json => devices::json(&list, out)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { roots } => doctor::run(&roots.into(), out),
        Command::Stats { dir, format, every } => stats::run(dir, format, every, out),
    }
}

/// Rows of text, each column as wide as its widest cell; the last is not padded.
fn columns(rows: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
