//! What is known of functions and methods by their names.

use ruff_python_ast::{Arguments, Expr};

use crate::events::{Act, Position};

/// What a known function does with an argument that can be iterated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Iterates over it, once, and forgets the items.
    Folds {
        /// In any order.
        is_unordered: bool,
    },
    /// Iterates over it, once, and keeps the items.
    Keeps,
    /// Hands the items on when it is iterated itself.
    Passes,
    /// Looks at it.
    Looks,
}

const FOLD: Role = Role::Folds { is_unordered: true };
const FOLD_IN_ORDER: Role = Role::Folds {
    is_unordered: false,
};

/// The role of an argument of a function, by its full name. `count` is the
/// number of positional arguments: `max(a, b)` compares its arguments.
///
/// `str.join` is not here: it makes a list of whatever it is given.
pub fn function(name: &str, position: &Position, count: usize) -> Option<Role> {
    let Position::Number(number) = position else {
        return is_pure(name).then_some(Role::Looks);
    };
    let role = match (name, number) {
        ("sum" | "any" | "all" | "math.fsum" | "math.prod", 0) => FOLD,
        ("min" | "max", 0) if count == 1 => FOLD,
        ("functools.reduce", 1) => FOLD_IN_ORDER,
        ("set" | "frozenset" | "sorted", 0) => Role::Keeps,
        ("collections.Counter" | "list" | "tuple" | "dict" | "dict.fromkeys", 0) => Role::Keeps,
        ("collections.deque" | "collections.OrderedDict" | "array.array", 0) => Role::Keeps,
        ("bytes" | "bytearray", 0) => Role::Looks,
        ("heapq.nlargest" | "heapq.nsmallest", 1) => FOLD,
        ("enumerate" | "iter" | "zip", _) => Role::Passes,
        ("map" | "filter", 1..) => Role::Passes,
        ("itertools.chain" | "itertools.chain.from_iterable" | "itertools.zip_longest", _) => {
            Role::Passes
        }
        ("itertools.islice" | "itertools.accumulate" | "itertools.groupby", 0) => Role::Passes,
        (
            "itertools.takewhile"
            | "itertools.dropwhile"
            | "itertools.filterfalse"
            | "itertools.starmap",
            1,
        ) => Role::Passes,
        _ if is_pure(name) => Role::Looks,
        _ => return None,
    };
    Some(role)
}

/// The role of an argument of a method, by the method's name alone.
pub fn method(name: &str, position: &Position) -> Option<Role> {
    let Position::Number(number) = position else {
        return None;
    };
    match (name, number) {
        ("writelines" | "writerows", 0) | ("executemany", 1) => Some(FOLD_IN_ORDER),
        ("extend" | "update" | "extendleft" | "union" | "intersection" | "difference", 0) => {
            Some(Role::Keeps)
        }
        ("issubset" | "isdisjoint", 0) => Some(FOLD),
        _ if is_pure_method(name) => Some(Role::Looks),
        _ => None,
    }
}

/// Functions that return an iterator, which nobody else can change.
pub fn is_lazy(name: &str) -> bool {
    matches!(
        name,
        "map" | "filter" | "zip" | "enumerate" | "range" | "reversed" | "iter" | "open"
    ) || name.starts_with("itertools.")
        || matches!(
            name,
            "csv.reader" | "csv.DictReader" | "re.finditer" | "os.scandir"
        )
}

/// Functions that neither keep nor change their arguments.
fn is_pure(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "abs",
        "ascii",
        "bin",
        "bool",
        "bytes",
        "chr",
        "complex",
        "divmod",
        "float",
        "format",
        "hash",
        "hex",
        "id",
        "int",
        "isinstance",
        "issubclass",
        "len",
        "max",
        "min",
        "oct",
        "ord",
        "pow",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "str",
        "sum",
        "any",
        "all",
        "sorted",
        "type",
        "sys.getsizeof",
        "sys.getrefcount",
        "slice",
        "callable",
    ];
    NAMES.contains(&name) || name.starts_with("math.") || name.starts_with("operator.")
}

/// Methods that change nothing, whatever they are called on.
pub fn is_pure_method(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "get",
        "keys",
        "values",
        "items",
        "index",
        "count",
        "copy",
        "startswith",
        "endswith",
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "casefold",
        "split",
        "rsplit",
        "splitlines",
        "partition",
        "rpartition",
        "join",
        "format",
        "encode",
        "decode",
        "replace",
        "find",
        "rfind",
        "isdigit",
        "isalpha",
        "isalnum",
        "isspace",
        "isupper",
        "islower",
        "zfill",
        "ljust",
        "rjust",
        "center",
        "hex",
        "as_integer_ratio",
        "bit_length",
        "total",
        "most_common",
        "isdisjoint",
        "issubset",
        "issuperset",
        "union",
        "intersection",
        "difference",
        "group",
        "groups",
        "groupdict",
        "span",
        "start",
        "end",
        "search",
        "match",
        "fullmatch",
        "finditer",
        "findall",
        "isoformat",
        "timestamp",
        "strftime",
        "exists",
        "is_file",
        "is_dir",
        "as_posix",
        "with_suffix",
        "to_bytes",
    ];
    NAMES.contains(&name)
}

/// Methods that take something out of a container, or everything.
pub fn is_removal(name: &str) -> bool {
    matches!(
        name,
        "pop"
            | "popitem"
            | "popleft"
            | "clear"
            | "remove"
            | "discard"
            | "move_to_end"
            | "difference_update"
            | "intersection_update"
            | "symmetric_difference_update"
    )
}

/// Methods that add to a container.
pub fn is_addition(name: &str) -> bool {
    matches!(
        name,
        "append" | "appendleft" | "extend" | "add" | "insert" | "update" | "setdefault"
    )
}

/// Functions and methods that start work which goes on by itself.
pub fn is_start(name: &str) -> bool {
    matches!(
        name,
        "submit"
            | "create_task"
            | "ensure_future"
            | "run_in_executor"
            | "run_coroutine_threadsafe"
            | "create_subprocess_exec"
            | "create_subprocess_shell"
            | "start_soon"
            | "start_new_thread"
            | "start"
            | "spawn"
            | "apply_async"
            | "map_async"
            | "starmap_async"
            | "delay"
            | "remote"
            | "to_thread"
            | "Thread"
            | "Timer"
            | "Process"
            | "Popen"
    )
}

/// Methods that wait for what was started. `get` and `join` with a value are
/// those of a dict and a string.
pub fn is_waiting(name: &str, arguments: &Arguments) -> bool {
    match name {
        "get" | "join" => arguments
            .args
            .first()
            .is_none_or(Expr::is_number_literal_expr),
        "result" | "wait" | "communicate" | "start" => true,
        _ => false,
    }
}

/// What a call may do. `name` is the last part of what is called.
pub fn act(name: &str, full_name: Option<&str>, arguments: &Arguments) -> Act {
    let count = arguments.args.len() + arguments.keywords.len();
    let is_built_in =
        full_name.is_some_and(|full| full.strip_prefix("builtins.").unwrap_or(full) == name);
    match name {
        "eval" | "exec" | "locals" | "globals" if is_built_in => Act::Peeks,
        "vars" | "dir" if is_built_in && count == 0 => Act::Peeks,
        "currentframe" | "_getframe" => Act::Peeks,
        "open" if opens_to_read(full_name, arguments) => Act::Reads,
        "open" | "write_text" | "write_bytes" | "truncate" | "ftruncate" | "rename" | "renames"
        | "unlink" | "remove" | "removedirs" | "rmdir" | "rmtree" | "move" | "copyfile"
        | "copy2" => Act::Writes,
        // Strings have a method of this name, which takes two arguments.
        "replace" if full_name.is_some() || count == 1 => Act::Writes,
        "copy" if full_name == Some("shutil.copy") => Act::Writes,
        "readlines" | "read" | "read_text" | "read_bytes" | "scandir" | "walk" | "iterdir"
        | "glob" | "iglob" | "rglob" => Act::Reads,
        _ if is_start(name) => Act::Starts,
        _ => Act::None,
    }
}

/// Does a call of some `open` open for reading only, as far as it says so itself?
fn opens_to_read(full_name: Option<&str>, arguments: &Arguments) -> bool {
    let (mode_at, is_known) = match full_name {
        Some("open" | "io.open" | "gzip.open" | "bz2.open" | "lzma.open" | "codecs.open") => {
            (1, true)
        }
        _ => (0, false),
    };
    let positional = arguments.args.get(mode_at);
    let keyword = arguments.find_keyword("mode").map(|each| &each.value);
    match positional.or(keyword) {
        None => is_known || arguments.args.is_empty(),
        Some(Expr::StringLiteral(mode)) => {
            let mode = mode.value.to_str();
            mode.starts_with('r') && mode.bytes().all(|each| b"rbtU".contains(&each))
        }
        Some(_) => false,
    }
}
