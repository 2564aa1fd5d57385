//! Hands the interpreter's version to the crate as `cfg(Py_3_12)`, `cfg(Py_3_13)`, and has
//! the unwinder linked in.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, os};

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    if let Some(directory) = static_unwinder() {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
}

/// A directory in which the library that std asks for, `gcc_s`, is the compiler's static
/// `gcc_eh`: nothing here unwinds but the words of a panic, and loading a shared library
/// for them would cost each start of Python more than much of wrasse. `None` where the
/// compiler has none; then the shared one is loaded.
fn static_unwinder() -> Option<PathBuf> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut ask = Command::new(compiler);
    let answer = ask.arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let found = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    if !found.is_absolute() || !found.is_file() {
        return None;
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR")?);
    let link = directory.join("libgcc_s.a");
    let _ = fs::remove_file(&link);
    os::unix::fs::symlink(found, link).ok()?;
    Some(directory)
}
