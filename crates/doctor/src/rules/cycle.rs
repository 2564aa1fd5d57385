//! What the rules about cycles share: how one is drawn, and where to break it.

use std::path::Path;

use wrasse_report::units::{count, duration, size};

use crate::finding::Finding;
use crate::observations::{Cycles, Line, Observations};
use crate::rule::Rule;

/// Names of attributes that lead back to whoever made the object.
const BACK: [&str; 14] = [
    "parent",
    "owner",
    "prev",
    "previous",
    "back",
    "up",
    "container",
    "root",
    "master",
    "outer",
    "backref",
    "child_of",
    "belongs_to",
    "weak",
];
/// Types named in a message.
const TYPES_NAMED: usize = 3;

/// A finding about cycles, but for its message and what to do.
pub fn of_cycles(rule: &Rule, observations: &Observations, cycles: &Cycles) -> Finding {
    let mut finding = rule.finding_in(observations, &cycles.frames, "");
    finding.bytes = Some(cycles.most_bytes);
    finding.milliseconds = (cycles.seconds > 0.0).then_some(cycles.seconds * 1e3);
    finding.evidence = evidence(cycles, observations);
    finding
}

/// How many cycles of what.
pub fn counted(cycles: &Cycles) -> String {
    let types = types(cycles);
    match cycles.count {
        1 => format!("a reference cycle of {types} that"),
        number => format!("{} reference cycles of {types} that", count(number)),
    }
}

/// What is known of cycles, in lines.
fn evidence(cycles: &Cycles, observations: &Observations) -> Vec<String> {
    let mut lines = vec![drawn(cycles)];
    let sampled = if cycles.looked_at < cycles.count {
        format!(" ({} of them looked at)", count(cycles.looked_at))
    } else {
        String::new()
    };
    lines.push(format!(
        "{} objects, {} in all, up to {} waiting at one time{sampled}",
        count(cycles.objects),
        size(cycles.bytes),
        size(cycles.most_bytes)
    ));
    if let Some(seconds) = cycles.longest_wait.filter(|_| !cycles.uncollectable) {
        lines.push(format!(
            "up to {} until the collector came",
            duration(seconds)
        ));
    }
    lines.extend(called_from(&cycles.frames, observations));
    lines
}

/// The types of one cycle in words: each once, those of the program first.
fn types(cycles: &Cycles) -> String {
    const PLAIN: [&str; 6] = ["dict", "list", "tuple", "cell", "set", "frame"];
    let mut names: Vec<&str> = Vec::new();
    let is_plain = |name: &str| PLAIN.contains(&name);
    for plain in [false, true] {
        for node in &cycles.nodes {
            let name = short(node);
            if is_plain(name) == plain && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // Containers of the language only matter where there is nothing else.
    if names.iter().any(|name| !is_plain(name)) {
        names.retain(|name| !is_plain(name));
    }
    match names.as_slice() {
        [] => "objects".into(),
        [one] => (*one).into(),
        [all @ .., last] if names.len() <= TYPES_NAMED => {
            format!("{} and {last}", all.join(", "))
        }
        all => format!("{} and others", all[..TYPES_NAMED].join(", ")),
    }
}

/// A name without its module or class.
pub fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The circle as names: `Parent.child → Child.parent → Parent`.
fn drawn(cycles: &Cycles) -> String {
    let node = |index: usize| cycles.nodes.get(index).map_or("?", |name| short(name));
    let mut text = String::new();
    for edge in &cycles.edges {
        let name = &edge.name;
        let glue = if name.starts_with(['.', '[']) || name.is_empty() {
            ""
        } else {
            " "
        };
        text.push_str(&format!("{}{glue}{name} → ", node(edge.from)));
    }
    if let Some(last) = cycles.edges.last() {
        text.push_str(node(last.to));
    }
    text
}

/// Which of the references of a circle to make weak, as their place in `edges`: one whose
/// name leads back, else the last attribute before the circle closes. `None` if it is none,
/// or if the circle is one of a class or of a function, which is made otherwise.
#[must_use]
pub fn weakest(cycles: &Cycles) -> Option<usize> {
    if is_class(cycles) || is_closure(cycles) {
        return None;
    }
    let leads_back = |name: &str| {
        let Some(name) = name.strip_prefix('.') else {
            return false;
        };
        let name = name.trim_matches('_').to_ascii_lowercase();
        BACK.iter().any(|back| name == *back)
            || ["parent", "owner", "prev"]
                .iter()
                .any(|back| name.contains(back))
    };
    let by_name = cycles.edges.iter().position(|edge| leads_back(&edge.name));
    by_name.or_else(|| {
        cycles
            .edges
            .iter()
            .rposition(|edge| edge.name.starts_with('.') && !edge.name.starts_with(".__"))
    })
}

/// What to write instead, and by whom: circles of a library's own objects are made by
/// its code.
pub fn suggestion(cycles: &Cycles, observations: &Observations) -> String {
    let there = suggestion_there(cycles);
    match library(cycles, observations) {
        Some(package) => format!(
            "{package} makes the circle, not this program. There: {there}. Here: make fewer of these objects, use them again, or close them if {package} has a way to"
        ),
        None => there,
    }
}

/// The package whose objects the circle is made of, if nothing in it is the program's:
/// neither a class nor a function, nor the line that allocated it.
fn library(cycles: &Cycles, observations: &Observations) -> Option<String> {
    let inner = cycles.frames.first()?;
    if !observations.is_library(&inner.file) {
        return None;
    }
    let mut modules = cycles.nodes.iter().filter_map(|name| name.rsplit_once('.'));
    let is_own = modules.any(|(module, _)| {
        let path = module.replace('.', "/");
        let is_its = |file: &String| {
            let file = file.strip_suffix(".py").unwrap_or(file);
            let file = file.strip_suffix("/__init__").unwrap_or(file);
            Path::new(file).ends_with(&path)
        };
        module == "__main__" || observations.sources.iter().any(is_its)
    });
    // Of a function the line is its definition's.
    let package = observations
        .libraries
        .iter()
        .filter_map(|directory| Path::new(&inner.file).strip_prefix(directory).ok())
        .min_by_key(|rest| rest.components().count())?
        .components()
        .next()?;
    let package = Path::new(package.as_os_str())
        .file_stem()?
        .to_string_lossy();
    (!is_own).then(|| class_package(cycles, &package).into())
}

/// The package that makes a circle, where the nearest frame is in `package`. Compiled code
/// has no frames: if no class is of that package, the first says whose it is.
fn class_package<'a>(cycles: &'a Cycles, package: &'a str) -> &'a str {
    /// Modules whose objects everybody uses.
    const GENERAL: [&str; 5] = ["collections", "functools", "itertools", "types", "weakref"];
    let is_of_it = |module: &str| module.trim_start_matches('_') == package.trim_start_matches('_');
    if packages(cycles).any(is_of_it) {
        return package;
    }
    let mut others = packages(cycles).filter(|module| !GENERAL.contains(module));
    others.next().unwrap_or(package)
}

/// The packages of a circle's classes, as far as they say them.
fn packages(cycles: &Cycles) -> impl Iterator<Item = &str> {
    let modules = cycles.nodes.iter().filter_map(|name| name.rsplit_once('.'));
    modules.filter_map(|(module, _)| module.split('.').next())
}

fn suggestion_there(cycles: &Cycles) -> String {
    let mut text = first_step(cycles);
    match cycles.other_ways.as_slice() {
        [] => {}
        [all @ .., last] => {
            let first = match all {
                [] => String::new(),
                all => format!("{} and ", all.join(", ")),
            };
            text.push_str(&format!(
                "; do the same with {first}{last}, or they stay in a circle another way round"
            ));
        }
    }
    if cycles.has_more_ways {
        text.push_str("; there are more ways round, which the next run tells of");
    }
    text
}

/// Whether a class refers to itself there.
fn is_class(cycles: &Cycles) -> bool {
    cycles.nodes.iter().any(|name| name == "type")
}

/// Whether a function does, by a variable that it shares.
fn is_closure(cycles: &Cycles) -> bool {
    let has = |kind: &str| cycles.nodes.iter().any(|name| name == kind);
    has("cell") && has("function")
}

/// What to do about the circle that is drawn.
fn first_step(cycles: &Cycles) -> String {
    if is_class(cycles) {
        return "a class is a cycle by itself: make it once, in the module, and not in each call"
            .into();
    }
    if is_closure(cycles) {
        return "the function refers to itself through its own closure: make it a method or a function of the module, or set the variable to None when done".into();
    }
    let Some(edge) = weakest(cycles).map(|index| &cycles.edges[index]) else {
        return "break the circle when done (clear the container), or hold one of the references weakly (weakref)".into();
    };
    let node = |index: usize| cycles.nodes.get(index).map_or("?", |name| short(name));
    let (holder, target, name) = (node(edge.from), node(edge.to), &edge.name);
    match target {
        "method" => format!(
            "{holder}{name} keeps a method bound to an object that leads back here: keep weakref.WeakMethod(...), or look the method up when it is called"
        ),
        "dict" | "list" | "set" | "tuple" | "deque" | "cell" => format!(
            "keep weak references in {holder}{name} (weakref.WeakSet, WeakValueDictionary), or clear it when done"
        ),
        _ => format!(
            "make {holder}{name} weak: keep weakref.ref({target}), or set it to None when done"
        ),
    }
}

/// The way from the line of a finding down to where memory was asked for, where
/// they differ.
pub fn called_from(frames: &[Line], observations: &Observations) -> Option<String> {
    let own = observations.own_line(frames)?;
    let inner = frames.first()?;
    (own != inner).then(|| {
        format!(
            "allocated in {}:{}, called from here",
            inner.file, inner.line
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Cycles, class_package};

    #[test]
    fn a_circle_is_of_the_package_whose_classes_are_in_it() {
        let package = |nodes: &[&str], nearest: &str| {
            let cycles = Cycles {
                nodes: nodes.iter().map(|name| (*name).into()).collect(),
                ..Cycles::default()
            };
            class_package(&cycles, nearest).to_string()
        };
        let own = ["collections.OrderedDict", "requests.sessions.Session"];
        assert_eq!(package(&own, "requests"), "requests");
        assert_eq!(
            package(&["_asyncio.Task", "coroutine"], "asyncio"),
            "asyncio"
        );
        assert_eq!(package(&["collections.deque", "cell"], "click"), "click");
        assert_eq!(
            package(&["dict", "blib2to3.pytree.Node"], "click"),
            "blib2to3"
        );
    }
}
