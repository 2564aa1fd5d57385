//! Files that others named.
//!
//! What is examined says which files its code is from. That may be a pipe that
//! nobody writes to, or a device without an end: neither is opened.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Larger files are no source code and no settings.
const LARGEST: u64 = 16 << 20;

/// The content of a plain file of up to 16 MiB.
///
/// # Errors
/// It cannot be read, is something else than a plain file, or is larger.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return refused("no plain file");
    }
    let mut content = Vec::new();
    // The kernel's own files, some of which wait for a reader, have no size.
    if found.len() > 0 {
        // It may grow meanwhile.
        File::open(path)?
            .take(LARGEST + 1)
            .read_to_end(&mut content)?;
    }
    if content.len() as u64 > LARGEST {
        return refused("larger than 16 MiB");
    }
    Ok(content)
}

/// The same as text.
///
/// # Errors
/// As [`read`]; or it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_files_are_read_up_to_a_size() {
        let directory = std::env::temp_dir().join(format!("wrasse-text-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let plain = directory.join("plain.py");
        fs::write(&plain, "x = 'ä'\n").unwrap();
        let whole = read_text(&plain);
        fs::write(&plain, b"\xff").unwrap();
        let binary = read_text(&plain);
        let file = File::create(&plain).unwrap();
        file.set_len(LARGEST).unwrap();
        let largest = read(&plain);
        file.set_len(LARGEST + 1).unwrap();
        let larger = read(&plain);
        let pipe = directory.join("pipe.py");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let special = read(&pipe);
        let missing = read(&directory.join("missing.py"));
        let folder = read(&directory);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(whole.unwrap(), "x = 'ä'\n");
        assert_eq!(binary.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(largest.unwrap().len() as u64, LARGEST);
        for refused in [larger, special, read(Path::new("/dev/zero"))] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(folder.unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
