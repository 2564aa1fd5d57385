//! From the syntax tree to facts.
//!
//! One walk, in the order of evaluation. Whoever looks at an expression first
//! says what becomes of its value ([`Fate`]); the walk carries that down.

use std::collections::HashSet;
use std::rc::Rc;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Arguments, CmpOp, Comprehension, ExceptHandler, Expr, ExprCall, Identifier, Parameters,
    Pattern, Stmt,
};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::Unreadable;
use crate::callee::{self, Role};
use crate::events::*;

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

/// All names that are bound anywhere but by imports: what a built-in function's
/// name means is only known if nobody gives it another meaning.
#[derive(Default)]
struct Names(HashSet<String>);

impl<'a> Visitor<'a> for Names {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => {
                self.0.insert(function.name.to_string());
            }
            Stmt::ClassDef(class) => {
                self.0.insert(class.name.to_string());
                // What is bound in a class does not hide what is built in.
                let mut inside = Self::default();
                for each in &class.body {
                    match each {
                        Stmt::FunctionDef(function) => inside.visit_body(&function.body),
                        _ => inside.visit_stmt(each),
                    }
                }
                self.0.extend(inside.0);
                return;
            }
            _ => {}
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Name(name) = expression
            && name.ctx.is_store()
        {
            self.0.insert(name.id.to_string());
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_parameter(&mut self, parameter: &'a ruff_python_ast::Parameter) {
        self.0.insert(parameter.name.to_string());
    }
}

/// What an expression reads, and whether it does more than compute.
#[derive(Default)]
struct Reads {
    names: HashSet<String>,
    is_entangled: bool,
}

impl<'a> Visitor<'a> for Reads {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) => {
                self.names.insert(name.id.to_string());
            }
            Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Named(_) => {
                self.is_entangled = true;
            }
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                let mut inside = Self::default();
                visitor::walk_expr(&mut inside, expression);
                let mut own = HashSet::new();
                for generator in generators(expression) {
                    self.is_entangled |= generator.is_async;
                    targets(&generator.target, &mut own);
                }
                self.is_entangled |= inside.is_entangled;
                self.names.extend(inside.names.difference(&own).cloned());
                return;
            }
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }
}

fn generators(expression: &Expr) -> &[Comprehension] {
    match expression {
        Expr::ListComp(each) => &each.generators,
        Expr::SetComp(each) => &each.generators,
        Expr::DictComp(each) => &each.generators,
        Expr::Generator(each) => &each.generators,
        _ => &[],
    }
}

/// The names that a target binds.
fn targets(target: &Expr, names: &mut HashSet<String>) {
    match target {
        Expr::Name(name) => {
            names.insert(name.id.to_string());
        }
        Expr::Tuple(tuple) => tuple.elts.iter().for_each(|each| targets(each, names)),
        Expr::List(list) => list.elts.iter().for_each(|each| targets(each, names)),
        Expr::Starred(starred) => targets(&starred.value, names),
        _ => {}
    }
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
        });
        self.facts.consumers.len() - 1
    }

    fn consumed(&mut self, consumer: ConsumerId) {
        let end = self.tick();
        self.facts.consumers[consumer].end = end;
    }

    /// A builder whose expression has been walked.
    fn build(&mut self, builder: Builder, expression: &Expr, fate: Fate, is_copy: bool) -> BuildId {
        let mut reads = Reads::default();
        reads.visit_expr(expression);
        let (first_line, last_line) = self.span(expression.range());
        let build = Build {
            builder,
            scope: self.scope,
            path: Rc::from(self.path.as_slice()),
            first_line,
            last_line,
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
            self.value(value, Fate::Other);
            return self.bind(target, Bound::Other);
        };
        let before = self.facts.builds.len();
        self.value(value, Fate::Bound(name.id.to_string()));
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
                    )
                }) && bounded(call).is_none() =>
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

    fn comprehension(&mut self, expression: &Expr, fate: &Fate, is_list: bool) {
        let all = generators(expression);
        let Some(first) = all.first() else { return };
        let is_identity = match expression {
            Expr::ListComp(list) => {
                matches!((&*list.elt, &first.target), (Expr::Name(item), Expr::Name(target)) if item.id == target.id)
            }
            _ => false,
        };
        // A generator expression iterates when it is iterated itself.
        let first_fate = match fate {
            _ if first.is_async => Fate::Other,
            Fate::Iterated(_) if !is_list => fate.clone(),
            _ if is_list => {
                let consumer = self.consumer("comprehension", first.iter.range(), is_identity);
                Fate::Iterated(consumer)
            }
            _ => Fate::Other,
        };
        let own = match first_fate {
            Fate::Iterated(consumer) if is_list => Some(consumer),
            _ => None,
        };
        self.value(&first.iter, first_fate);
        let mut names = HashSet::new();
        all.iter()
            .for_each(|each| targets(&each.target, &mut names));
        self.hidden.push(names);
        self.inside(BlockKind::Loop, expression.range(), |walk| {
            for (at, generator) in all.iter().enumerate() {
                if at > 0 {
                    let consumer = walk.consumer("comprehension", generator.iter.range(), false);
                    walk.value(&generator.iter, Fate::Iterated(consumer));
                    walk.consumed(consumer);
                }
                generator
                    .ifs
                    .iter()
                    .for_each(|test| walk.value(test, Fate::Read));
            }
            match expression {
                Expr::ListComp(each) => walk.value(&each.elt, Fate::Other),
                Expr::SetComp(each) => walk.value(&each.elt, Fate::Other),
                Expr::Generator(each) => walk.value(&each.elt, Fate::Other),
                Expr::DictComp(each) => {
                    walk.value(&each.key, Fate::Other);
                    walk.value(&each.value, Fate::Other);
                }
                _ => {}
            }
        });
        self.hidden.pop();
        if let Some(consumer) = own {
            self.consumed(consumer);
        }
        if matches!(expression, Expr::ListComp(_)) {
            let is_copy = is_identity && !self.is_lazy(&first.iter);
            self.build(Builder::Comprehension, expression, fate.clone(), is_copy);
        }
    }

    /// Does an expression give an iterator that nobody else can change?
    fn is_lazy(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Generator(_) | Expr::ListComp(_) => true,
            Expr::Call(call) => self
                .full_name(&call.func)
                .is_some_and(|name| callee::is_lazy(&name)),
            _ => false,
        }
    }

    fn call(&mut self, expression: &Expr, call: &ExprCall, fate: Fate) {
        let full_name = self.full_name(&call.func);
        let arguments = &call.arguments;
        if matches!(full_name.as_deref(), Some("setattr" | "delattr" | "vars")) {
            self.facts.is_dynamic = true;
        }
        if let Some(name) = full_name.as_deref()
            && matches!(name, "list" | "tuple" | "sorted")
            && arguments.args.len() == 1
            && !arguments.args[0].is_starred_expr()
        {
            let source = &arguments.args[0];
            let consumer = self.consumer(&format!("{name}()"), expression.range(), true);
            self.value(source, Fate::Iterated(consumer));
            self.keywords(arguments);
            self.consumed(consumer);
            let is_copy = !self.is_lazy(source);
            self.build(Builder::Copy(name.to_string()), expression, fate, is_copy);
            return;
        }
        let site = self.facts.calls.len();
        self.reserve_call_site(call);
        let mut method = None;
        match &*call.func {
            Expr::Name(_) if full_name.is_some() => {}
            Expr::Attribute(_) if full_name.is_some() => {
                self.value(&call.func, Fate::Read);
            }
            Expr::Attribute(attribute) => {
                method = Some(attribute.attr.as_str());
                let name = attribute.attr.to_string();
                match self.chain(&attribute.value) {
                    Some((root, via)) => {
                        self.event(root, call.func.range(), via, What::Method(name));
                    }
                    None => self.receiver(&attribute.value),
                }
            }
            Expr::Name(name) => {
                self.event(&name.id, call.func.range(), Vec::new(), What::Call(site));
            }
            function => self.value(function, Fate::Other),
        }
        let mut consumers = Vec::new();
        for (number, argument) in arguments.args.iter().enumerate() {
            let position = Position::Number(number);
            let role = match (&full_name, method) {
                (Some(name), _) => callee::function(name, &position, arguments.args.len()),
                (None, Some(method)) => callee::method(method, &position),
                (None, None) => None,
            };
            let what = match (&full_name, method) {
                (Some(name), _) => format!("{name}()"),
                (None, Some(method)) => format!(".{method}()"),
                (None, None) => String::new(),
            };
            let argument_fate = match role {
                _ if argument.is_starred_expr() => Fate::Given,
                Some(Role::Looks) => Fate::Read,
                Some(Role::Passes) => match &fate {
                    Fate::Iterated(consumer) => Fate::Iterated(*consumer),
                    _ => Fate::Given,
                },
                Some(role) => {
                    let keeps = role == Role::Keeps;
                    let consumer = self.consumer(&what, expression.range(), keeps);
                    self.facts.consumers[consumer].is_unordered =
                        role == Role::Folds { is_unordered: true };
                    consumers.push(consumer);
                    Fate::Iterated(consumer)
                }
                None => self.given(call, &full_name, position),
            };
            self.value(argument, argument_fate);
        }
        for keyword in &arguments.keywords {
            let fate = match &keyword.arg {
                Some(name) if full_name.is_none() => {
                    self.given(call, &full_name, Position::Keyword(name.to_string()))
                }
                _ => Fate::Given,
            };
            self.value(&keyword.value, fate);
        }
        for consumer in consumers {
            self.consumed(consumer);
        }
        let is_lines = match (&*call.func, arguments.args.len()) {
            (Expr::Attribute(attribute), 0) if attribute.attr.as_str() == "readlines" => true,
            (Expr::Attribute(attribute), _) => {
                matches!(attribute.attr.as_str(), "splitlines" | "split")
                    && is_read(&attribute.value)
                    && splits_lines(&attribute.attr, arguments)
            }
            _ => false,
        };
        if is_lines {
            self.build(Builder::Lines, expression, fate, false);
            return;
        }
        let known = |name: &str| {
            callee::function(name, &Position::Number(0), 1).is_some() || callee::is_lazy(name)
        };
        let is_known = match (&full_name, method) {
            (Some(name), _) => known(name),
            (None, Some(method)) => callee::is_pure_method(method),
            (None, None) => false,
        };
        if !is_known {
            let moment = (self.scope, self.time);
            self.facts.unknown_calls.push(moment);
        }
        let mut reads = Reads::default();
        reads.visit_expr(expression);
        let end = self.tick();
        if let Some(site) = self.facts.calls.get_mut(site) {
            site.end = end;
            site.fate = fate;
            site.reads = reads.names;
        }
    }

    fn given(&self, call: &ExprCall, full_name: &Option<String>, position: Position) -> Fate {
        match (&*call.func, full_name) {
            (_, Some(_)) => Fate::Given,
            (Expr::Name(name), None) => Fate::Argument(name.id.to_string(), position),
            (Expr::Attribute(attribute), None) => {
                Fate::Argument(format!(".{}", attribute.attr), position)
            }
            _ => Fate::Given,
        }
    }

    /// What a method is called on, if that is no name.
    fn receiver(&mut self, object: &Expr) {
        // `open(…).readlines()`: nothing else has the file.
        self.value(object, Fate::Given);
    }

    /// A place for what is known of a call, before its arguments' calls have theirs.
    fn reserve_call_site(&mut self, call: &ExprCall) {
        let number = self.facts.calls.len();
        if let Expr::Attribute(attribute) = &*call.func {
            let calls = self.facts.method_calls.entry(attribute.attr.to_string());
            calls.or_default().push(number);
        }
        self.facts.calls.push(CallSite {
            scope: self.scope,
            path: Rc::from(self.path.as_slice()),
            end: u32::MAX,
            fate: Fate::Other,
            reads: HashSet::new(),
        });
    }

    fn keywords(&mut self, arguments: &Arguments) {
        for keyword in &arguments.keywords {
            self.value(&keyword.value, Fate::Given);
        }
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

/// The `maxlen` of a deque.
fn bounded(call: &ExprCall) -> Option<&Expr> {
    let keyword = call.arguments.find_keyword("maxlen");
    keyword.map(|keyword| &keyword.value)
}

fn is_read(expression: &Expr) -> bool {
    match expression {
        Expr::Call(call) => {
            call.arguments.is_empty()
                && matches!(&*call.func, Expr::Attribute(attribute)
                    if matches!(attribute.attr.as_str(), "read" | "read_text"))
        }
        _ => false,
    }
}

fn splits_lines(method: &str, arguments: &Arguments) -> bool {
    match (method, arguments.args.first()) {
        ("splitlines", _) => true,
        (_, Some(Expr::StringLiteral(text))) => text.value.to_str() == "\n",
        _ => false,
    }
}

impl<'a> Visitor<'a> for Walk {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        self.fate = Fate::Other;
        match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [target] => self.assign(target, &assign.value),
                all => {
                    self.value(&assign.value, Fate::Other);
                    all.iter()
                        .for_each(|target| self.bind(target, Bound::Other));
                }
            },
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.assign(&assign.target, value);
                }
            }
            Stmt::AugAssign(assign) => {
                self.value(&assign.value, Fate::Other);
                match &*assign.target {
                    Expr::Name(name) => {
                        self.event(&name.id, assign.range, Vec::new(), What::Augment);
                    }
                    target => self.bind(target, Bound::Other),
                }
            }
            Stmt::For(each) => {
                let consumer = self.consumer("for", each.range, false);
                let mut names = HashSet::new();
                targets(&each.target, &mut names);
                self.facts.consumers[consumer].targets = names.into_iter().collect();
                let fate = match each.is_async {
                    true => Fate::Other,
                    false => Fate::Iterated(consumer),
                };
                self.value(&each.iter, fate);
                let end = each.body.last().map_or(each.end(), |last| last.end());
                let range = TextRange::new(each.start(), end);
                self.inside(BlockKind::Loop, range, |walk| {
                    walk.bind(&each.target, Bound::Target);
                    walk.visit_body(&each.body);
                });
                self.consumed(consumer);
                self.body(BlockKind::Branch, &each.orelse);
            }
            Stmt::While(each) => {
                let end = each.body.last().map_or(each.end(), |last| last.end());
                let range = TextRange::new(each.start(), end);
                self.inside(BlockKind::Loop, range, |walk| {
                    walk.value(&each.test, Fate::Read);
                    walk.visit_body(&each.body);
                });
                self.body(BlockKind::Branch, &each.orelse);
            }
            Stmt::If(each) => {
                self.value(&each.test, Fate::Read);
                self.body(BlockKind::Branch, &each.body);
                for clause in &each.elif_else_clauses {
                    if let Some(test) = &clause.test {
                        self.value(test, Fate::Read);
                    }
                    self.body(BlockKind::Branch, &clause.body);
                }
            }
            Stmt::With(with) => {
                for item in &with.items {
                    self.value(&item.context_expr, Fate::Given);
                }
                self.inside(BlockKind::With, with.range, |walk| {
                    for item in &with.items {
                        if let Some(target) = &item.optional_vars {
                            walk.bind(target, Bound::Other);
                        }
                    }
                    walk.visit_body(&with.body);
                });
            }
            Stmt::Try(each) => {
                self.body(BlockKind::Branch, &each.body);
                for handler in &each.handlers {
                    let ExceptHandler::ExceptHandler(handler) = handler;
                    if let Some(kind) = &handler.type_ {
                        self.value(kind, Fate::Read);
                    }
                    if let Some(name) = &handler.name {
                        let what = What::Bind(Bound::Other);
                        self.event(name, name.range(), Vec::new(), what);
                    }
                    self.body(BlockKind::Branch, &handler.body);
                }
                self.body(BlockKind::Branch, &each.orelse);
                self.body(BlockKind::Branch, &each.finalbody);
            }
            Stmt::Match(each) => {
                self.value(&each.subject, Fate::Other);
                for case in &each.cases {
                    self.visit_pattern(&case.pattern);
                    if let Some(guard) = &case.guard {
                        self.value(guard, Fate::Read);
                    }
                    self.body(BlockKind::Branch, &case.body);
                }
            }
            Stmt::FunctionDef(function) => {
                for decorator in &function.decorator_list {
                    self.value(&decorator.expression, Fate::Other);
                }
                let first_line = self.first_line(&function.decorator_list, function.start());
                let parameters = Some(&*function.parameters);
                let id = self.function(&function.name, parameters, first_line, |walk| {
                    walk.visit_body(&function.body);
                });
                let scope = &mut self.facts.scopes[id];
                scope.is_decorated = !function.decorator_list.is_empty();
                scope.is_async = function.is_async;
                self.defined(&function.name, id);
            }
            Stmt::ClassDef(class) => {
                for decorator in &class.decorator_list {
                    self.value(&decorator.expression, Fate::Other);
                }
                if let Some(arguments) = &class.arguments {
                    for base in &arguments.args {
                        self.value(base, Fate::Other);
                    }
                    self.keywords(arguments);
                }
                let first_line = self.first_line(&class.decorator_list, class.start());
                let id = self.function(&class.name, None, first_line, |walk| {
                    let id = walk.scope;
                    walk.facts.scopes[id].is_class = true;
                    walk.visit_body(&class.body);
                });
                self.facts.scopes[id].is_decorated = !class.decorator_list.is_empty();
                self.defined(&class.name, id);
            }
            Stmt::Return(each) => {
                if let Some(value) = &each.value {
                    self.facts.scopes[self.scope].returns += 1;
                    self.value(value, Fate::Returned);
                }
            }
            Stmt::Delete(each) => {
                for target in &each.targets {
                    match target {
                        Expr::Name(name) => {
                            self.event(&name.id, target.range(), Vec::new(), What::Delete);
                        }
                        Expr::Subscript(subscript) => {
                            self.value(&subscript.slice, Fate::Read);
                            self.change(&subscript.value, target.range(), What::ItemDelete);
                        }
                        Expr::Attribute(attribute) => {
                            self.change(&attribute.value, target.range(), What::AttributeStore);
                        }
                        _ => {}
                    }
                }
            }
            Stmt::Global(each) => {
                let names = each.names.iter().map(|name| name.to_string());
                self.facts.scopes[self.scope].outer.extend(names);
            }
            Stmt::Nonlocal(each) => {
                let names = each.names.iter().map(|name| name.to_string());
                self.facts.scopes[self.scope].outer.extend(names);
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let full = alias.name.as_str();
                    let (name, meaning) = match &alias.asname {
                        Some(name) => (name.as_str(), full),
                        None => {
                            let first = full.split('.').next().unwrap_or(full);
                            (first, first)
                        }
                    };
                    let entry = (name.to_string(), meaning.to_string());
                    self.facts.imports.extend([entry]);
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |name| name.as_str());
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    let full = format!("{module}.{}", alias.name);
                    self.facts.imports.insert(name.to_string(), full);
                }
            }
            Stmt::Expr(each) => self.value(&each.value, Fate::Read),
            Stmt::Assert(each) => {
                self.value(&each.test, Fate::Read);
                if let Some(message) = &each.msg {
                    self.value(message, Fate::Read);
                }
            }
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        let fate = std::mem::replace(&mut self.fate, Fate::Other);
        match expression {
            Expr::Name(name) => {
                if name.ctx.is_load() {
                    self.event(&name.id, name.range, Vec::new(), What::Load(fate));
                }
            }
            Expr::Attribute(attribute) => {
                self.facts
                    .loose_attributes
                    .insert(attribute.attr.to_string());
                match self.chain(&attribute.value) {
                    Some((root, mut via)) => {
                        let what = match fate {
                            Fate::Given | Fate::Argument(..) => {
                                via.push(attribute.attr.to_string());
                                What::Load(fate)
                            }
                            _ => What::AttributeLoad,
                        };
                        self.event(root, attribute.range, via, what);
                    }
                    None => self.value(&attribute.value, Fate::Other),
                }
            }
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice, Fate::Read);
                match self.chain(&subscript.value) {
                    Some((root, via)) => self.event(root, subscript.range, via, What::ItemLoad),
                    None => self.value(&subscript.value, Fate::Other),
                }
            }
            Expr::Call(call) => self.call(expression, call, fate),
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) => {
                self.comprehension(expression, &fate, true);
            }
            Expr::Generator(_) => self.comprehension(expression, &fate, false),
            Expr::Lambda(lambda) => {
                let first_line = self.line(lambda.start());
                let parameters = lambda.parameters.as_deref();
                self.function("<lambda>", parameters, first_line, |walk| {
                    walk.value(&lambda.body, Fate::Other);
                });
            }
            Expr::If(each) => {
                self.value(&each.test, Fate::Read);
                self.inside(BlockKind::Branch, each.body.range(), |walk| {
                    walk.value(&each.body, Fate::Other);
                });
                self.inside(BlockKind::Branch, each.orelse.range(), |walk| {
                    walk.value(&each.orelse, Fate::Other);
                });
            }
            Expr::BoolOp(each) => {
                let mut values = each.values.iter();
                if let Some(first) = values.next() {
                    self.value(first, Fate::Other);
                }
                for value in values {
                    self.inside(BlockKind::Branch, value.range(), |walk| {
                        walk.value(value, Fate::Other);
                    });
                }
            }
            Expr::UnaryOp(each) => self.value(&each.operand, Fate::Read),
            Expr::BinOp(each) => {
                self.value(&each.left, Fate::Read);
                self.value(&each.right, Fate::Read);
            }
            Expr::Compare(each) => {
                self.value(&each.left, Fate::Read);
                for (operator, right) in each.ops.iter().zip(&each.comparators) {
                    match operator {
                        CmpOp::In | CmpOp::NotIn => {
                            let consumer = self.consumer("in", each.range, false);
                            self.value(right, Fate::Iterated(consumer));
                            self.consumed(consumer);
                        }
                        _ => self.value(right, Fate::Read),
                    }
                }
            }
            Expr::Named(named) => {
                self.value(&named.value, Fate::Other);
                self.bind(&named.target, Bound::Other);
            }
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                self.facts.scopes[self.scope].is_generator = true;
                match expression {
                    Expr::YieldFrom(each) => {
                        let consumer = self.consumer("yield from", each.range, false);
                        self.value(&each.value, Fate::Iterated(consumer));
                        self.consumed(consumer);
                    }
                    _ => visitor::walk_expr(self, expression),
                }
            }
            _ => visitor::walk_expr(self, expression),
        }
        self.fate = Fate::Other;
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let bound = match pattern {
            Pattern::MatchAs(each) => each.name.as_ref(),
            Pattern::MatchStar(each) => each.name.as_ref(),
            Pattern::MatchMapping(each) => each.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = bound {
            let what = What::Bind(Bound::Other);
            self.event(name, name.range(), Vec::new(), what);
        }
        visitor::walk_pattern(self, pattern);
    }
}
