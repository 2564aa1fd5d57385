//! A small Lisp with closures and generators whose values, scopes and even
//! suspended computations are objects of wrasse's heap.
//!
//! A closure refers to the scope it was made in, and the scope to the closure:
//! every function is a cycle. A generator is a suspended computation: a chain of
//! frames that says what is left to do, kept in an object like any other.
//!
//! `cargo run --example lisp`

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use wrasse::{Gc, Trace, gc};

type Result<T> = std::result::Result<T, String>;
type Native = fn(&[Value]) -> Result<Value>;

#[derive(Trace, Clone)]
enum Value {
    Nil,
    Int(i64),
    Symbol(Rc<str>),
    Pair(Gc<(Value, Value)>),
    Closure(Gc<Closure>),
    Generator(Gc<Generator>),
    Native(#[trace(skip)] Native),
}

#[derive(Trace)]
struct Closure {
    parameters: Vec<Rc<str>>,
    body: Value,
    scope: Gc<Scope>,
}

#[derive(Trace, Default)]
struct Scope {
    variables: RefCell<HashMap<Rc<str>, Value>>,
    parent: Option<Gc<Scope>>,
}

/// A computation that gives out values one at a time.
#[derive(Trace)]
struct Generator {
    rest: RefCell<Rest>,
}

#[derive(Trace)]
enum Rest {
    Start(Gc<Closure>),
    Suspended(Gc<Frame>),
    Running,
    Done,
}

/// One thing that is left to do when a value is there, and what comes after it.
#[derive(Trace)]
struct Frame {
    then: Then,
    /// Changes only for the frame that a generator ends in: to where it was
    /// resumed from.
    next: RefCell<Option<Gc<Frame>>>,
}

#[derive(Trace)]
enum Then {
    If(Value, Value, Gc<Scope>),
    Define(Rc<str>, Gc<Scope>),
    /// Values of arguments that are there, and expressions of those to come.
    Call(Vec<Value>, Value, Gc<Scope>),
    Body(Value, Gc<Scope>),
    Leave(Gc<Generator>),
}

impl Scope {
    fn get(&self, name: &str) -> Option<Value> {
        let found = self.variables.borrow().get(name).cloned();
        found.or_else(|| self.parent.as_ref()?.get(name))
    }
}

/// The scope that a variable is in.
fn owner(scope: &Gc<Scope>, name: &str) -> Result<Gc<Scope>> {
    if scope.variables.borrow().contains_key(name) {
        return Ok(scope.clone());
    }
    let parent = scope.parent.as_ref();
    owner(
        parent.ok_or_else(|| format!("{name} is not defined"))?,
        name,
    )
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => write!(formatter, "()"),
            Self::Int(number) => write!(formatter, "{number}"),
            Self::Symbol(name) => write!(formatter, "{name}"),
            Self::Pair(pair) => {
                write!(formatter, "({}", pair.0)?;
                let mut rest = &pair.1;
                while let Self::Pair(pair) = rest {
                    write!(formatter, " {}", pair.0)?;
                    rest = &pair.1;
                }
                match rest {
                    Self::Nil => write!(formatter, ")"),
                    last => write!(formatter, " . {last})"),
                }
            }
            Self::Closure(_) | Self::Native(_) => write!(formatter, "#<function>"),
            Self::Generator(_) => write!(formatter, "#<generator>"),
        }
    }
}

fn cons(first: Value, rest: Value) -> Value {
    Value::Pair(Gc::new((first, rest)))
}

/// The first and the rest of a list.
fn split(list: &Value) -> Result<(Value, Value)> {
    match list {
        Value::Pair(pair) => Ok((pair.0.clone(), pair.1.clone())),
        other => Err(format!("not a pair: {other}")),
    }
}

fn second(list: &Value) -> Result<Value> {
    Ok(split(&split(list)?.1)?.0)
}

/// Reads one expression off the front of `text`.
fn read<'a>(text: &'a str, rest: &mut &'a str) -> Result<Value> {
    let text = text.trim_start();
    if let Some(mut inside) = text.strip_prefix('(') {
        let mut items = Vec::new();
        loop {
            inside = inside.trim_start();
            if let Some(after) = inside.strip_prefix(')') {
                *rest = after;
                return Ok(items
                    .into_iter()
                    .rfold(Value::Nil, |list, item| cons(item, list)));
            }
            items.push(read(inside, &mut inside)?);
        }
    }
    let end = text
        .find(|c: char| c.is_whitespace() || "()".contains(c))
        .unwrap_or(text.len());
    let (token, after) = text.split_at(end);
    *rest = after;
    match token.parse() {
        _ if token.is_empty() => Err("the text ends too early".into()),
        Ok(number) => Ok(Value::Int(number)),
        Err(_) => Ok(Value::Symbol(token.into())),
    }
}

/// What the machine does next: find a value, or hand one on.
enum Step {
    Evaluate(Value, Gc<Scope>),
    Return(Value),
}

/// The machine: no recursion, so that a computation can be left and taken up.
struct Machine {
    next: Option<Gc<Frame>>,
}

impl Machine {
    fn run(expression: Value, scope: &Gc<Scope>) -> Result<Value> {
        let mut machine = Self { next: None };
        let mut step = Step::Evaluate(expression, scope.clone());
        loop {
            step = match step {
                Step::Evaluate(expression, scope) => machine.evaluate(expression, scope)?,
                Step::Return(value) => match machine.next.take() {
                    Some(frame) => machine.take_up(frame, value)?,
                    None => return Ok(value),
                },
            };
        }
    }

    fn push(&mut self, then: Then) {
        let next = RefCell::new(self.next.take());
        self.next = Some(Gc::new(Frame { then, next }));
    }

    fn evaluate(&mut self, expression: Value, scope: Gc<Scope>) -> Result<Step> {
        let list = match expression {
            Value::Symbol(name) => {
                let value = scope
                    .get(&name)
                    .ok_or_else(|| format!("{name} is not defined"))?;
                return Ok(Step::Return(value));
            }
            Value::Pair(_) => expression,
            value => return Ok(Step::Return(value)),
        };
        let (head, rest) = split(&list)?;
        if let Value::Symbol(name) = &head {
            let head_name = &**name;
            match head_name {
                "quote" => return Ok(Step::Return(split(&rest)?.0)),
                "if" => {
                    let (condition, branches) = split(&rest)?;
                    let (yes, no) = split(&branches)?;
                    let no = split(&no).map_or(Value::Nil, |(no, _)| no);
                    self.push(Then::If(yes, no, scope.clone()));
                    return Ok(Step::Evaluate(condition, scope));
                }
                "define" | "set" => {
                    let (Value::Symbol(name), value) = (split(&rest)?.0, second(&rest)?) else {
                        return Err(format!("{head_name} needs a name"));
                    };
                    let owner = match head_name {
                        "set" => owner(&scope, &name)?,
                        _ => scope.clone(),
                    };
                    self.push(Then::Define(name, owner));
                    return Ok(Step::Evaluate(value, scope));
                }
                "lambda" => {
                    let (mut names, body) = split(&rest)?;
                    let mut parameters = Vec::new();
                    while let Ok((Value::Symbol(name), others)) = split(&names) {
                        parameters.push(name);
                        names = others;
                    }
                    let closure = Gc::new(Closure {
                        parameters,
                        body,
                        scope,
                    });
                    return Ok(Step::Return(Value::Closure(closure)));
                }
                "begin" => {
                    self.push(Then::Body(rest, scope));
                    return Ok(Step::Return(Value::Nil));
                }
                _ => {}
            }
        }
        self.push(Then::Call(Vec::new(), rest, scope.clone()));
        Ok(Step::Evaluate(head, scope))
    }

    fn take_up(&mut self, frame: Gc<Frame>, value: Value) -> Result<Step> {
        self.next = frame.next.borrow().clone();
        match &frame.then {
            Then::If(yes, no, scope) => {
                let branch = if matches!(value, Value::Nil) { no } else { yes };
                Ok(Step::Evaluate(branch.clone(), scope.clone()))
            }
            Then::Define(name, scope) => {
                scope.variables.borrow_mut().insert(Rc::clone(name), value);
                Ok(Step::Return(Value::Nil))
            }
            Then::Body(body, scope) => {
                let Ok((first, rest)) = split(body) else {
                    return Ok(Step::Return(value));
                };
                if !matches!(rest, Value::Nil) {
                    self.push(Then::Body(rest, scope.clone()));
                }
                Ok(Step::Evaluate(first, scope.clone()))
            }
            Then::Call(done, to_come, scope) => {
                let mut done = done.clone();
                done.push(value);
                match split(to_come) {
                    Ok((first, rest)) => {
                        self.push(Then::Call(done, rest, scope.clone()));
                        Ok(Step::Evaluate(first, scope.clone()))
                    }
                    Err(_) => self.call(&done),
                }
            }
            Then::Leave(generator) => {
                *generator.rest.borrow_mut() = Rest::Done;
                Ok(Step::Return(Value::Nil))
            }
        }
    }

    fn call(&mut self, call: &[Value]) -> Result<Step> {
        match (&call[0], &call[1..]) {
            (Value::Native(native), arguments) => native(arguments).map(Step::Return),
            (Value::Closure(closure), arguments) => {
                let variables = closure
                    .parameters
                    .iter()
                    .cloned()
                    .zip(arguments.iter().cloned());
                let scope = Gc::new(Scope {
                    variables: RefCell::new(variables.collect()),
                    parent: Some(closure.scope.clone()),
                });
                self.push(Then::Body(closure.body.clone(), scope));
                Ok(Step::Return(Value::Nil))
            }
            (Value::Symbol(name), [Value::Generator(generator)]) if &**name == "next" => {
                self.resume(generator)
            }
            (Value::Symbol(name), [value]) if &**name == "yield" => self.leave(value),
            (other, _) => Err(format!("not a function: {other}")),
        }
    }

    /// Goes on with a generator where it was left.
    fn resume(&mut self, generator: &Gc<Generator>) -> Result<Step> {
        let rest = generator.rest.replace(Rest::Running);
        match rest {
            Rest::Start(closure) => {
                self.push(Then::Leave(generator.clone()));
                self.call(&[Value::Closure(closure)])
            }
            Rest::Suspended(frames) => {
                let end = boundary(Some(frames.clone())).ok_or("a generator without an end")?;
                *end.next.borrow_mut() = self.next.replace(frames);
                Ok(Step::Return(Value::Nil))
            }
            Rest::Running => Err("the generator is running already".into()),
            Rest::Done => {
                *generator.rest.borrow_mut() = Rest::Done;
                Ok(Step::Return(Value::Nil))
            }
        }
    }

    /// Leaves the innermost generator with a value for who resumed it.
    fn leave(&mut self, value: &Value) -> Result<Step> {
        let frames = self.next.take().ok_or("yield outside a generator")?;
        let end = boundary(Some(frames.clone())).ok_or("yield outside a generator")?;
        let Then::Leave(generator) = &end.then else {
            return Err("not the end of a generator".into());
        };
        *generator.rest.borrow_mut() = Rest::Suspended(frames);
        self.next = end.next.take();
        Ok(Step::Return(value.clone()))
    }
}

/// The frame that a chain of frames leaves its generator with.
fn boundary(mut frame: Option<Gc<Frame>>) -> Option<Gc<Frame>> {
    while let Some(current) = frame {
        if matches!(current.then, Then::Leave(_)) {
            return Some(current);
        }
        frame = current.next.borrow().clone();
    }
    None
}

fn numbers(arguments: &[Value], combine: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => combine(*a, *b)
            .map(Value::Int)
            .ok_or_else(|| "the number is too large".into()),
        _ => Err("two numbers are needed".into()),
    }
}

fn global() -> Gc<Scope> {
    let natives: [(&str, Native); 7] = [
        ("+", |arguments| numbers(arguments, i64::checked_add)),
        ("-", |arguments| numbers(arguments, i64::checked_sub)),
        ("*", |arguments| numbers(arguments, i64::checked_mul)),
        ("<", |arguments| match arguments {
            [Value::Int(a), Value::Int(b)] if a < b => Ok(Value::Int(1)),
            _ => Ok(Value::Nil),
        }),
        ("cons", |arguments| match arguments {
            [first, rest] => Ok(cons(first.clone(), rest.clone())),
            _ => Err("cons needs two values".into()),
        }),
        ("car", |arguments| {
            arguments
                .first()
                .map_or(Err("nothing".into()), |list| Ok(split(list)?.0))
        }),
        ("generator", |arguments| match arguments {
            [Value::Closure(closure)] => {
                let rest = RefCell::new(Rest::Start(closure.clone()));
                Ok(Value::Generator(Gc::new(Generator { rest })))
            }
            _ => Err("a generator needs a function".into()),
        }),
    ];
    let scope = Gc::new(Scope::default());
    for (name, native) in natives {
        scope
            .variables
            .borrow_mut()
            .insert(name.into(), Value::Native(native));
    }
    for name in ["yield", "next"] {
        scope
            .variables
            .borrow_mut()
            .insert(name.into(), Value::Symbol(name.into()));
    }
    scope
}

fn run(program: &str) -> Result<Vec<String>> {
    let scope = global();
    let mut rest = program;
    let mut printed = Vec::new();
    while !rest.trim().is_empty() {
        let value = Machine::run(read(rest, &mut rest)?, &scope)?;
        if !matches!(value, Value::Nil) {
            printed.push(value.to_string());
        }
    }
    Ok(printed)
}

const PROGRAM: &str = "
    (define factorial (lambda (n) (if (< n 2) 1 (* n (factorial (- n 1))))))
    (factorial 20)

    (define counter (lambda (n) (lambda () (begin (set n (+ n 1)) n))))
    (define count (counter 10))
    (cons (count) (cons (count) (quote (from one closure))))

    (define numbers (lambda (from) (generator (lambda () (begin
        (define loop (lambda (n) (begin (yield n) (loop (+ n 1)))))
        (loop from))))))
    (define squares (lambda (source) (generator (lambda () (begin
        (define loop (lambda (n) (begin (yield (* n n)) (loop (next source)))))
        (loop (next source)))))))
    (define endless (squares (numbers 7)))
    (cons (next endless) (cons (next endless) (cons (next endless) (quote ()))))

    (define sum (lambda (source n total)
        (if (< n 1) total (sum source (- n 1) (+ total (next source))))))
    (sum (numbers 1) 100000 0)
";

fn main() {
    match run(PROGRAM) {
        Ok(printed) => {
            for line in &printed {
                println!("{line}");
            }
            assert_eq!(
                printed,
                [
                    "2432902008176640000",
                    "(11 12 from one closure)",
                    "(49 64 81)",
                    "5000050000"
                ]
            );
        }
        Err(error) => println!("error: {error}"),
    }
    // Functions, scopes and two generators that will never be resumed.
    let freed = gc::collect();
    let stats = gc::stats();
    let earlier: usize = stats.generations[..2].iter().map(|g| g.collected).sum();
    println!("collected: {earlier} objects while it ran, {freed} at the end");
    assert_eq!(gc::objects().len(), 0);
}
