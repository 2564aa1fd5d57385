//! Programs that would do something else if a list were not built first.

use std::collections::HashSet;

use wrasse_source::Module;

fn count(source: &str) -> usize {
    let module = Module::read(source).unwrap();
    module.single_passes(&HashSet::new()).len()
}

/// The program is innocent; with `from` replaced by `to` it would not be.
fn innocent_but_for(source: &str, from: &str, to: &str) {
    assert_eq!(count(source), 0, "in\n{source}");
    let other = source.replace(from, to);
    assert_ne!(other, source);
    assert_eq!(count(&other), 1, "in\n{other}");
}

#[test]
fn work_that_is_started_runs_at_once() {
    for start in [
        "pool.submit(work, x)",
        "asyncio.create_task(work(x))",
        "asyncio.ensure_future(work(x))",
        "loop.run_in_executor(None, work, x)",
        "asyncio.run_coroutine_threadsafe(work(x), loop)",
        "nursery.start_soon(work, x)",
        "pool.apply_async(work, (x,))",
        "work.delay(x)",
        "work.remote(x)",
        "Popen([x])",
        "threading.Thread(target=work, args=(x,))",
        "begin(x)",
        "Job(x)",
    ] {
        let tail = "def begin(y):\n    return pool.submit(work, y, 1)\n\nclass Job:\n    def __init__(self, y):\n        self.it = begin(y)\n";
        innocent_but_for(
            &format!(
                "def run(xs):\n    jobs = [{start} for x in xs]\n    for job in jobs:\n        print(job)\n\n{tail}"
            ),
            start,
            "pure(x)",
        );
        innocent_but_for(
            &format!(
                "def run(xs):\n    jobs = []\n    for x in xs:\n        jobs.append({start})\n    for job in jobs:\n        print(job)\n\n{tail}"
            ),
            start,
            "pure(x)",
        );
    }
    innocent_but_for(
        "def run(xs):\n    return sum(list(map(pool.submit, xs)))\n",
        "submit",
        "compute",
    );
}

#[test]
fn items_that_are_waited_for_are_at_work() {
    for wait in [
        "job.result()",
        "job.join()",
        "job.wait(3)",
        "job.communicate()",
        "job.start()",
        "job.get()",
        "job.process.join()",
    ] {
        innocent_but_for(
            &format!(
                "def run(xs):\n    jobs = [begin(x) for x in xs]\n    for job in jobs:\n        print({wait})\n"
            ),
            wait,
            "job.get('name')",
        );
        innocent_but_for(
            &format!("def run(xs):\n    return sum({wait} for job in [begin(x) for x in xs])\n"),
            wait,
            "job.get('name')",
        );
        assert_eq!(
            count(&format!(
                "def run(xs):\n    jobs = [begin(x) for x in xs]\n    return [{wait} for job in jobs]\n"
            )),
            0
        );
    }
    for wait in ["await job", "await asyncio.wait_for(job, 3)"] {
        innocent_but_for(
            &format!(
                "async def run(xs):\n    jobs = [begin(x) for x in xs]\n    for job in jobs:\n        print({wait})\n"
            ),
            wait,
            "await look(job)",
        );
    }
}

#[test]
fn a_file_that_is_written_after_it_was_read() {
    for build in [
        "rows = open(name).readlines()",
        "rows = [row.strip() for row in open(name)]",
        "rows = [row.strip() for row in path.open()]",
        "rows = [row.strip() for row in lines(name)]",
        "file = open(name)\n    rows = [row.strip() for row in file]",
        "file = open(name)\n    rows = [row for row in csv.reader(file)]",
        "rows = []\n    with open(name) as file:\n        for row in file:\n            rows.append(row.strip())",
        "rows = load(name)",
    ] {
        let tail = "def lines(name):\n    with open(name) as file:\n        yield from file\n\ndef load(name):\n    return open(name).readlines()\n";
        innocent_but_for(
            &format!(
                "import csv\n\ndef run(name):\n    {build}\n    with open('rows', 'w') as out:\n        out.writelines(rows)\n\n{tail}"
            ),
            "open('rows', 'w')",
            "connect()",
        );
        innocent_but_for(
            &format!(
                "import csv\n\ndef run(name):\n    {build}\n    save(rows)\n\ndef save(rows):\n    with open('out', 'w') as out:\n        out.writelines(rows)\n\n{tail}"
            ),
            "open('out', 'w')",
            "connect()",
        );
    }
    for change in [
        "os.replace('new', 'rows')",
        "path.replace('old')",
        "path.write_text('')",
        "os.unlink('rows')",
        "backup(1)",
        "open('rows', mode='a')",
    ] {
        innocent_but_for(
            &format!(
                "import os\n\ndef run(name, path):\n    rows = open(name).readlines()\n    {change}\n    for row in rows:\n        print(row.replace('a', 'b'))\n\ndef backup(n):\n    os.rename('rows', 'rows.old')\n"
            ),
            change,
            "open('other')",
        );
    }
    innocent_but_for(
        "def run(path):\n    old = [each for each in path.glob('*') if each]\n    for each in old:\n        each.unlink()\n",
        "each.unlink()",
        "print(each)",
    );
    // What comes from no file can be written to one as it is made.
    innocent_but_for(
        "def run(xs, name):\n    rows = [str(x) for x in open(name)]\n    with open('out', 'w') as out:\n        out.writelines(rows)\n",
        "open(name)",
        "xs",
    );
}

#[test]
fn functions_that_bind_variables_of_others() {
    innocent_but_for(
        "total = 0\n\ndef add(x):\n    global total\n    total += x\n    return x\n\ndef run(xs):\n    rows = [add(x) for x in xs]\n    for row in rows:\n        print(row / total)\n",
        "    global total\n",
        "    total = 0\n",
    );
    innocent_but_for(
        "def run(xs):\n    total = 0\n    def add(x):\n        nonlocal total\n        total += x\n        return x\n    def twice(x):\n        return add(x) * 2\n    rows = list(map(twice, xs))\n    return sum(rows)\n",
        "        nonlocal total\n",
        "        total = 0\n",
    );
}

#[test]
fn names_that_are_computed_may_be_any() {
    for peek in [
        "locals()",
        "eval(xs)",
        "exec(xs)",
        "vars()",
        "dir()",
        "globals()",
    ] {
        let source = format!(
            "def run(xs):\n    table = load(xs)\n    look(table)\n    print({peek})\n    finish()\n"
        );
        let module = Module::read(&source).unwrap();
        assert!(!module.is_unused_from(1, "table", 4), "in\n{source}");
        let source = source.replace(peek, "vars(xs), dir(xs), xs.eval()");
        let module = Module::read(&source).unwrap();
        assert!(module.is_unused_from(1, "table", 4), "in\n{source}");
        // A module's variable can be seen from any function.
        let source =
            format!("table = load()\nlook(table)\nfinish()\n\ndef later(xs):\n    return {peek}\n");
        let module = Module::read(&source).unwrap();
        assert!(!module.is_unused_from(0, "table", 3), "in\n{source}");
    }
}

#[test]
fn a_match_starts_nothing() {
    let source = "\
def tokens(text):
    found = []
    for match in PATTERN.finditer(text):
        found.append((match.start(), match.group()))
    return found
for place, token in tokens('a'):
    print(place, token)
";
    let module = Module::read(source).unwrap();
    assert_eq!(module.single_passes(&HashSet::new()).len(), 1);
    let threads = source.replace("match.group()", "match.name()");
    let module = Module::read(&threads).unwrap();
    assert!(module.single_passes(&HashSet::new()).is_empty());
}
