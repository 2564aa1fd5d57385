//! From the syntax tree to facts.
//!
//! One walk, in the order of evaluation. Whoever looks at an expression first
//! says what becomes of its value ([`Fate`]); the walk carries that down.

mod acts;
mod call;
mod names;
mod visit;

use std::collections::HashSet;
use std::rc::Rc;

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{Expr, Identifier, Parameters, Stmt};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::Unreadable;
use crate::events::*;
use call::is_bounded;
use names::{Names, Reads};

/// Reads a module.
///
/// # Errors
/// It is no Python.
pub fn read(source: &str) -> Result<Facts, Unreadable> {
    let parsed =
        ruff_python_parser::parse_module(source).map_err(|error| Unreadable(error.to_string()))?;
    let mut names = Names::default();
    names.visit_body(parsed.suite());
    let mut walk = Walk {
        facts: Facts::default(),
        lines: line_starts(source),
        bound: names.0,
        scope: 0,
        path: Vec::new(),
        time: 0,
        fate: Fate::Other,
        hidden: Vec::new(),
    };
    walk.facts.scopes.push(scope("", None, 0));
    walk.visit_body(parsed.suite());
    Ok(walk.facts)
}

fn scope(name: &str, parent: Option<ScopeId>, first_line: u32) -> Scope {
    Scope {
        name: name.to_string(),
        parent,
        is_class: false,
        is_decorated: false,
        is_generator: false,
        is_async: false,
        first_line,
        parameters: Vec::new(),
        outer: HashSet::new(),
        returns: 0,
        events: Default::default(),
    }
}

fn line_starts(source: &str) -> Vec<u32> {
    let bytes = source.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let is_end = *byte == b'\n' || *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        if is_end {
            starts.push(at as u32 + 1);
        }
    }
    starts
}

struct Walk {
    facts: Facts,
    lines: Vec<u32>,
    bound: HashSet<String>,
    scope: ScopeId,
    path: Vec<Block>,
    time: u32,
    /// What becomes of the next expression.
    fate: Fate,
    /// Variables of comprehensions, which are nobody else's.
    hidden: Vec<HashSet<String>>,
}

impl Walk {
    fn line(&self, at: TextSize) -> u32 {
        let at = at.to_u32();
        self.lines.partition_point(|start| *start <= at) as u32
    }

    /// The first and the last line.
    fn span(&self, range: TextRange) -> (u32, u32) {
        let last = range.end().to_u32().saturating_sub(1).into();
        (self.line(range.start()), self.line(last))
    }

    fn tick(&mut self) -> u32 {
        self.time += 1;
        self.time
    }

    fn value(&mut self, expression: &Expr, fate: Fate) {
        self.fate = fate;
        self.visit_expr(expression);
    }

    fn event(&mut self, name: &str, at: TextRange, via: Vec<String>, what: What) {
        if self.hidden.iter().any(|names| names.contains(name)) {
            return;
        }
        let event = Event {
            scope: self.scope,
            time: self.tick(),
            line: self.line(at.start()),
            path: Rc::from(self.path.as_slice()),
            via,
            what,
        };
        let events = &mut self.facts.scopes[self.scope].events;
        events.entry(name.to_string()).or_default().push(event);
    }

    fn inside(&mut self, kind: BlockKind, range: TextRange, act: impl FnOnce(&mut Self)) {
        let (first_line, last_line) = self.span(range);
        let id = self.facts.blocks.len();
        let start = self.tick();
        self.facts.blocks.push(Extent {
            start,
            end: u32::MAX,
            first_line,
            last_line,
            is_loop: kind == BlockKind::Loop,
            is_reading: false,
        });
        self.path.push(Block { id, kind });
        act(self);
        self.path.pop();
        self.facts.blocks[id].end = self.tick();
    }

    fn body(&mut self, kind: BlockKind, body: &[Stmt]) {
        if let (Some(first), Some(last)) = (body.first(), body.last()) {
            let range = TextRange::new(first.start(), last.end());
            self.inside(kind, range, |walk| walk.visit_body(body));
        }
    }

    fn consumer(&mut self, what: &str, at: TextRange, keeps: bool) -> ConsumerId {
        let line = self.line(at.start());
        self.facts.consumers.push(Consumer {
            what: what.to_string(),
            line,
            keeps,
            is_unordered: false,
            targets: Vec::new(),
            end: u32::MAX,
            waits: false,
        });
        self.facts.consumers.len() - 1
    }

    fn consumed(&mut self, consumer: ConsumerId) {
        let end = self.tick();
        self.facts.consumers[consumer].end = end;
    }

    /// A builder whose expression has been walked.
    /// `first_call` is the first of its calls.
    fn build(
        &mut self,
        builder: Builder,
        expression: &Expr,
        fate: Fate,
        is_copy: bool,
        first_call: usize,
    ) -> BuildId {
        let mut reads = Reads::default();
        reads.visit_expr(expression);
        let (first_line, last_line) = self.span(expression.range());
        let build = Build {
            builder,
            scope: self.scope,
            path: Rc::from(self.path.as_slice()),
            first_line,
            last_line,
            calls: first_call..self.facts.named_calls.len(),
            end: self.tick(),
            fate,
            reads: reads.names,
            is_copy_of_container: is_copy,
            is_entangled: reads.is_entangled,
        };
        self.facts.builds.push(build);
        self.facts.builds.len() - 1
    }

    /// The name and the attributes that an expression like `a.b.c` is made of.
    fn chain<'a>(&self, expression: &'a Expr) -> Option<(&'a str, Vec<String>)> {
        match expression {
            Expr::Name(name) => Some((name.id.as_str(), Vec::new())),
            Expr::Attribute(attribute) => {
                let (root, mut via) = self.chain(&attribute.value)?;
                via.push(attribute.attr.to_string());
                Some((root, via))
            }
            _ => None,
        }
    }

    /// The full name of a function that is built in or imported.
    fn full_name(&self, function: &Expr) -> Option<String> {
        let (root, via) = self.chain(function)?;
        if self.bound.contains(root) || self.hidden.iter().any(|names| names.contains(root)) {
            return None;
        }
        let mut name = match self.facts.imports.get(root) {
            Some(imported) => imported.clone(),
            None if via.is_empty() || root == "dict" => root.to_string(),
            None => return None,
        };
        for each in via {
            name.push('.');
            name.push_str(&each);
        }
        Some(name)
    }

    /// Binds the names of a target.
    fn bind(&mut self, target: &Expr, bound: Bound) {
        match target {
            Expr::Name(name) => self.event(&name.id, target.range(), Vec::new(), What::Bind(bound)),
            Expr::Tuple(tuple) => tuple
                .elts
                .iter()
                .for_each(|each| self.bind_part(each, &bound)),
            Expr::List(list) => list
                .elts
                .iter()
                .for_each(|each| self.bind_part(each, &bound)),
            Expr::Starred(starred) => self.bind_part(&starred.value, &bound),
            Expr::Attribute(attribute) => {
                self.change(&attribute.value, target.range(), What::AttributeStore);
            }
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice, Fate::Read);
                self.change(&subscript.value, target.range(), What::ItemStore);
            }
            _ => {}
        }
    }

    fn bind_part(&mut self, target: &Expr, bound: &Bound) {
        let bound = match bound {
            Bound::Target => Bound::Target,
            _ => Bound::Other,
        };
        self.bind(target, bound);
    }

    fn change(&mut self, object: &Expr, at: TextRange, what: What) {
        match self.chain(object) {
            Some((root, via)) => self.event(root, at, via, what),
            // `a[0].b = c` changes something that `a` leads to.
            None => match object {
                Expr::Subscript(subscript) => {
                    self.value(&subscript.slice, Fate::Read);
                    self.change(&subscript.value, at, what);
                }
                Expr::Attribute(attribute) => self.change(&attribute.value, at, what),
                _ => self.value(object, Fate::Other),
            },
        }
    }

    fn assign(&mut self, target: &Expr, value: &Expr) {
        let Expr::Name(name) = target else {
            let first_call = self.facts.named_calls.len();
            self.value(value, Fate::Other);
            self.note_files(target, value, first_call);
            return self.bind(target, Bound::Other);
        };
        let before = self.facts.builds.len();
        let first_call = self.facts.named_calls.len();
        self.value(value, Fate::Bound(name.id.to_string()));
        self.note_files(target, value, first_call);
        let is_build = |build: &Build| build.fate == Fate::Bound(name.id.to_string());
        let bound = match value {
            Expr::List(list) => Bound::Display {
                is_empty_list: list.elts.is_empty(),
            },
            Expr::Call(call)
                if call.arguments.is_empty()
                    && self.full_name(&call.func).as_deref() == Some("list") =>
            {
                Bound::Display {
                    is_empty_list: true,
                }
            }
            Expr::Dict(_) | Expr::Set(_) => Bound::Display {
                is_empty_list: false,
            },
            Expr::Call(call)
                if self.full_name(&call.func).is_some_and(|name| {
                    matches!(
                        name.as_str(),
                        "dict"
                            | "set"
                            | "collections.defaultdict"
                            | "collections.OrderedDict"
                            | "collections.deque"
                            | "collections.Counter"
                    ) && !is_bounded(&name, call)
                }) =>
            {
                Bound::Display {
                    is_empty_list: false,
                }
            }
            _ => match self.facts.builds[before..].iter().rposition(is_build) {
                Some(at) => Bound::Build(before + at),
                None => Bound::Other,
            },
        };
        self.bind(target, bound);
    }

    fn function(
        &mut self,
        name: &str,
        parameters: Option<&Parameters>,
        first_line: u32,
        act: impl FnOnce(&mut Self),
    ) -> ScopeId {
        for parameter in parameters
            .into_iter()
            .flat_map(|all| all.iter_non_variadic_params())
        {
            if let Some(default) = &parameter.default {
                self.value(default, Fate::Other);
            }
        }
        let id = self.facts.scopes.len();
        self.facts
            .scopes
            .push(scope(name, Some(self.scope), first_line));
        let outer = std::mem::replace(&mut self.scope, id);
        let path = std::mem::take(&mut self.path);
        for parameter in parameters.into_iter().flat_map(|all| all.iter()) {
            let name = parameter.name();
            let what = What::Bind(Bound::Parameter);
            self.event(name, name.range(), Vec::new(), what);
            let names = &mut self.facts.scopes[id].parameters;
            names.push(name.to_string());
        }
        act(self);
        self.scope = outer;
        self.path = path;
        id
    }

    fn first_line(&self, decorators: &[ruff_python_ast::Decorator], at: TextSize) -> u32 {
        match decorators.first() {
            Some(first) => self.line(first.start()),
            None => self.line(at),
        }
    }

    fn defined(&mut self, name: &Identifier, scope: ScopeId) {
        let what = What::Bind(Bound::Definition(scope));
        self.event(name, name.range(), Vec::new(), what);
    }
}
