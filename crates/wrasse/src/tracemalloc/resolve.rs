//! From return addresses to source lines, when a snapshot is made.
//!
//! One address can be several frames: functions that were inlined are frames of
//! their own. Frames of the standard library and of wrasse are left out, as
//! Python has none for its built-in functions.

use std::collections::HashSet;
use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use super::record;
use super::symbols::{is_library, may_be_library};
use super::traceback::Frame;

/// The frames of a return address that are the program's, the most recent first.
pub type Resolved = Arc<[Frame]>;

/// What runs before `main` and before a thread's function: the C library, which
/// may come with debug information.
const BEFORE_MAIN: [&str; 7] = [
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone3",
    "__clone3",
];

/// Where wrasse's own source is. The tracer's is not among it: no code of others
/// runs inside the tracer, and what it allocates itself is not traced.
const OWN_SOURCES: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/"),
    wrasse_collector::SOURCE,
];

/// Whether a file is one of the standard library's, or wrasse's.
fn is_library_file(file: &str) -> bool {
    let std = |file: &str| file.starts_with("library/") || file.contains("/library/");
    file.strip_prefix("/rustc/").is_some_and(std)
        || file.starts_with("/rust/deps/")
        || file.contains("/lib/rustlib/src/rust/")
        || OWN_SOURCES.iter().any(|source| file.starts_with(source))
}

/// The frames of each of `ips`, in their order.
pub fn resolve(ips: &[usize]) -> Vec<Resolved> {
    let known = record::resolved(ips);
    let mut names = Names::default();
    let mut new = Vec::new();
    let mut all = Vec::with_capacity(ips.len());
    for (&ip, known) in ips.iter().zip(known) {
        all.push(known.unwrap_or_else(|| {
            let frames = frames_of(ip, &mut names);
            new.push((ip, frames.clone()));
            frames
        }));
    }
    if !new.is_empty() {
        record::keep_resolved(new.into_iter());
    }
    all
}

/// Equal names are one string.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.0.insert(new.clone());
        new
    }
}

fn frames_of(ip: usize, names: &mut Names) -> Resolved {
    let mut frames = Vec::new();
    // A return address: the call is before it, which `resolve` allows for.
    backtrace::resolve(ip as *mut c_void, |symbol| {
        let function = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol.filename().map(Path::to_string_lossy);
        let inside =
            |name: &str| is_library(name) && !name.starts_with('<') || BEFORE_MAIN.contains(&name);
        let library = match (&file, &function) {
            (Some(file), Some(name)) => is_library_file(file) || inside(name),
            (Some(file), None) => is_library_file(file),
            (None, Some(name)) => is_library(name) || may_be_library(name),
            (None, None) => true,
        };
        let function = function.as_deref().unwrap_or("");
        // Without debug information a Rust function is still better than nothing.
        let place = match (file, symbol.lineno()) {
            (Some(file), Some(line)) => Some((names.get(&file), line)),
            _ if function.contains("::") => Some((names.get(&format!("<{function}>")), 0)),
            _ => None,
        };
        if let Some((file, line)) = place
            && !library
        {
            frames.push(Frame::new(file, line, names.get(function)));
        }
    });
    frames.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_files_are_known() {
        for file in [
            "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/vec/mod.rs",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
            "/home/me/.rustup/toolchains/x/lib/rustlib/src/rust/library/core/src/option.rs",
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/pointer.rs"),
        ] {
            assert!(is_library_file(file), "{file}");
        }
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let collector = crates.join("collector/src/detect.rs");
        assert!(is_library_file(&collector.to_string_lossy()));
        for file in [
            "/home/me/library/src/main.rs",
            "src/main.rs",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/leaks.rs"),
        ] {
            assert!(!is_library_file(file), "{file}");
        }
    }

    #[test]
    fn this_very_line_is_not_the_programs() {
        let mut ip = 0;
        backtrace::trace(|frame| {
            ip = frame.ip().addr();
            true
        });
        assert!(resolve(&[1]).first().unwrap().is_empty());
        assert!(
            resolve(&[ip])
                .first()
                .unwrap()
                .iter()
                .all(|f| f.lineno() > 0)
        );
    }
}
