//! The file: read with bounds, parsed, and every complaint brought to one line with line number and key.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Deserialize;

use super::{Config, Log};

/// The text of a configuration file; `None` when there is none.
///
/// Never blocks: a FIFO or device given by mistake is refused.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
    {
        Ok(file) => file,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_LEN_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: not UTF-8 text")))
        }
    }
}

/// Parses a whole file; the error is one line, `line N: key: what is wrong`.
pub(super) fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| explain(text, error))?;
    match config.contradiction() {
        Some((key, wrong)) => Err(format!("{key}: {wrong}")),
        None => Ok(config),
    }
}

/// The `[log]` section of a file in which something else is wrong; the default when it is not sound itself.
pub(super) fn log_alone(text: &str) -> Log {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Alone {
        log: Log,
    }
    toml::from_str::<Alone>(text).unwrap_or_default().log
}

/// toml shows an error as a drawing of several lines, and names the key only when it cannot draw.
fn explain(text: &str, mut error: toml::de::Error) -> String {
    let line = error.span().map(|span| line_of(text.as_bytes(), span.start));
    error.set_input(None);
    let shown = error.to_string();
    let mut rows = shown.trim_end().lines();
    let message = rows.next().unwrap_or_default();
    let section = rows.next_back().and_then(|row| row.strip_prefix("in `")?.strip_suffix('`'));
    // An unknown key is not part of the path to it.
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let key: Vec<&str> = section.into_iter().chain(unknown).collect();
    let mut out = String::new();
    if let Some(line) = line {
        out.push_str(&format!("line {line}: "));
    }
    if !key.is_empty() {
        out.push_str(&format!("{}: ", key.join(".")));
    }
    out.push_str(message);
    out
}

/// The line, from 1, in which a byte stands.
fn line_of(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// `ENOENT`, or a parent that is no directory: nobody made such a file.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

const MAX_LEN_BYTES: u64 = 1 << 20;
