//! The trace file: pcap with nanoseconds, link type USER0, one record a packet (docs/trace-format.md).

use crate::device::Engine;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A descriptor as the client rang it.
    Submission,
    /// A descriptor as the device completed it.
    Completion,
    /// Records that were not written because whoever reads was too slow; `number` counts them.
    Gap,
    /// The file's limit is reached; nothing follows.
    Limit,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it tells.
    pub kind: Kind,
    /// Which descriptors the device has.
    pub engine: Engine,
    /// Entry in `/dev`.
    pub device: String,
    /// Queue number.
    pub queue: u16,
    /// Queue class.
    pub class: u16,
    /// Submission slot; of a completion, as its entry names it.
    pub slot: u16,
    /// The process that opened the queue, 0 if unknown.
    pub process: u32,
    /// Counts the requests of one queue from 0: a completion has its submission's.
    pub number: u64,
    /// Of a completion: nanoseconds since its doorbell.
    pub took: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// 64 or 128 bytes.
    pub descriptor: Vec<u8>,
    /// Client memory, if it was asked for.
    pub payload: Vec<Payload>,
}

/// Bytes of client memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The buffer's name, at most 15 bytes.
    pub name: String,
    /// Bytes the buffer has; `bytes` may be fewer.
    pub len: u32,
    /// The first of them; none if they could not be read.
    pub bytes: Vec<u8>,
}

/// The file's head.
pub fn file_header() -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &PCAP_NANOSECONDS.to_le_bytes());
    put(4, &2u16.to_le_bytes());
    put(6, &4u16.to_le_bytes());
    put(16, &LONGEST_PACKET.to_le_bytes());
    put(20, &LINK_USER_0.to_le_bytes());
    header
}

/// Whether a file begins as ours do.
pub fn is_file_header(header: &[u8]) -> bool {
    header.len() >= FILE_HEADER_LEN
        && header[..4] == PCAP_NANOSECONDS.to_le_bytes()
        && header[20..24] == LINK_USER_0.to_le_bytes()
}

impl Record {
    /// A record without a descriptor.
    pub fn note(kind: Kind, number: u64, time: u64) -> Self {
        Self {
            kind,
            engine: Engine::Hpre,
            device: String::new(),
            queue: 0,
            class: 0,
            slot: 0,
            process: 0,
            number,
            took: 0,
            time,
            descriptor: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The packet with its pcap head.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = vec![0; PACKET_HEADER_LEN + HEAD_LEN];
        let mut put = |at: usize, bytes: &[u8]| {
            let at = PACKET_HEADER_LEN + at;
            packet[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let engine = match self.engine {
            Engine::Hpre => 0,
            Engine::Sec => 1,
            Engine::Zip => 2,
        };
        let kind = match self.kind {
            Kind::Submission => 1,
            Kind::Completion => 2,
            Kind::Gap => 3,
            Kind::Limit => 4,
        };
        let descriptor_len = u16::try_from(self.descriptor.len()).unwrap_or(0);
        put(0, &[VERSION, kind, engine, 0]);
        put(4, &self.queue.to_le_bytes());
        put(6, &self.class.to_le_bytes());
        put(8, &self.slot.to_le_bytes());
        put(10, &descriptor_len.to_le_bytes());
        put(12, &self.process.to_le_bytes());
        put(16, &self.number.to_le_bytes());
        put(24, &self.took.to_le_bytes());
        let name = &self.device.as_bytes()[..self.device.len().min(NAME_LEN - 1)];
        put(32, name);
        packet.extend(&self.descriptor[..usize::from(descriptor_len)]);
        for payload in &self.payload {
            let mut head = [0; PAYLOAD_HEAD_LEN];
            let name = &payload.name.as_bytes()[..payload.name.len().min(PAYLOAD_NAME_LEN - 1)];
            head[..name.len()].copy_from_slice(name);
            head[16..20].copy_from_slice(&payload.len.to_le_bytes());
            let count = u32::try_from(payload.bytes.len()).unwrap_or(0);
            head[20..24].copy_from_slice(&count.to_le_bytes());
            packet.extend(head);
            packet.extend(&payload.bytes[..count as usize]);
        }
        let len = u32::try_from(packet.len() - PACKET_HEADER_LEN).unwrap_or(u32::MAX).to_le_bytes();
        let seconds = u32::try_from(self.time / 1_000_000_000).unwrap_or(u32::MAX).to_le_bytes();
        let nanoseconds = u32::try_from(self.time % 1_000_000_000).unwrap_or(0).to_le_bytes();
        for (at, field) in [seconds, nanoseconds, len, len].iter().enumerate() {
            packet[at * 4..at * 4 + 4].copy_from_slice(field);
        }
        packet
    }

    /// Reads a packet: its pcap head, and what follows it. `None` if it is not one of this version.
    pub fn decode(header: &[u8; PACKET_HEADER_LEN], packet: &[u8]) -> Option<Self> {
        let head = packet.get(..HEAD_LEN)?;
        let u16_at = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
        let kind = match (head[0], head[1]) {
            (VERSION, 1) => Kind::Submission,
            (VERSION, 2) => Kind::Completion,
            (VERSION, 3) => Kind::Gap,
            (VERSION, 4) => Kind::Limit,
            _ => return None,
        };
        let engine = match head[2] {
            0 => Engine::Hpre,
            1 => Engine::Sec,
            2 => Engine::Zip,
            _ => return None,
        };
        let descriptor_len = usize::from(u16_at(10)?);
        let mut rest = packet.get(HEAD_LEN..)?;
        let descriptor = rest.get(..descriptor_len)?.to_vec();
        rest = &rest[descriptor_len..];
        let mut payload = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(PAYLOAD_HEAD_LEN) {
            let count = u32_at(head, 20)? as usize;
            payload.push(Payload {
                name: text(&head[..PAYLOAD_NAME_LEN]),
                len: u32_at(head, 16)?,
                bytes: after.get(..count)?.to_vec(),
            });
            rest = &after[count..];
        }
        Some(Self {
            kind,
            engine,
            device: text(&head[32..32 + NAME_LEN]),
            queue: u16_at(4)?,
            class: u16_at(6)?,
            slot: u16_at(8)?,
            process: u32_at(head, 12)?,
            number: u64_at(16)?,
            took: u64_at(24)?,
            time: u64::from(u32_at(header, 0)?) * 1_000_000_000 + u64::from(u32_at(header, 4)?),
            descriptor,
            payload,
        })
    }
}

/// Bytes that follow a pcap head; `None` for a length no record has.
pub fn packet_len(header: &[u8; PACKET_HEADER_LEN]) -> Option<usize> {
    u32_at(header, 8).filter(|len| *len <= LONGEST_PACKET).map(|len| len as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Bytes before the first packet.
pub const FILE_HEADER_LEN: usize = 24;
/// Bytes of the pcap head of each packet.
pub const PACKET_HEADER_LEN: usize = 16;
const PCAP_NANOSECONDS: u32 = 0xA1B2_3C4D;
/// LINKTYPE_USER0: for private use.
const LINK_USER_0: u32 = 147;
const VERSION: u8 = 1;
const HEAD_LEN: usize = 64;
const NAME_LEN: usize = 32;
const PAYLOAD_HEAD_LEN: usize = 24;
const PAYLOAD_NAME_LEN: usize = 16;
/// Of payload, most bytes of one buffer that a record holds.
pub const MOST_PAYLOAD: usize = 1 << 20;
const LONGEST_PACKET: u32 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kind: Kind::Completion,
            engine: Engine::Zip,
            device: "hisi_zip-1".to_owned(),
            queue: 3,
            class: 1,
            slot: 1023,
            process: 77,
            number: u64::MAX - 1,
            took: 1234,
            time: 1_700_000_000_123_456_789,
            descriptor: (0..128).collect(),
            payload: vec![
                Payload { name: "source".to_owned(), len: 4096, bytes: vec![1, 2, 3] },
                Payload { name: "dest".to_owned(), len: 9, bytes: vec![] },
            ],
        }
    }

    fn parts(packet: &[u8]) -> (&[u8; PACKET_HEADER_LEN], &[u8]) {
        packet.split_first_chunk().unwrap()
    }

    #[test]
    fn records_survive_the_file() {
        for record in [record(), Record::note(Kind::Gap, 5, 1)] {
            let packet = record.encode();
            let (header, rest) = parts(&packet);
            assert_eq!(packet_len(header), Some(rest.len()));
            assert_eq!(Record::decode(header, rest), Some(record));
        }
    }

    #[test]
    fn cut_or_strange_packets_are_refused_without_panic() {
        let packet = record().encode();
        let (header, rest) = parts(&packet);
        for len in 0..rest.len() {
            // Cut exactly behind the descriptor or a buffer is a shorter record.
            let _ = Record::decode(header, &rest[..len]);
        }
        assert_eq!(Record::decode(header, &rest[..100]), None);
        for (at, value) in [(0, 2), (1, 9), (2, 7)] {
            let mut strange = rest.to_vec();
            strange[at] = value;
            assert_eq!(Record::decode(header, &strange), None);
        }
        assert_eq!(packet_len(&[0xFF; 16]), None);
        assert!(is_file_header(&file_header()) && !is_file_header(&[0; 24]) && !is_file_header(&[]));
    }
}
