//! Comments in the source that ask for silence: `# wrasse: ignore[W201]`.

use std::collections::HashMap;
use std::path::Path;

use crate::{modules, text_file};

/// The source files that were looked into, each read once.
#[derive(Default)]
pub struct Sources {
    lines: HashMap<String, Vec<String>>,
}

impl Sources {
    /// Whether the line asks not to be told of `code`.
    pub fn ignores(&mut self, file: &str, line: u32, code: &str) -> bool {
        let lines = self.lines.entry(file.to_string()).or_insert_with(|| {
            let text = modules::text(file).unwrap_or_else(|| {
                let bytes = text_file::read(Path::new(file)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            });
            text.lines().map(String::from).collect()
        });
        let index = (line as usize).checked_sub(1);
        index
            .and_then(|index| lines.get(index))
            .is_some_and(|line| asks_for_silence(line, code))
    }
}

/// `# wrasse: ignore` is for all rules, `# wrasse: ignore[W1, W203]` for some.
fn asks_for_silence(line: &str, code: &str) -> bool {
    line.split('#').skip(1).any(|comment| {
        let Some(rest) = comment.trim_start().strip_prefix("wrasse:") else {
            return false;
        };
        let Some(rest) = rest.trim_start().strip_prefix("ignore") else {
            return false;
        };
        match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((codes, _)) => codes
                .split(',')
                .map(str::trim)
                .any(|prefix| !prefix.is_empty() && code.starts_with(prefix)),
            None => !rest.starts_with(|c: char| c == '[' || c.is_alphanumeric()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::asks_for_silence as silent;

    #[test]
    fn comments_name_codes_or_groups_or_nothing() {
        assert!(silent("x = []  # wrasse: ignore[W201]", "W201"));
        assert!(silent("x = []  #wrasse:ignore[W101, W2]", "W203"));
        assert!(silent("x = '#'  # noqa # wrasse: ignore", "W203"));
        assert!(!silent("x = []  # wrasse: ignore[W201]", "W202"));
        assert!(!silent("x = []  # wrasse: ignore[]", "W202"));
        assert!(!silent("x = []  # wrasse: ignored", "W202"));
        assert!(!silent("wrasse: ignore[W201]", "W201"));
    }
}
