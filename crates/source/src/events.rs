//! Facts: scopes, and what happens to each name in them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

/// The number of a scope; 0 is the module.
pub type ScopeId = usize;
/// The number of a builder.
pub type BuildId = usize;
/// The number of a consumer.
pub type ConsumerId = usize;

/// How a list (or another collection) is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builder {
    /// A list comprehension.
    Comprehension,
    /// `list(…)`, `tuple(…)`, `sorted(…)`: the function's name.
    Copy(String),
    /// All lines of a file: `readlines()`, `read().splitlines()`.
    Lines,
    /// An empty list, and `append` in a loop.
    Append,
}

/// What iterates over a list, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// In words: `sum()`, `for`.
    pub what: String,
    /// Its line.
    pub line: u32,
    /// It keeps the items: only the list itself would be saved.
    pub keeps: bool,
    /// The order of items does not matter to it.
    pub is_unordered: bool,
    /// The variables of a `for`.
    pub targets: Vec<String>,
    /// When it is done.
    pub end: u32,
    /// It waits for its items, which are at work since they were made.
    pub waits: bool,
}

/// A part of a function that is run once, never, or often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Over and over.
    Loop,
    /// Perhaps.
    Branch,
    /// Once.
    With,
}

/// One such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number, an index of [`Facts::blocks`].
    pub id: usize,
    /// Of what kind.
    pub kind: BlockKind,
}

/// When and where a block is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// The first moment.
    pub start: u32,
    /// The moment after the last.
    pub end: u32,
    /// The first line.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
    /// It is run over and over.
    pub is_loop: bool,
    /// It is a `with` whose files are open for reading, and that does nothing else.
    pub is_reading: bool,
}

/// The blocks that something is in, outermost first.
pub type Path = Rc<[Block]>;

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is iterated over, once.
    Iterated(ConsumerId),
    /// It is bound to a name, and to nothing else.
    Bound(String),
    /// The function returns it.
    Returned,
    /// It is an argument of a function of this name: which, or its keyword.
    Argument(String, Position),
    /// It is an argument of something else, which may keep or change it.
    Given,
    /// Its length or its truth is asked for, and nothing else.
    Measured,
    /// It is looked at: printed, compared, computed with.
    Read,
    /// Anything else.
    Other,
}

/// Which argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The n-th.
    Number(usize),
    /// By name.
    Keyword(String),
}

/// What a name is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What a builder made.
    Build(BuildId),
    /// A list, dict or set without items, or with literal ones.
    Display {
        /// It is a list and empty.
        is_empty_list: bool,
    },
    /// A parameter.
    Parameter,
    /// The variable of a `for`.
    Target,
    /// A function or class.
    Definition(ScopeId),
    /// Anything else.
    Other,
}

/// What is done to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is bound.
    Bind(Bound),
    /// `x += …`.
    Augment,
    /// `del x`.
    Delete,
    /// Its value is used.
    Load(Fate),
    /// It is called.
    Call(usize),
    /// A method of it is called.
    Method(String),
    /// `x[…]` is read.
    ItemLoad {
        /// `x[-1]`, `x[-5:]`: one of the last, as far as is seen.
        is_recent: bool,
    },
    /// `x[…] = …`.
    ItemStore,
    /// `del x[…]`.
    ItemDelete,
    /// `x.a` is read: the attribute, and what becomes of its value.
    AttributeLoad(String, Fate),
    /// `x.a = …`.
    AttributeStore,
}

impl What {
    /// Might the object that the name stands for change, or the name stand for
    /// another one?
    pub fn may_change(&self) -> bool {
        match self {
            Self::Bind(_)
            | Self::Augment
            | Self::Delete
            | Self::ItemStore
            | Self::ItemDelete
            | Self::AttributeStore => true,
            Self::Method(name) => !crate::callee::is_pure_method(name),
            Self::Load(fate) => matches!(fate, Fate::Given | Fate::Argument(..)),
            Self::Call(_) | Self::ItemLoad { .. } | Self::AttributeLoad(..) => false,
        }
    }
}

/// Something that is done to a name.
#[derive(Clone, Debug)]
pub struct Event {
    /// In which scope this is written.
    pub scope: ScopeId,
    /// When: moments are counted in the order of evaluation.
    pub time: u32,
    /// The line.
    pub line: u32,
    /// In which blocks.
    pub path: Path,
    /// The attributes between the name and what is done: `self.x.append()` is
    /// `append` done to `self` by way of `x`.
    pub via: Vec<String>,
    /// What.
    pub what: What,
}

/// A builder of a list, as an expression.
#[derive(Clone, Debug)]
pub struct Build {
    /// How.
    pub builder: Builder,
    /// Where.
    pub scope: ScopeId,
    /// In which blocks.
    pub path: Path,
    /// Its first line.
    pub first_line: u32,
    /// Its last line.
    pub last_line: u32,
    /// Its calls, indices of [`Facts::named_calls`].
    pub calls: Range<usize>,
    /// When it is done.
    pub end: u32,
    /// What becomes of the list.
    pub fate: Fate,
    /// The names that it reads.
    pub reads: HashSet<String>,
    /// Its items are those of a container that stays.
    pub is_copy_of_container: bool,
    /// It awaits, yields or binds a name on the way.
    pub is_entangled: bool,
}

/// A call of a function of this module.
#[derive(Clone, Debug)]
pub struct CallSite {
    /// Where.
    pub scope: ScopeId,
    /// In which blocks.
    pub path: Path,
    /// When it has returned.
    pub end: u32,
    /// What becomes of what it returns.
    pub fate: Fate,
    /// The names that stand in the call.
    pub reads: HashSet<String>,
}

/// What a call may do besides computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing that is known by its name.
    None,
    /// It starts work that goes on by itself.
    Starts,
    /// It waits for such work to end, or starts it.
    Waits,
    /// It reads files or directories, perhaps piece by piece.
    Reads,
    /// It may change files or directories.
    Writes,
    /// It may look at variables by names that it computes.
    Peeks,
}

/// A call, or a function that is handed to one.
#[derive(Clone, Debug)]
pub struct NamedCall {
    /// Where.
    pub scope: ScopeId,
    /// Not before this moment.
    pub time: u32,
    /// The function's name without what stands before the last dot.
    pub name: String,
    /// The variable whose method it is.
    pub root: Option<String>,
    /// What it may do.
    pub act: Act,
}

/// A module, function or class.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name; empty for the module.
    pub name: String,
    /// What it is written in.
    pub parent: Option<ScopeId>,
    /// It is a class.
    pub is_class: bool,
    /// It has decorators.
    pub is_decorated: bool,
    /// It yields.
    pub is_generator: bool,
    /// It is a coroutine.
    pub is_async: bool,
    /// The line its code begins at: that of the first decorator, or of `def`.
    pub first_line: u32,
    /// Its parameters, in order.
    pub parameters: Vec<String>,
    /// `global` and `nonlocal` names.
    pub outer: HashSet<String>,
    /// `return` with a value: what becomes of it is the caller's.
    pub returns: usize,
    /// What is done to names.
    pub events: HashMap<String, Vec<Event>>,
}

/// All that is known of a module.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Its builders.
    pub builds: Vec<Build>,
    /// Its consumers.
    pub consumers: Vec<Consumer>,
    /// Its blocks.
    pub blocks: Vec<Extent>,
    /// Its calls of functions by a name.
    pub calls: Vec<CallSite>,
    /// Calls of methods by the method's name, whatever they are called on.
    pub method_calls: HashMap<String, Vec<usize>>,
    /// Attributes that are read without being called.
    pub loose_attributes: HashSet<String>,
    /// What is imported, by the name it has here.
    pub imports: HashMap<String, String>,
    /// It calls `setattr`, `vars` and the like.
    pub is_dynamic: bool,
    /// Moments at which something is called that may do anything.
    pub unknown_calls: Vec<(ScopeId, u32)>,
    /// All calls, in order.
    pub named_calls: Vec<NamedCall>,
    /// Variables that are made from files, by their names alone.
    pub file_names: HashSet<String>,
}

impl Facts {
    /// Does a call start something, or wait for it, as its name says? `start` is a
    /// method of what a pattern has matched, too.
    pub fn is_at_work(&self, call: &NamedCall) -> bool {
        let of_match = |other: &NamedCall| {
            other.scope == call.scope
                && other.root == call.root
                && matches!(
                    other.name.as_str(),
                    "group" | "groups" | "groupdict" | "span" | "end"
                )
        };
        let is_match = || call.root.is_some() && self.named_calls.iter().any(of_match);
        match call.act {
            Act::Starts | Act::Waits => call.name != "start" || !is_match(),
            _ => false,
        }
    }

    /// Is `name` a variable of this very scope?
    pub fn is_own(&self, scope: ScopeId, name: &str) -> bool {
        let scope = &self.scopes[scope];
        !scope.outer.contains(name)
            && scope.events.get(name).is_some_and(|events| {
                events.iter().any(|event| {
                    event.via.is_empty()
                        && matches!(event.what, What::Bind(_) | What::Augment | What::Delete)
                })
            })
    }

    /// The scope whose variable `name` is where it is written in `scope`.
    pub fn owner(&self, scope: ScopeId, name: &str) -> ScopeId {
        let mut at = scope;
        while at != 0 {
            if (at == scope || !self.scopes[at].is_class) && self.is_own(at, name) {
                return at;
            }
            at = self.scopes[at].parent.unwrap_or(0);
        }
        0
    }

    /// All that is done to a variable of `owner`, in whatever scope.
    pub fn events_of(&self, owner: ScopeId, name: &str) -> Vec<&Event> {
        let mut found = Vec::new();
        for (id, scope) in self.scopes.iter().enumerate() {
            if let Some(events) = scope.events.get(name)
                && self.owner(id, name) == owner
            {
                found.extend(events);
            }
        }
        found
    }
}
