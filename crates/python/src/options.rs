//! The value of the environment variable `WRASSE`: which parts are turned on.

use std::ffi::OsStr;
use std::time::Duration;

/// The parts that a program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The cycle collector.
    pub gc: bool,
    /// The small-object allocator.
    pub alloc: bool,
    /// It was asked for by name, not as a part of everything: then it is told in
    /// so many words where it stays out.
    pub alloc_by_name: bool,
    /// The tracer behind the module `tracemalloc`.
    pub tracemalloc: bool,
    /// wrasse's own profile from the start, with so many frames a traceback.
    pub trace: Option<u16>,
    /// A block counts as temporary if it is freed before so many more are allocated.
    pub temporary: Option<u16>,
    /// The program's memory limit in bytes.
    pub limit: Option<usize>,
    /// A line on standard error for each collection.
    pub gc_log: bool,
    /// How long a collection may stop the program.
    pub pause: Option<Duration>,
    /// The signal at which a snapshot is written.
    pub snapshot: Option<i32>,
}

const WORDS: &str = "use 1 (everything), 0, or a comma list of gc, alloc, tracemalloc, trace[=NFRAME], temporary=N, limit=SIZE, gc-log, pause=TIME, snapshot=SIGNAL";
/// What a number of frames may be.
pub const FRAMES_WORDS: &str = "the number of frames must be from 1 to 65535";
/// What a time may look like.
pub const TIME_WORDS: &str = "a time is from 0.001ms to 3600s: 10ms";
/// What a signal may look like.
pub const SIGNAL_WORDS: &str =
    "a signal is SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGWINCH, SIGRTMIN+N, or its number";
/// What a size may look like.
pub const SIZE_WORDS: &str = "a size is a number of bytes, or of KiB, MiB or GiB: 512MiB";

/// Reads `value`; `None` means off.
///
/// # Errors
/// One line that says what is wrong and what to write instead.
pub fn parse(value: &OsStr) -> Result<Option<Options>, String> {
    let Some(text) = value.to_str() else {
        return Err(format!("WRASSE={}: not text; {WORDS}", value.display()));
    };
    if matches!(text.trim(), "" | "0" | "off") {
        return Ok(None);
    }
    let mut options = Options::default();
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let (name, argument) = match word.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (word, None),
        };
        match (name, argument) {
            ("1" | "on", None) => {
                (options.gc, options.alloc, options.tracemalloc) = (true, true, true);
            }
            ("gc", None) => options.gc = true,
            ("gc-log", None) => (options.gc, options.gc_log) = (true, true),
            ("alloc", None) => (options.alloc, options.alloc_by_name) = (true, true),
            ("tracemalloc", None) => options.tracemalloc = true,
            ("trace", None) => options.trace = Some(1),
            ("trace", Some(frames)) => {
                options.trace =
                    Some(self::frames(frames).ok_or_else(|| {
                        format!("WRASSE={text}: 'trace={frames}': {FRAMES_WORDS}")
                    })?);
            }
            ("temporary", Some(count)) => {
                options.temporary = match count.parse() {
                    Ok(count @ 1..=100) => Some(count),
                    _ => {
                        return Err(format!(
                            "WRASSE={text}: 'temporary={count}': the number of allocations must be 1 to 100"
                        ));
                    }
                };
            }
            ("limit", Some(size)) => {
                options.limit = Some(
                    size_in_bytes(size)
                        .ok_or_else(|| format!("WRASSE={text}: 'limit={size}': {SIZE_WORDS}"))?,
                );
            }
            ("pause", Some(time)) => {
                let pause = duration(time)
                    .ok_or_else(|| format!("WRASSE={text}: 'pause={time}': {TIME_WORDS}"))?;
                (options.gc, options.pause) = (true, Some(pause));
            }
            ("snapshot", Some(signal)) => {
                options.snapshot = Some(self::signal(signal).ok_or_else(|| {
                    format!("WRASSE={text}: 'snapshot={signal}': {SIGNAL_WORDS}")
                })?);
            }
            _ => return Err(format!("WRASSE={text}: unknown word '{word}'; {WORDS}")),
        }
    }
    if options == Options::default() {
        return Err(format!("WRASSE={text}: nothing to turn on; {WORDS}"));
    }
    if options.snapshot.is_some() {
        // There is nothing to write where nothing is recorded.
        options.trace = options.trace.or(Some(1));
    }
    Ok(Some(options))
}

/// Reads a signal's name or number: one that a program may wait for.
pub fn signal(text: &str) -> Option<i32> {
    let known = [
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("HUP", libc::SIGHUP),
        ("QUIT", libc::SIGQUIT),
        ("WINCH", libc::SIGWINCH),
    ];
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let number = match name.strip_prefix("RTMIN") {
        Some("") => return Some(*real_time.start()),
        Some(more) => real_time
            .start()
            .checked_add(more.strip_prefix('+')?.parse().ok()?)?,
        None => match known.iter().find(|(word, _)| *word == name) {
            Some((_, number)) => return Some(*number),
            None => name.parse().ok()?,
        },
    };
    let is_known = known.iter().any(|(_, each)| *each == number);
    (is_known || real_time.contains(&number)).then_some(number)
}

/// Reads a number of frames a traceback.
pub fn frames(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&frames| frames > 0)
}

/// Reads a time such as `10ms`, `10` (which is the same) or `0.01s`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => match text.strip_suffix('s') {
            Some(number) => (number, 1.0),
            None => (text, 1e-3),
        },
    };
    seconds(number.trim_end().parse::<f64>().ok()? * unit)
}

/// So many seconds, if that is a pause: from a microsecond to an hour.
pub fn seconds(seconds: f64) -> Option<Duration> {
    (1e-6..=3600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// Reads a size above 0, such as `512MiB`; a unit may be shortened (`512M`) and
/// is always a power of 1024.
pub fn size_in_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    let number = digits.trim_end().parse::<usize>().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}
