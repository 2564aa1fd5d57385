//! Which lists are built to be iterated once.
//!
//! A list is followed from where it is built to what iterates over it: by way
//! of a variable, of a function that returns it, of a parameter. It is innocent
//! as soon as anything else is done with it, if it is iterated in a loop that it
//! was not built in, or if what it was made from may change before its last item
//! is used: then the copy is what keeps the program right. So it is where making
//! the items does something: starts work, or changes variables of others.

use std::collections::HashSet;
use std::rc::Rc;

use crate::effects::Effects;
use crate::events::*;

/// A list that is built and then iterated once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinglePass {
    /// How it is built.
    pub builder: Builder,
    /// The lines whose allocations make it.
    pub first_line: u32,
    /// The last of them.
    pub last_line: u32,
    /// The line to talk about.
    pub line: u32,
    /// The variable that it is in.
    pub name: Option<String>,
    /// The function that returns it.
    pub function: Option<String>,
    /// What iterates over it, in words.
    pub consumer: String,
    /// Where.
    pub consumer_line: u32,
    /// The consumer keeps the items: without the list they would live, too.
    pub keeps_items: bool,
    /// It is a module's variable, which other modules might use.
    pub is_global: bool,
    /// It is made of a file that is closed before it is iterated over.
    pub is_behind_file: bool,
}

/// How far a list is followed from one function to another.
const DEPTH: usize = 8;

/// Everything that becomes of one list.
struct Use {
    consumer: ConsumerId,
    keeps: bool,
    name: Option<String>,
    function: Option<String>,
    is_global: bool,
    is_behind_file: bool,
}

/// Where and when a list comes to be, and out of what.
#[derive(Clone)]
struct Origin {
    scope: ScopeId,
    path: Path,
    end: u32,
    reads: HashSet<String>,
    is_copy: bool,
    /// Out of a file or a directory.
    is_file: bool,
}

/// The lists of a module.
pub fn find(facts: &Facts, foreign: &HashSet<String>) -> Vec<SinglePass> {
    let search = Search {
        facts,
        foreign,
        effects: Effects::of(facts),
    };
    let mut found: Vec<SinglePass> = facts
        .builds
        .iter()
        .filter_map(|build| search.expression(build))
        .collect();
    for (id, scope) in facts.scopes.iter().enumerate() {
        let names = scope.events.keys();
        found.extend(names.filter_map(|name| search.append_loop(id, name)));
    }
    found.sort_by_key(|each| (each.line, each.last_line, each.consumer_line));
    found.dedup();
    found
}

struct Search<'a> {
    facts: &'a Facts,
    foreign: &'a HashSet<String>,
    effects: Effects,
}

fn leads_to(from: &[Block], to: &Path) -> bool {
    let rest = match to.strip_prefix(from) {
        Some(rest) => rest,
        None => return false,
    };
    rest.iter().all(|block| block.kind == BlockKind::With)
}

impl Search<'_> {
    fn expression(&self, build: &Build) -> Option<SinglePass> {
        if build.is_entangled || self.facts.scopes[build.scope].is_class {
            return None;
        }
        let calls = &self.facts.named_calls[build.calls.clone()];
        if calls.iter().any(|call| self.effects.acts(self.facts, call)) {
            return None;
        }
        let origin = Origin {
            scope: build.scope,
            path: build.path.clone(),
            end: build.end,
            reads: build.reads.clone(),
            is_copy: build.is_copy_of_container,
            is_file: build.builder == Builder::Lines || self.is_of_file(&build.reads, calls),
        };
        let found = self.follow(&build.fate, &origin, DEPTH)?;
        let consumer = &self.facts.consumers[found.consumer];
        if let Builder::Copy(name) = &build.builder {
            // Sorting is what `sorted` is for, unless the order does not matter.
            if name == "sorted" && !consumer.is_unordered {
                return None;
            }
        }
        Some(self.report(
            &found,
            build.builder.clone(),
            build.first_line,
            build.last_line,
        ))
    }

    fn report(&self, found: &Use, builder: Builder, first_line: u32, last_line: u32) -> SinglePass {
        let consumer = &self.facts.consumers[found.consumer];
        SinglePass {
            builder,
            first_line,
            last_line,
            line: first_line,
            name: found.name.clone(),
            function: found.function.clone(),
            consumer: consumer.what.clone(),
            consumer_line: consumer.line,
            keeps_items: found.keeps,
            is_global: found.is_global,
            is_behind_file: found.is_behind_file,
        }
    }

    /// Where a value ends up.
    fn follow(&self, fate: &Fate, origin: &Origin, depth: usize) -> Option<Use> {
        let depth = depth.checked_sub(1)?;
        match fate {
            Fate::Iterated(consumer) => {
                let each = &self.facts.consumers[*consumer];
                if each.waits {
                    return None;
                }
                self.is_undisturbed(origin, each).then_some(Use {
                    consumer: *consumer,
                    keeps: each.keeps,
                    name: None,
                    function: None,
                    is_global: false,
                    is_behind_file: false,
                })
            }
            Fate::Bound(name) => self.variable(name, origin, depth),
            Fate::Returned => self.result(origin, depth),
            Fate::Argument(function, position) => {
                if origin.is_file
                    && (self
                        .effects
                        .writing
                        .contains(function.trim_start_matches('.'))
                        || self.writes(origin, u32::MAX))
                {
                    return None;
                }
                let mut found = self.argument(function, position, depth)?;
                // Whatever that function does, it has this origin's names, too.
                let end = self.facts.consumers[found.consumer].end;
                let quiet = Consumer {
                    end: origin.end,
                    ..self.facts.consumers[found.consumer].clone()
                };
                debug_assert!(end != u32::MAX);
                if !self.is_undisturbed(origin, &quiet) || origin.is_copy {
                    return None;
                }
                found.name = None;
                Some(found)
            }
            Fate::Given | Fate::Measured | Fate::Read | Fate::Other => None,
        }
    }

    /// Is nothing that the list is made from changed before the consumer is done?
    fn is_undisturbed(&self, origin: &Origin, consumer: &Consumer) -> bool {
        let facts = self.facts;
        if origin.is_file && self.writes(origin, consumer.end) {
            return false;
        }
        let during = |time: u32| time > origin.end && time <= consumer.end;
        let calls = || {
            facts
                .unknown_calls
                .iter()
                .any(|(scope, time)| *scope == origin.scope && during(*time))
        };
        for name in &origin.reads {
            let owner = facts.owner(origin.scope, name);
            for event in facts.events_of(owner, name) {
                if !event.what.may_change() {
                    continue;
                }
                if event.scope == origin.scope {
                    if during(event.time) {
                        return false;
                    }
                } else if !matches!(event.what, What::Bind(Bound::Definition(_))) && calls() {
                    // Another function changes it, and may be what is called.
                    return false;
                }
            }
        }
        if origin.is_copy {
            for target in &consumer.targets {
                for event in facts.events_of(facts.owner(origin.scope, target), target) {
                    let is_inside = event.scope == origin.scope && during(event.time);
                    // An item may know the container that it is in.
                    if is_inside
                        && event.what.may_change()
                        && !matches!(event.what, What::Bind(Bound::Target))
                    {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Are files changed once the list is built, and not later than `until`? Which
    /// files cannot be told.
    fn writes(&self, origin: &Origin, until: u32) -> bool {
        self.facts.named_calls.iter().any(|call| {
            call.scope == origin.scope
                && call.time > origin.end
                && call.time <= until
                && (call.act == Act::Writes || self.effects.writing.contains(&call.name))
        })
    }

    /// Is something read from files, by the names and calls in it?
    fn is_of_file(&self, names: &HashSet<String>, calls: &[NamedCall]) -> bool {
        let reads =
            |call: &NamedCall| call.act == Act::Reads || self.effects.reading.contains(&call.name);
        !names.is_disjoint(&self.facts.file_names)
            || !names.is_disjoint(&self.effects.reading)
            || calls.iter().any(reads)
    }

    /// A list in a variable: bound once, iterated once, nothing else.
    fn variable(&self, name: &str, origin: &Origin, depth: usize) -> Option<Use> {
        let facts = self.facts;
        if facts.owner(origin.scope, name) != origin.scope {
            return None;
        }
        let is_global = origin.scope == 0;
        if is_global && self.foreign.contains(name) {
            return None;
        }
        let mut load = None;
        let mut is_behind_file = false;
        for event in facts.events_of(origin.scope, name) {
            match &event.what {
                _ if event.scope != origin.scope || !event.via.is_empty() => return None,
                What::Bind(_) if event.time > origin.end && load.is_none() => {
                    load = Some(None);
                }
                What::Load(fate) if load == Some(None) => {
                    // What iterates can do so while the file is open.
                    let open = self.files_around(origin);
                    let path = &origin.path[..origin.path.len() - open];
                    if !leads_to(path, &event.path) {
                        return None;
                    }
                    is_behind_file = !leads_to(&origin.path, &event.path);
                    load = Some(Some(fate));
                }
                What::Delete if matches!(load, Some(Some(_))) => {}
                _ => return None,
            }
        }
        let mut found = self.follow(load??, origin, depth)?;
        found.name = Some(name.to_string());
        found.is_global = is_global;
        found.is_behind_file |= is_behind_file;
        Some(found)
    }

    /// Of the innermost blocks that a list of a file's contents is made in, how many
    /// only keep files open.
    fn files_around(&self, origin: &Origin) -> usize {
        let blocks = origin.path.iter().rev();
        match origin.is_file {
            true => blocks
                .take_while(|block| self.facts.blocks[block.id].is_reading)
                .count(),
            false => 0,
        }
    }

    /// A list that a function returns: all its callers must iterate over it once.
    fn result(&self, origin: &Origin, depth: usize) -> Option<Use> {
        let facts = self.facts;
        let scope = &facts.scopes[origin.scope];
        let is_plain = !scope.is_decorated
            && !scope.is_generator
            && !scope.is_async
            && !scope.is_class
            && scope.returns == 1
            && scope.name != "<lambda>"
            && !scope.name.starts_with("__")
            && origin
                .path
                .iter()
                .all(|block| block.kind == BlockKind::With);
        let parent = scope.parent?;
        if !is_plain || self.foreign.contains(&scope.name) {
            return None;
        }
        let sites = if facts.scopes[parent].is_class {
            self.method_calls(&scope.name)?
        } else {
            self.function_calls(parent, &scope.name)?
        };
        // What the function read from outside must stay as it is, too.
        let outside: HashSet<String> = origin
            .reads
            .iter()
            .filter(|name| !facts.is_own(origin.scope, name))
            .cloned()
            .collect();
        let mut first: Option<Use> = None;
        for number in sites {
            let site = &facts.calls[number];
            let mut reads = site.reads.clone();
            reads.remove(&scope.name);
            reads.extend(outside.iter().cloned());
            let is_file = origin.is_file || self.is_of_file(&reads, &[]) || reads.contains("open");
            let next = Origin {
                scope: site.scope,
                path: site.path.clone(),
                end: site.end,
                reads,
                is_copy: origin.is_copy,
                is_file,
            };
            let found = self.follow(&site.fate, &next, depth)?;
            match &mut first {
                None => first = Some(found),
                Some(first) => first.keeps |= found.keeps,
            }
        }
        let mut found = first?;
        found.function = Some(scope.name.clone());
        found.is_global = false;
        Some(found)
    }

    fn function_calls(&self, parent: ScopeId, name: &str) -> Option<Vec<usize>> {
        let mut sites = Vec::new();
        let mut definitions = 0;
        for event in self.facts.events_of(parent, name) {
            match &event.what {
                What::Call(site) if event.via.is_empty() => sites.push(*site),
                What::Bind(Bound::Definition(_)) => definitions += 1,
                _ => return None,
            }
        }
        (definitions == 1).then_some(sites)
    }

    /// The calls of a method that only one class of the module has.
    fn method_calls(&self, name: &str) -> Option<Vec<usize>> {
        let facts = self.facts;
        let same = facts.scopes.iter().filter(|scope| scope.name == name);
        if same.count() != 1 || facts.loose_attributes.contains(name) {
            return None;
        }
        facts.method_calls.get(name).cloned()
    }

    /// A list that is an argument of a function of this module: what the
    /// function does with its parameter.
    fn argument(&self, function: &str, position: &Position, depth: usize) -> Option<Use> {
        let facts = self.facts;
        let depth = depth.checked_sub(1)?;
        let (name, skip) = match function.strip_prefix('.') {
            Some(method) => (method, 1),
            None => (function, 0),
        };
        let mut same = (0..facts.scopes.len()).filter(|id| facts.scopes[*id].name == name);
        let (id, None) = (same.next()?, same.next()) else {
            return None;
        };
        let scope = &facts.scopes[id];
        let is_method = scope
            .parent
            .is_some_and(|parent| facts.scopes[parent].is_class);
        if scope.is_class || scope.is_decorated || is_method != (skip == 1) {
            return None;
        }
        let parameter = match position {
            Position::Number(number) => scope.parameters.get(number + skip)?,
            Position::Keyword(name) => scope.parameters.iter().find(|each| *each == name)?,
        };
        let mut load = None;
        for event in facts.events_of(id, parameter) {
            match &event.what {
                _ if event.scope != id || !event.via.is_empty() => return None,
                What::Bind(Bound::Parameter) => {}
                What::Load(fate) if load.is_none() && leads_to(&Rc::default(), &event.path) => {
                    load = Some((fate, event));
                }
                _ => return None,
            }
        }
        let (fate, event) = load?;
        let origin = Origin {
            scope: id,
            path: Rc::default(),
            end: event.time,
            reads: HashSet::new(),
            is_copy: false,
            is_file: false,
        };
        match fate {
            Fate::Iterated(_) | Fate::Argument(..) => self.follow(fate, &origin, depth),
            _ => None,
        }
    }

    /// `out = []`, then `out.append(…)` in a loop, then one iteration.
    fn append_loop(&self, scope: ScopeId, name: &str) -> Option<SinglePass> {
        let facts = self.facts;
        if facts.owner(scope, name) != scope
            || facts.scopes[scope].is_class
            || scope == 0 && self.foreign.contains(name)
        {
            return None;
        }
        let mut bound: Option<&Event> = None;
        let mut appends: Vec<&Event> = Vec::new();
        let mut load: Option<(&Event, &Fate)> = None;
        for event in facts.events_of(scope, name) {
            if event.scope != scope || !event.via.is_empty() {
                return None;
            }
            match &event.what {
                What::Bind(Bound::Display {
                    is_empty_list: true,
                }) if bound.is_none() => bound = Some(event),
                What::Method(method) if method == "append" && bound.is_some() && load.is_none() => {
                    appends.push(event);
                }
                What::Load(fate) if load.is_none() && !appends.is_empty() => {
                    load = Some((event, fate));
                }
                What::Delete if load.is_some() => {}
                _ => return None,
            }
        }
        let (bound, (load, fate)) = (bound?, load?);
        // One loop, in the block that the list comes from.
        let mut looped = None;
        for append in &appends {
            let rest = append.path.strip_prefix(&*bound.path)?;
            let outermost = rest.iter().find(|block| block.kind != BlockKind::With)?;
            if outermost.kind != BlockKind::Loop
                || *looped.get_or_insert(outermost.id) != outermost.id
            {
                return None;
            }
        }
        let extent = facts.blocks[looped?];
        let returned = *fate == Fate::Returned;
        if load.time < extent.end || !(leads_to(&bound.path, &load.path) || returned) {
            return None;
        }
        // What stands in the loop, and before it.
        let calls: Vec<NamedCall> = facts
            .named_calls
            .iter()
            .filter(|call| call.time >= bound.time && call.time <= extent.end)
            .cloned()
            .collect();
        let is_in_loop = |call: &NamedCall| call.time >= extent.start;
        if calls
            .iter()
            .any(|call| is_in_loop(call) && self.effects.acts(self.facts, call))
        {
            return None;
        }
        let (reads, changes) = self.loop_names(scope, name, extent);
        let is_file = self.is_of_file(&reads, &calls);
        let origin = Origin {
            scope,
            path: match returned {
                true => load.path.clone(),
                false => bound.path.clone(),
            },
            end: extent.end,
            reads,
            is_copy: self.appends_items_as_they_are(scope, &appends, extent),
            is_file,
        };
        let mut found = self.follow(fate, &origin, DEPTH)?;
        // What the loop computes besides must not be needed while iterating.
        let consumer = &facts.consumers[found.consumer];
        if found.function.is_none() {
            let until = consumer.end;
            for changed in &changes {
                let events = facts.events_of(facts.owner(scope, changed), changed);
                let mut after = events.iter().filter(|event| {
                    event.scope == scope && event.time > extent.end && event.time <= until
                });
                let first = after.clone().min_by_key(|event| event.time);
                // What is bound anew before it is read is another thing.
                let is_needed = !first.is_some_and(|event| matches!(event.what, What::Bind(_)))
                    && after.any(|event| !matches!(event.what, What::Bind(_)));
                if is_needed {
                    return None;
                }
            }
        }
        found.name = Some(name.to_string());
        found.is_global = scope == 0;
        let lines = appends.iter().map(|append| append.line);
        let (first, last) = (lines.clone().min()?, lines.max()?);
        Some(self.report(&found, Builder::Append, first, last))
    }

    /// The names that a loop reads and does not bind, and those that it changes.
    fn loop_names(
        &self,
        scope: ScopeId,
        list: &str,
        extent: Extent,
    ) -> (HashSet<String>, HashSet<String>) {
        let (mut reads, mut changes) = (HashSet::new(), HashSet::new());
        for (name, events) in &self.facts.scopes[scope].events {
            if name == list {
                continue;
            }
            // The expression of a `for` is evaluated just before its loop.
            let first_line = extent.first_line;
            let inside = events.iter().filter(|event| {
                event.time >= extent.start && event.time <= extent.end
                    || event.time < extent.start && event.line == first_line
            });
            let mut is_bound = false;
            let mut is_used = false;
            for event in inside {
                is_used = true;
                is_bound |= matches!(event.what, What::Bind(_) | What::Augment);
                if event.what.may_change() {
                    changes.insert(name.clone());
                }
            }
            if is_used && !is_bound {
                reads.insert(name.clone());
            }
        }
        (reads, changes)
    }

    /// Are all items that are appended those of a container?
    fn appends_items_as_they_are(
        &self,
        scope: ScopeId,
        appends: &[&Event],
        extent: Extent,
    ) -> bool {
        let targets: Vec<&String> = self.facts.scopes[scope]
            .events
            .iter()
            .filter(|(_, events)| {
                events.iter().any(|event| {
                    event.what == What::Bind(Bound::Target)
                        && event.time >= extent.start
                        && event.time <= extent.end
                })
            })
            .map(|(name, _)| name)
            .collect();
        appends.iter().any(|append| {
            // The argument is the next thing that happens.
            targets.iter().any(|name| {
                self.facts.scopes[scope].events[*name].iter().any(|event| {
                    event.time == append.time + 1 && matches!(event.what, What::Load(_))
                })
            })
        })
    }
}
