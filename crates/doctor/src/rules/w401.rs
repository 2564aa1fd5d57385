//! W401: memory that grows as long as the program runs.

use std::cmp::Reverse;

use wrasse_report::units::{count, duration, size};

use crate::finding::Finding;
use crate::modules;
use crate::observations::{GrowthPoint, LineGrowth, Observations, Variable};
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{called_from, short};
use crate::rules::w302;

/// Looks without which nothing is said.
const FEWEST_LOOKS: usize = 10;
/// The part of the run that counts as start-up.
const START_UP: usize = 5;
/// The rest is cut into so many parts, and in all but so many of them memory must
/// have grown by at least this part of its share.
const PARTS: usize = 8;
const IDLE_PARTS: usize = 1;
const LEAST_SHARE: f64 = 0.25;
/// And the end must be close to the highest ever seen.
const NEAR_THE_TOP: f64 = 0.95;

/// What only a function's variable holds must be held for so much of the time.
const LIVES_ON: f64 = 0.8;
/// Seconds that the end of a program may take: to tell of an exception, or to clean up.
const ENDING: f64 = 0.3;
/// At half of the time at most this part of it may have been there.
const HALF: f64 = 0.8;

/// Types and other lines that are named.
const TYPES: usize = 3;
const SHOWN: usize = 3;
/// How a path through `functools.lru_cache` reads.
const CACHE: &str = "_lru_cache_wrapper (";
/// And one through a bound method.
const METHOD: &str = " → method.__self__";

/// What a line must have left behind to be told of.
pub const LEAST: u64 = 1 << 20;

pub const RULE: Rule = Rule {
    code: "W401",
    name: "steady-growth",
    summary: "memory from one line that grows as long as the program runs and stays held",
    explanation: include_str!("w401.md"),
    threshold: Quantity::Bytes(LEAST),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let growth = &observations.growth;
    let caches = w302::caches(observations);
    let is_cached = |line: &LineGrowth| {
        let own = observations.own_line(&line.frames);
        caches.iter().any(|(name, cache)| {
            own.is_some_and(|own| own.file == cache.file && own.line == cache.line)
                || w302::names(&line.path, name)
        })
    };
    let lines = growth.lines.iter().filter(|line| {
        is_steady(&line.bytes)
            && is_late(&line.bytes, until(line, &growth.looks))
            && is_held_for_good(line, observations)
            && !is_cached(line)
            && !is_result(line, observations)
            && !is_asked(line, observations)
    });
    groups(lines.collect())
        .iter()
        .map(|group| finding(group, &growth.looks, observations))
        .collect()
}

/// The lines whose memory is in one container, those with most first: one leak. Where
/// none of them is large by itself, W403 may know more.
fn groups(mut lines: Vec<&LineGrowth>) -> Vec<Vec<&LineGrowth>> {
    lines.sort_by_key(|line| Reverse(bytes(line)));
    let mut groups: Vec<Vec<&LineGrowth>> = Vec::new();
    for line in lines {
        let is_its = |group: &&mut Vec<&LineGrowth>| {
            !line.container.is_empty()
                && group[0].container == line.container
                && bytes(group[0]) >= LEAST
        };
        match groups.iter_mut().find(is_its) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    groups
}

/// The looks at which a line's memory was held.
fn until<'a>(line: &LineGrowth, looks: &'a [GrowthPoint]) -> &'a [GrowthPoint] {
    &looks[..looks.len().min(line.bytes.len())]
}

/// What a line has left behind.
fn bytes(line: &LineGrowth) -> u64 {
    line.bytes.last().copied().unwrap_or(0)
}

/// Whether a module leads there, by way of a container that was there before: what
/// a function fills that it (or one that called it) has made is a result, not a leak.
///
/// A variable of a function that runs as long as the program is as good as a module's.
fn is_held_for_good(line: &LineGrowth, observations: &Observations) -> bool {
    if let Some(variable) = &line.variable {
        return lives_on(line, &observations.growth.looks) && is_left(variable, line, observations);
    }
    let running = running(line, observations);
    let makers = running.first().map(String::as_str);
    line.is_global && is_kept_by_others(makers, running, &line.holders)
}

/// Whether a line's memory was held almost to the end of the run.
fn lives_on(line: &LineGrowth, looks: &[GrowthPoint]) -> bool {
    let seconds = |looks: &[GrowthPoint]| looks.last().map_or(0.0, |look| look.cpu_seconds);
    let looked = until(line, looks);
    let (here, end) = (seconds(looked), seconds(looks));
    let is_most = looked.len() as f64 >= LIVES_ON * looks.len() as f64;
    here >= LIVES_ON * end || is_most && end - here < ENDING
}

/// Whether nobody needs what a variable holds: it may be what the function is there to
/// compute, so that nobody may read it. What its lines had beside what is held, in garbage
/// that waits, is not known either.
fn is_left(variable: &Variable, line: &LineGrowth, observations: &Observations) -> bool {
    let Some(module) = modules::read(&variable.file) else {
        return false;
    };
    if variable.is_container {
        return module.is_local_pile(variable.first_line, &variable.name);
    }
    let names = containers(&line.path);
    !names.is_empty()
        && names
            .iter()
            .all(|name| modules::is_pile(observations, name))
}

/// Whether it is a set, and asked what is in it: then it is needed.
fn is_asked(line: &LineGrowth, observations: &Observations) -> bool {
    line.container_type == "set"
        && containers(&line.path)
            .iter()
            .any(|name| modules::is_asked(observations, name))
}

/// Whether a function makes what is told of, not a module's own code, and one of the
/// containers on the path was there before: none of the functions that ran has made it.
pub fn is_kept_by_others<'a>(
    makers: impl IntoIterator<Item = &'a str>,
    running: &[String],
    holders: &[String],
) -> bool {
    let is_module = |function: &str| function == "<module>";
    let was_there = |holder: &String| is_module(holder) || !running.contains(holder);
    makers.into_iter().any(|function| !is_module(function)) && holders.iter().any(was_there)
}

/// The functions that ran, from the line that is told of outwards.
fn running<'a>(line: &'a LineGrowth, observations: &Observations) -> &'a [String] {
    let own = observations.own_line(&line.frames);
    let place = line.frames.iter().position(|frame| Some(frame) == own);
    let running = place.and_then(|place| line.functions.get(place..));
    running.unwrap_or_default()
}

/// Whether the program reads what it collects there when all of it is collected, and
/// only then: growing is what it is for.
fn is_result(line: &LineGrowth, observations: &Observations) -> bool {
    let Some(function) = running(line, observations).first() else {
        return false;
    };
    containers(&line.path)
        .iter()
        .any(|name| modules::is_result(observations, name, function))
}

/// What a program calls the container at the end of `container`, the way to it, or the
/// variable at which `path` begins if that is not known.
pub fn name_of(container: &str, path: &str) -> String {
    let mut name = String::new();
    for step in container.split(" → ") {
        let step = Variable::name_in(step).unwrap_or(step);
        // A container without a name is an item of the one before.
        let item = ["dict", "list", "tuple"]
            .iter()
            .find_map(|plain| step.strip_prefix(*plain))
            .filter(|item| item.starts_with('[') && !name.is_empty());
        match item {
            Some(item) => name.push_str(item),
            None => name = step.into(),
        }
    }
    if name.is_empty() {
        let begin = path.split(" → ").next().unwrap_or_default();
        let begin = Variable::name_in(begin).unwrap_or(begin);
        name = begin.split('[').next().unwrap_or(begin).into();
    }
    match name.strip_prefix("__main__.") {
        Some(name) => name.into(),
        None => name,
    }
}

/// The variables and attributes on a path that have items.
pub fn containers(path: &str) -> Vec<&str> {
    let steps: Vec<&str> = path.split(" → ").collect();
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let name = step.split(['[', ' ']).next().unwrap_or(step);
        let is_followed_by_item = steps
            .get(at + 1)
            .is_some_and(|next| next.contains(['[', '(']));
        if let Some((_, last)) = name.rsplit_once('.')
            && (step.contains('[') || is_followed_by_item)
        {
            found.push(last);
        }
    }
    found
}

/// Whether it grew all the time once start-up was over.
pub fn is_steady(bytes: &[u64]) -> bool {
    if bytes.len() < FEWEST_LOOKS {
        return false;
    }
    let last = bytes[bytes.len() - 1] as f64;
    let highest = bytes.iter().copied().max().unwrap_or(0) as f64;
    // Imports alone may be far more than that: what begins in the first half
    // counts from there.
    let begun = bytes.iter().position(|bytes| *bytes > 0).unwrap_or(0);
    let start_up = match begun <= bytes.len() / 2 {
        true => begun.max(bytes.len() / START_UP),
        false => bytes.len() / START_UP,
    };
    let rest = &bytes[start_up..];
    let growth = last - rest[0] as f64;
    if last < NEAR_THE_TOP * highest || growth <= 0.0 {
        return false;
    }
    let at = |part: usize| rest[(rest.len() - 1) * part / PARTS] as f64;
    let idle = (0..PARTS)
        .filter(|part| at(part + 1) - at(*part) < LEAST_SHARE * growth / PARTS as f64)
        .count();
    idle <= IDLE_PARTS
}

/// Whether it still grew in the second half of the time: whoever allocates first and
/// computes then has few looks there.
pub fn is_late(bytes: &[u64], looks: &[GrowthPoint]) -> bool {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return false;
    };
    let half = first.cpu_seconds.midpoint(last.cpu_seconds);
    let before = looks
        .iter()
        .take_while(|look| look.cpu_seconds <= half)
        .count();
    let at_half = before.checked_sub(1).and_then(|index| bytes.get(index));
    let end = bytes.last().copied().unwrap_or(0);
    at_half.is_some_and(|at_half| (*at_half as f64) < HALF * end as f64)
}

fn finding(group: &[&LineGrowth], looks: &[GrowthPoint], observations: &Observations) -> Finding {
    let line = group[0];
    let name = name_of(&line.container, &line.path);
    let mut finding = RULE.finding_in(observations, &line.frames, "");
    let all = group.iter().map(|line| bytes(line)).sum();
    let blocks = line.blocks.last().copied().unwrap_or(0);
    finding.bytes = Some(all);
    finding.message = match group {
        [_] => format!(
            "what is allocated here went on growing to the end, to {} in {} blocks",
            size(all),
            count(blocks)
        ),
        _ => format!(
            "what is allocated here and kept in {name} went on growing to the end, to {} with what {} there",
            size(all),
            others(&group[1..], &finding, observations)
        ),
    };
    if !line.path.is_empty() {
        finding.evidence.push(format!("held by {}", line.path));
    }
    let mut types: Vec<(&str, u64)> = Vec::new();
    for (kind, number) in group.iter().flat_map(|line| &line.types) {
        match types.iter_mut().find(|(known, _)| known == kind) {
            Some((_, known)) => *known += number,
            None => types.push((kind, *number)),
        }
    }
    let types: Vec<String> = types
        .iter()
        .take(TYPES)
        .map(|(name, number)| match number {
            0 => short(name).to_string(),
            number => format!("{} {}", count(*number), short(name)),
        })
        .collect();
    if !types.is_empty() {
        finding
            .evidence
            .push(format!("objects: {}", types.join(", ")));
    }
    let looks = until(line, looks);
    let seconds = looks.last().map_or(0.0, |look| look.seconds);
    if seconds > 0.0 {
        finding.evidence.push(format!(
            "{} a second over {}, seen at {} looks",
            size((all as f64 / seconds) as u64),
            duration(seconds),
            looks.len()
        ));
    }
    finding
        .evidence
        .extend(called_from(&line.frames, observations));
    finding.fix = remedy(&name, line);
    finding
}

/// What to do about a container that grows.
fn remedy(name: &str, line: &LineGrowth) -> String {
    if !line.container.is_empty() && line.path.contains(CACHE) {
        return format!(
            "the cache of {name} keeps what it was asked with (of a method, the object, too) and its answers: give it a bound, functools.lru_cache(maxsize=...); or keep a method's answer in the object, functools.cached_property"
        );
    }
    let below = line.path.strip_prefix(&line.container).unwrap_or_default();
    if !line.container.is_empty() && below.contains(METHOD) {
        return format!(
            "each method in {name} keeps its object: take it out when the object is done with, or keep weakref.WeakMethod(...) there"
        );
    }
    let other = match line.container_type.as_str() {
        "list" | "deque" => "keep the last ones only: collections.deque(maxlen=...)",
        "set" => "hold them weakly: weakref.WeakSet",
        "dict" | "defaultdict" | "OrderedDict" => {
            "bound it: functools.lru_cache(maxsize=...) of a function, weakref.WeakValueDictionary"
        }
        _ => {
            "bound it (functools.lru_cache(maxsize=...), collections.deque(maxlen=...), weakref.WeakValueDictionary)"
        }
    };
    format!("remove entries from {name} when they are done with, or {other}")
}

/// The other lines of a group in words, as the subject of what they add.
fn others(group: &[&LineGrowth], first: &Finding, observations: &Observations) -> String {
    let mut places = Vec::new();
    for line in group.iter().take(SHOWN) {
        let Some(own) = observations.own_line(&line.frames) else {
            continue;
        };
        let place = modules::line(&own.file, own.line);
        places.push(match own.file == first.file {
            true => place,
            false => format!("{}:{}", own.file, own.line),
        });
    }
    match group.len() - places.len() {
        0 => {}
        1 => places.push("one more line".into()),
        more => places.push(format!("{more} more lines")),
    }
    let verb = if group.len() == 1 { "keeps" } else { "keep" };
    match places.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} and {last} {verb}", all.join(", ")),
        all => format!("{} {verb}", all.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::{containers, groups, is_steady, name_of, remedy};
    use crate::observations::LineGrowth;

    #[test]
    fn containers_on_a_path_have_names() {
        assert_eq!(containers("app.index['a b'] → list[0]"), ["index"]);
        assert_eq!(
            containers("app.state → App.sessions → dict['x → y'] → Session.user"),
            ["sessions"]
        );
        assert_eq!(
            containers("Bus.listeners → list[3] → method (self)"),
            ["listeners"]
        );
        assert!(containers("C code").is_empty());
    }

    #[test]
    fn a_container_is_called_as_in_the_program() {
        let name = |container, path| name_of(container, path);
        assert_eq!(name("__main__.audit", "__main__.audit[3]"), "audit");
        let path = "__main__.bot → Bot.history → list[19]";
        assert_eq!(name("__main__.bot → Bot.history", path), "Bot.history");
        assert_eq!(name("", path), "bot");
        assert_eq!(name("app.STATE['log']", ""), "app.STATE['log']");
        let nested = "__main__.STATE['logs'] → dict['web'] → list[0]";
        assert_eq!(name(nested, ""), "STATE['logs']['web'][0]");
    }

    #[test]
    fn callbacks_are_taken_out_or_weak() {
        let line = |path: &str| LineGrowth {
            path: path.into(),
            container: "app.BUS → Bus.slots".into(),
            ..LineGrowth::default()
        };
        let says = |path: &str| remedy("Bus.slots", &line(path));
        let method = "app.BUS → Bus.slots → list[3] → method.__self__ → View.rows";
        assert!(says(method).contains("weakref.WeakMethod"));
        assert!(says("app.BUS → Bus.slots → list[3] → View.rows").starts_with("remove entries"));
    }

    #[test]
    fn what_is_in_one_container_is_one_leak() {
        let line = |container: &str, bytes: u64| LineGrowth {
            container: container.into(),
            bytes: vec![0, bytes],
            ..LineGrowth::default()
        };
        let all = [
            line("a.log", 10),
            line("a.table", 3 << 20),
            line("a.log", 5 << 20),
            line("", 4 << 20),
            line("a.small", 20),
            line("a.small", 10),
            line("", 4 << 20),
        ];
        let found: Vec<Vec<u64>> = groups(all.iter().collect())
            .iter()
            .map(|group| group.iter().map(|line| line.bytes[1]).collect())
            .collect();
        assert_eq!(
            found,
            [
                vec![5 << 20, 10],
                vec![4 << 20],
                vec![4 << 20],
                vec![3 << 20],
                vec![20],
                vec![10]
            ]
        );
    }

    #[test]
    fn growth_must_go_on_to_the_end() {
        let line = |value: fn(u64) -> u64| (0..40).map(value).collect::<Vec<_>>();
        assert!(is_steady(&line(|look| look * 1000)));
        assert!(is_steady(&line(|look| look / 3 * 1000)));
        assert!(is_steady(&line(|look| look.saturating_sub(18) * 1000)));
        assert!(!is_steady(&line(|look| look.saturating_sub(30) * 1000)));
        assert!(!is_steady(&line(|look| look.min(20) * 1000)));
        assert!(!is_steady(&line(|look| look % 10 * 1000 + look)));
        assert!(!is_steady(&line(|_| 1000)));
        assert!(!is_steady(&line(|look| if look == 39 { 1000 } else { 0 })));
        assert!(!is_steady(&[1, 2, 3]));
    }
}
