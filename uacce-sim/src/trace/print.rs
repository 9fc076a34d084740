//! Trace files in text.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use super::record::{FILE_HEADER_LEN, Kind, PACKET_HEADER_LEN, Record, is_file_header, packet_len};
use crate::describe::{self, Way};
use crate::os::process::local_time;

/// Reads records from a file or connection.
pub struct Reader<R> {
    from: R,
}

/// How records are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// One line a record.
    pub brief: bool,
    /// Client memory too.
    pub payload: bool,
    /// Times in UTC.
    pub utc: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file's head.
    /// # Errors
    /// `InvalidData` if it is no trace; what reading reports.
    pub fn new(mut from: R) -> io::Result<Self> {
        let mut header = [0; FILE_HEADER_LEN];
        from.read_exact(&mut header)?;
        if !is_file_header(&header) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a trace of uacce-sim"));
        }
        Ok(Self { from })
    }

    /// The next record; `None` at the end, also in the middle of a record: its writer may have been killed.
    /// # Errors
    /// `InvalidData` for what is no record; what reading reports.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        let mut header = [0; PACKET_HEADER_LEN];
        if !fill(&mut self.from, &mut header)? {
            return Ok(None);
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a damaged record");
        let mut packet = vec![0; packet_len(&header).ok_or_else(damaged)?];
        if !fill(&mut self.from, &mut packet)? {
            return Ok(None);
        }
        Record::decode(&header, &packet).map(Some).ok_or_else(damaged)
    }
}

fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Prints all records of a file or connection.
/// # Errors
/// What reading and writing report; a reader of ours that went away is none.
pub fn print(from: impl Read, mut to: impl Write, style: Style) -> io::Result<()> {
    let mut reader = Reader::new(from)?;
    while let Some(record) = reader.next_record()? {
        match to.write_all(text(&record, style).as_bytes()).and_then(|()| to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// A record in text: a line, then the fields the host wrote (of a completion: the device), then memory.
pub fn text(record: &Record, style: Style) -> String {
    let mut text = format!("{} ", clock(record.time, style.utc));
    // Writing to a String cannot fail.
    let _ = match record.kind {
        Kind::Gap => return text + &format!("{} records were lost here\n", record.number),
        Kind::Limit => return text + "the limit of the file is reached\n",
        Kind::Submission => write!(text, "{} queue {} > slot {}", record.device, record.queue, record.slot),
        Kind::Completion => write!(text, "{} queue {} < slot {}", record.device, record.queue, record.slot),
    };
    let work = describe::work(record.engine, record.class, &record.descriptor, |_, _| None);
    let _ = write!(text, " #{} pid {} {}", record.number, record.process, work.name);
    let completed = record.kind == Kind::Completion;
    if completed {
        if work.bytes > 0 {
            let _ = write!(text, ", {} bytes", work.bytes);
        }
        let outcome = describe::failure(record.engine, &record.descriptor);
        let _ = write!(text, ": {}", outcome.as_deref().unwrap_or("ok"));
        let _ = write!(text, ", {}.{:03} µs", record.took / 1000, record.took % 1000);
    }
    text.push('\n');
    if style.brief {
        return text;
    }
    let mut line = String::new();
    for field in describe::fields(record.engine, &record.descriptor) {
        if field.way == if completed { Way::In } else { Way::Out } {
            continue;
        }
        let value = field.value(&record.descriptor);
        let mut item = match field.width {
            64 => format!("{} {value:#x}", field.name),
            _ if value > 9 => format!("{} {value} ({value:#x})", field.name),
            _ => format!("{} {value}", field.name),
        };
        if let Some(meaning) = field.meaning(value) {
            item = format!("{} {value} ({meaning})", field.name);
        }
        if !line.is_empty() && line.len() + 2 + item.len() > LINE_LEN {
            let _ = writeln!(text, "    {line}");
            line.clear();
        }
        let comma = if line.is_empty() { "" } else { ", " };
        let _ = write!(line, "{comma}{item}");
    }
    if !line.is_empty() {
        let _ = writeln!(text, "    {line}");
    }
    for payload in record.payload.iter().filter(|_| style.payload) {
        let shown = if payload.bytes.len() < payload.len as usize {
            format!(", {} shown", payload.bytes.len())
        } else {
            String::new()
        };
        let _ = writeln!(text, "    {}: {} bytes{shown}", payload.name, payload.len);
        for (row, bytes) in payload.bytes.chunks(16).enumerate() {
            let _ = write!(text, "      {:05x} ", row * 16);
            for byte in bytes {
                let _ = write!(text, " {byte:02x}");
            }
            text.push('\n');
        }
    }
    text
}

fn clock(time: u64, utc: bool) -> String {
    let (seconds, nanoseconds) = (time / 1_000_000_000, time % 1_000_000_000);
    let [hour, minute, second] =
        if utc { [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60] } else { local_time(seconds) };
    format!("{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}")
}

const LINE_LEN: usize = 116;

#[cfg(test)]
mod tests {
    use super::*;

    /// Known descriptors (hpre §9.1, zip §9.3, sec §9.1 of type 2 and 3) and their text, to the letter.
    #[test]
    fn known_descriptors_have_known_texts() {
        let golden = include_str!("golden.txt");
        let mut text = String::new();
        for record in super::super::golden::records() {
            text += &super::text(&record, Style { brief: false, payload: true, utc: true });
        }
        assert_eq!(text, golden, "\n{text}");
    }

    #[test]
    fn files_go_round_and_cut_ones_end_early() {
        let records = super::super::golden::records();
        let mut file = super::super::record::file_header().to_vec();
        for record in &records {
            file.extend(record.encode());
        }
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes).unwrap();
            std::iter::from_fn(|| reader.next_record().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(read(&file), records);
        assert_eq!(read(&file[..file.len() - 1]), records[..records.len() - 1]);
        assert!(Reader::new(&b"GIF89a, which this is not"[..]).is_err());
        let mut shown = Vec::new();
        print(&file[..], &mut shown, Style { brief: true, payload: false, utc: true }).unwrap();
        assert_eq!(shown.iter().filter(|byte| **byte == b'\n').count(), records.len());
    }
}
