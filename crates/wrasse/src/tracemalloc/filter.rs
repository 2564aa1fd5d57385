//! [`Filter`]: which traces a snapshot keeps.

use super::traceback::Frame;

/// What [`Snapshot::filter_traces`](super::Snapshot::filter_traces) keeps or
/// leaves out: blocks of lines, of files, of a domain.
///
/// A trace is kept if one of the inclusive filters matches it, or there is none,
/// and no exclusive one does.
///
/// ```
/// use wrasse::tracemalloc::{Filter, GC_DOMAIN};
///
/// let parser = Filter::include("*/src/parser/*.rs");
/// let not_that_line = Filter::exclude("*/main.rs").line(42);
/// let called_from_main = Filter::include("*/main.rs").all_frames();
/// let objects = Filter::include("*").domain(GC_DOMAIN);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    inclusive: bool,
    pattern: String,
    line: Option<u32>,
    all_frames: bool,
    domain: Option<u32>,
}

impl Filter {
    fn new(inclusive: bool, pattern: &str) -> Self {
        Self {
            inclusive,
            pattern: pattern.to_owned(),
            line: None,
            all_frames: false,
            domain: None,
        }
    }

    /// Keeps blocks that were allocated in files whose names match `pattern`, in
    /// which `*` stands for anything, `?` for one character, `[…]` for one of
    /// several and `[!…]` for one other than those, as for a shell. Names are
    /// matched whole, and usually begin at the root: begin with `*/`.
    pub fn include(pattern: &str) -> Self {
        Self::new(true, pattern)
    }

    /// Leaves out what [`include`](Self::include) would keep.
    pub fn exclude(pattern: &str) -> Self {
        Self::new(false, pattern)
    }

    /// Only this line of the files.
    pub fn line(self, line: u32) -> Self {
        Self {
            line: Some(line),
            ..self
        }
    }

    /// Not only the frame that allocated may match: any frame of the traceback may.
    pub fn all_frames(self) -> Self {
        Self {
            all_frames: true,
            ..self
        }
    }

    /// Only blocks of this domain: 0, or [`GC_DOMAIN`](super::GC_DOMAIN) for
    /// objects.
    pub fn domain(self, domain: u32) -> Self {
        Self {
            domain: Some(domain),
            ..self
        }
    }

    fn is(&self, frame: &Frame) -> bool {
        self.line.is_none_or(|line| line == frame.lineno())
            && matches(&self.pattern, frame.filename())
    }

    /// Whether the frames, the most recent first, are of the places of the filter.
    fn finds<'a>(&self, mut frames: impl Iterator<Item = &'a Frame>) -> bool {
        if self.all_frames {
            frames.any(|frame| self.is(frame))
        } else {
            frames.next().is_some_and(|frame| self.is(frame))
        }
    }

    /// Whether all filters together keep a trace. `frames` gives its frames, the
    /// most recent first.
    pub(super) fn keep<'a, I>(filters: &[Self], domain: u32, frames: impl Fn() -> I) -> bool
    where
        I: Iterator<Item = &'a Frame>,
    {
        let found = |filter: &Self| {
            filter.domain.is_none_or(|wanted| wanted == domain) && filter.finds(frames())
        };
        let mut any_inclusive = false;
        let mut included = false;
        for filter in filters {
            if filter.inclusive {
                any_inclusive = true;
                included = included || found(filter);
            } else if found(filter) {
                return false;
            }
        }
        included || !any_inclusive
    }
}

/// Whether `name` matches a shell's pattern, as Python's `fnmatch` does it: `*`
/// also matches `/`, and a `[` that nothing closes stands for itself.
///
/// When a `*` does not fit, only the last one is lengthened (Kirk Krauss 2008):
/// quadratic at the worst.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) if n == name.len() => return false,
            Some('?') => Some(1),
            Some('[') => one_of(&pattern[p..], name[n]),
            Some(c) => (*c == name[n]).then_some(1),
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
                if n > name.len() {
                    return false;
                }
            }
            (None, None) => return false,
        }
    }
}

/// Matches `c` against the class that `pattern` begins with; its length if it does.
fn one_of(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let first = if negated { 2 } else { 1 };
    // A bracket at the beginning belongs to the class.
    let mut end = first + usize::from(pattern.get(first) == Some(&']'));
    while *pattern.get(end).unwrap_or(&']') != ']' {
        end += 1;
    }
    if end >= pattern.len() {
        return (c == '[').then_some(1);
    }
    let mut class = &pattern[first..end];
    let mut found = false;
    while let [from, rest @ ..] = class {
        if let ['-', to, rest @ ..] = rest {
            found |= (*from..=*to).contains(&c);
            class = rest;
        } else {
            found |= *from == c;
            class = rest;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_those_of_fnmatch() {
        // Answers of Python's `fnmatch.fnmatchcase`.
        for (name, pattern, answer) in [
            ("abc", "abc", true),
            ("abc", "?*?", true),
            ("abc", "???*", true),
            ("abc", "*???", true),
            ("abc", "???", true),
            ("abc", "*", true),
            ("abc", "ab[cd]", true),
            ("abc", "ab[!de]", true),
            ("abc", "ab[de]", false),
            ("a", "??", false),
            ("a", "b", false),
            ("[", "[[]", true),
            ("a]", "a[]]", true),
            ("a[b", "a[b", true),
            ("ab", "a[b", false),
            ("b", "[a-c]", true),
            ("-", "[a-]", true),
            ("/a/b/c.rs", "*/c.rs", true),
            ("/a/b/c.rs", "/a/*.rs", true),
            ("", "*", true),
            ("", "", true),
            ("a", "", false),
            ("foo\nbar", "foo*", true),
            ("a!b", "a[!]b", false),
        ] {
            assert_eq!(matches(pattern, name), answer, "{name} {pattern}");
        }
    }

    /// The definition, without regard to time.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|n| naive(rest, &name[n..])),
            ['?', rest @ ..] => !name.is_empty() && naive(rest, &name[1..]),
            [c, rest @ ..] => name.first() == Some(c) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_are_tried_everywhere(pattern in "[ab?*]{0,8}", name in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), naive(&chars(&pattern), &chars(&name)));
        }
    }
}
