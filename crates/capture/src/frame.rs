//! The file's head and the frames that follow it: length, kind, checksums.

use wrasse_tracer::Exhausted;

/// The first bytes of each capture file. The first is no text in any encoding,
/// the last shows whether line ends were translated.
pub const MAGIC: [u8; 8] = *b"\x89WRASSE\n";
/// The version of the format that this library writes and the newest it reads.
///
/// 2 has what is temporary, and more of each thread, than 1.
pub const FORMAT_VERSION: u16 = 2;
/// Bytes before the first frame.
pub const FILE_HEAD: usize = 16;
/// Bytes before a frame's payload.
pub const FRAME_HEAD: usize = 16;
/// Bytes of a whole [`end_frame`].
pub const END_FRAME_SIZE: usize = FRAME_HEAD + END_PAYLOAD;
const END_PAYLOAD: usize = 16;

/// What a frame holds. A reader leaves out kinds that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is known of the process when it starts.
    Meta = 1,
    /// Strings, locations, nodes and tracebacks that were not there before.
    Tables = 2,
    /// Totals at one moment, and what has changed in each traceback.
    Sample = 3,
    /// Pauses for collections.
    Pauses = 4,
    /// What each thread has allocated.
    Threads = 5,
    /// The end of the process.
    End = 6,
    /// What somebody else found out about the process, under a name.
    Section = 7,
    /// What was live at the peak.
    Peak = 8,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{End, Meta, Pauses, Peak, Sample, Section, Tables, Threads};
        [Meta, Tables, Sample, Pauses, Threads, End, Section, Peak]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Finished,
    /// By this signal.
    Signal(u32),
    /// The capture ended before the process did.
    Stopped,
}

impl Ending {
    fn code(self) -> (u32, u32) {
        match self {
            Ending::Finished => (0, 0),
            Ending::Signal(number) => (1, number),
            Ending::Stopped => (2, 0),
        }
    }

    pub(crate) fn from_code(code: u32, detail: u32) -> Option<Self> {
        match code {
            0 => Some(Ending::Finished),
            1 => Some(Ending::Signal(detail)),
            2 => Some(Ending::Stopped),
            _ => None,
        }
    }
}

/// The file's head.
pub fn file_head() -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let sum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The head of a frame with this payload.
pub fn frame_head(kind: Kind, payload: &[u8]) -> Result<[u8; FRAME_HEAD], Exhausted> {
    let length = u32::try_from(payload.len()).map_err(|_| Exhausted)?;
    Ok(head_of(length, kind, payload))
}

fn head_of(length: u32, kind: Kind, payload: &[u8]) -> [u8; FRAME_HEAD] {
    let mut head = [0; FRAME_HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = kind as u8;
    head[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let sum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// A whole frame that says how the process ended, `time` nanoseconds after its
/// capture began. Allocates nothing, so that a signal handler may make it.
pub fn end_frame(time: u64, ending: Ending) -> [u8; END_FRAME_SIZE] {
    let (code, detail) = ending.code();
    let mut payload = [0; END_PAYLOAD];
    payload[..8].copy_from_slice(&time.to_le_bytes());
    payload[8..12].copy_from_slice(&code.to_le_bytes());
    payload[12..].copy_from_slice(&detail.to_le_bytes());
    let mut frame = [0; END_FRAME_SIZE];
    frame[..FRAME_HEAD].copy_from_slice(&head_of(END_PAYLOAD as u32, Kind::End, &payload));
    frame[FRAME_HEAD..].copy_from_slice(&payload);
    frame
}

/// One step through a file.
pub enum Next<'a> {
    /// A whole frame: its kind as a number, and what it holds.
    Frame(u8, &'a [u8]),
    /// The file ends here.
    Over,
    /// The file ends in the middle of a frame.
    CutOff,
    /// These bytes are not what was written.
    Damaged,
}

/// Take the frame at the front of `rest` off it.
pub fn next_frame<'a>(rest: &mut &'a [u8]) -> Next<'a> {
    if rest.is_empty() {
        return Next::Over;
    }
    let Some((head, after)) = rest.split_first_chunk::<FRAME_HEAD>() else {
        return Next::CutOff;
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(12) != crc32fast::hash(&head[..12]) {
        return Next::Damaged;
    }
    let Some((payload, after)) = after.split_at_checked(word(0) as usize) else {
        return Next::CutOff;
    };
    if word(8) != crc32fast::hash(payload) {
        return Next::Damaged;
    }
    *rest = after;
    Next::Frame(head[4], payload)
}

/// What an end frame says: nanoseconds, and how.
pub fn parse_end(payload: &[u8]) -> Option<(u64, Ending)> {
    let payload: &[u8; END_PAYLOAD] = payload.first_chunk()?;
    let time = u64::from_le_bytes(payload[..8].try_into().ok()?);
    let code = u32::from_le_bytes(payload[8..12].try_into().ok()?);
    let detail = u32::from_le_bytes(payload[12..].try_into().ok()?);
    Some((time, Ending::from_code(code, detail)?))
}
