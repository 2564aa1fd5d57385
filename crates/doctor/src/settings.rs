//! What is asked for: `[tool.wrasse]` of a `pyproject.toml`, and options.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use toml::{Table, Value};

use crate::quantity::Quantity;
use crate::rule::{Rule, rules};
use crate::text_file;

/// Which rules count, from what amount on, and where.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Beginnings of codes; empty stands for all.
    select: Vec<String>,
    ignore: Vec<String>,
    exclude: Vec<Pattern>,
    thresholds: HashMap<String, Quantity>,
    /// Where the file with the settings is: paths in it are seen from there.
    root: Option<PathBuf>,
}

impl Settings {
    /// The settings of the nearest `pyproject.toml` with a `[tool.wrasse]`,
    /// from `directory` upwards; the defaults if there is none.
    ///
    /// # Errors
    /// One line that says which file is wrong, and how.
    pub fn find(directory: &Path) -> Result<Self, String> {
        for directory in directory.ancestors() {
            let path = directory.join("pyproject.toml");
            let text = match text_file::read_text(&path) {
                Ok(text) => text,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound
                            | ErrorKind::NotADirectory
                            | ErrorKind::PermissionDenied
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(format!("{}: {error}", path.display())),
            };
            let found =
                Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            if let Some(settings) = found {
                return Ok(Self {
                    root: Some(directory.to_path_buf()),
                    ..settings
                });
            }
        }
        Ok(Self::default())
    }

    /// Reads the text of a `pyproject.toml`; `None` if it has no `[tool.wrasse]`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| one_line(error.message()))?;
        let Some(own) = table.get("tool").and_then(|tool| tool.get("wrasse")) else {
            return Ok(None);
        };
        let own = own.as_table().ok_or("[tool.wrasse] is no table")?;
        let mut settings = Self::default();
        for (key, value) in own {
            match key.as_str() {
                "select" => settings.select = codes("select", &words("select", value)?)?,
                "ignore" => settings.ignore = codes("ignore", &words("ignore", value)?)?,
                "exclude" => {
                    for word in words("exclude", value)? {
                        let pattern = Pattern::new(&word)
                            .map_err(|error| format!("exclude '{word}': {}", error.msg))?;
                        settings.exclude.push(pattern);
                    }
                }
                "thresholds" => settings.thresholds = thresholds(value)?,
                _ => {
                    return Err(format!(
                        "[tool.wrasse] has no '{key}': use select, ignore, exclude, thresholds"
                    ));
                }
            }
        }
        Ok(Some(settings))
    }

    /// Takes the options `--select` and `--ignore`: lists of codes or beginnings
    /// of codes, with commas. The former replaces what the file selects.
    ///
    /// # Errors
    /// One line that says which word is no code.
    pub fn choose(&mut self, select: &[String], ignore: &[String]) -> Result<(), String> {
        let split = |words: &[String]| -> Vec<String> {
            let parts = words.iter().flat_map(|word| word.split(','));
            parts
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(String::from)
                .collect()
        };
        if !select.is_empty() {
            self.select = codes("--select", &split(select))?;
        }
        self.ignore.extend(codes("--ignore", &split(ignore))?);
        Ok(())
    }

    /// Whether the rule is asked for: the longer beginning of its code decides,
    /// of two equally long ones `ignore`.
    #[must_use]
    pub fn wants(&self, rule: &Rule) -> bool {
        let longest = |list: &[String]| {
            let matching = list
                .iter()
                .filter(|word| rule.code.starts_with(word.as_str()));
            matching.map(|word| word.len() + 1).max().unwrap_or(0)
        };
        let selected = match self.select.as_slice() {
            [] => 1,
            list => longest(list),
        };
        selected > longest(&self.ignore)
    }

    /// What a finding of this rule must save at least.
    #[must_use]
    pub fn threshold(&self, rule: &Rule) -> Quantity {
        let known = (1..=rule.code.len())
            .rev()
            .find_map(|length| self.thresholds.get(&rule.code[..length]));
        known.copied().unwrap_or(rule.threshold)
    }

    /// Whether nothing is to be said about a file. Patterns are seen from the
    /// directory of the settings; one without a slash stands for any directory
    /// or file of that name.
    #[must_use]
    pub fn excludes(&self, file: &str) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let options = MatchOptions {
            require_literal_separator: true,
            ..MatchOptions::default()
        };
        let absolute = std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
        let path = match &self.root {
            Some(root) => absolute.strip_prefix(root).unwrap_or(&absolute),
            None => &absolute,
        };
        self.exclude.iter().any(|pattern| {
            let whole = path
                .ancestors()
                .any(|part| pattern.matches_path_with(part, options));
            let is_name = !pattern.as_str().contains('/');
            whole
                || is_name
                    && path.components().any(|part| {
                        pattern.matches_with(&part.as_os_str().to_string_lossy(), options)
                    })
        })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let wrong = || format!("{key} in [tool.wrasse] must be a list of strings");
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|each| each.as_str().map(String::from).ok_or_else(wrong))
        .collect()
}

/// Checks that each word begins some rule's code.
fn codes(key: &str, words: &[String]) -> Result<Vec<String>, String> {
    let mut codes = Vec::new();
    for word in words {
        let word = if word.eq_ignore_ascii_case("all") {
            "W".to_string()
        } else {
            word.to_ascii_uppercase()
        };
        if !rules().iter().any(|rule| rule.code.starts_with(&word)) {
            return Err(format!(
                "{key}: there is no rule '{word}' (see 'wrasse explain')"
            ));
        }
        codes.push(word);
    }
    Ok(codes)
}

fn thresholds(value: &Value) -> Result<HashMap<String, Quantity>, String> {
    let table = value
        .as_table()
        .ok_or("thresholds in [tool.wrasse] must be a table: W201 = \"1MiB\"")?;
    let mut thresholds = HashMap::new();
    for (code, value) in table {
        let code = codes("thresholds", std::slice::from_ref(code))?.remove(0);
        let text = value.as_str().ok_or_else(|| {
            format!("thresholds: {code} must be a string such as \"1MiB\" or \"20ms\"")
        })?;
        let amount =
            Quantity::parse(text).map_err(|error| format!("thresholds: {code}: {error}"))?;
        thresholds.insert(code, amount);
    }
    Ok(thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::rule;

    fn parse(own: &str) -> Result<Settings, String> {
        Settings::parse(&format!("[tool.wrasse]\n{own}")).map(Option::unwrap)
    }

    fn wants(settings: &Settings, code: &str) -> bool {
        settings.wants(rule(code).unwrap())
    }

    #[test]
    fn everything_is_wanted_unless_something_is_selected() {
        let settings = Settings::default();
        assert!(rules().iter().all(|rule| settings.wants(rule)));
        let settings = parse("select = ['W1']").unwrap();
        assert!(wants(&settings, "W101") && !wants(&settings, "W601"));
    }

    #[test]
    fn the_longer_beginning_decides() {
        let settings = parse("select = ['W101']\nignore = ['W1']").unwrap();
        assert!(wants(&settings, "W101") && !wants(&settings, "W601"));
        let settings = parse("ignore = ['W101']").unwrap();
        assert!(!wants(&settings, "W101") && wants(&settings, "W601"));
        let mut settings = parse("select = ['W6']\nignore = ['W601']").unwrap();
        settings
            .choose(&["W1,W601".into()], &["w101".into()])
            .unwrap();
        assert!(!wants(&settings, "W101") && !wants(&settings, "W601"));
    }

    #[test]
    fn thresholds_are_for_a_rule_or_a_group() {
        let settings = parse("thresholds = { W1 = '3MiB', W601 = '7ms' }").unwrap();
        let of = |code| settings.threshold(rule(code).unwrap());
        assert_eq!(of("W101"), Quantity::Bytes(3 << 20));
        assert_eq!(of("W601"), Quantity::Milliseconds(7.0));
    }

    #[test]
    fn excluded_are_paths_and_names() {
        let mut settings = parse("exclude = ['vendor', 'src/*/made.py', '*_pb2.py']").unwrap();
        settings.root = Some("/home/me".into());
        for file in [
            "/home/me/vendor/a.py",
            "/home/me/a/vendor/b.py",
            "/home/me/src/x/made.py",
            "/home/me/x_pb2.py",
        ] {
            assert!(settings.excludes(file), "{file}");
        }
        for file in [
            "/home/me/vendored.py",
            "/home/me/src/x/y/made.py",
            "/home/me/src/made.py",
        ] {
            assert!(!settings.excludes(file), "{file}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (own, word) in [
            ("selct = []", "selct"),
            ("select = 'W1'", "list of strings"),
            ("select = ['W9']", "no rule 'W9'"),
            ("thresholds = { W101 = 5 }", "must be a string"),
            ("thresholds = { W101 = '5' }", "no amount"),
            ("exclude = ['[']", "exclude '['"),
            ("= 1", ""),
        ] {
            let error = parse(own).unwrap_err();
            assert!(error.contains(word) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_file_without_settings_has_none() {
        assert!(Settings::parse("[tool.other]\nx = 1").unwrap().is_none());
    }
}
