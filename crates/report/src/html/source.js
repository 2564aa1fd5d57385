// The program's text, each line with its bytes.

let wanted = null;

/** Shows a file at a line. */
function openSource(file, line) {
  wanted = { file, line };
  change({ view: "source" });
}

views.push({
  key: "source",
  name: "Source",
  build(panel) {
    this.list = el("ul", { class: "files", role: "listbox", tabindex: 0, "aria-label": "Files, the most bytes first" });
    this.code = el("div", { class: "code-box" });
    this.control = measureChoice();
    this.file = null;
    panel.append(el("div", { class: "controls" }, this.control), el("div", { class: "source" }, this.list, this.code));
    this.list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const at = this.files.indexOf(this.file) + step;
      if (this.files[at] !== undefined) this.open(this.files[at], 0);
      event.preventDefault();
    });
    this.lines = new Map();
    for (const row of report.calls.groups[0].rows) {
      const [file, , line] = report.calls.groups[0].names[row.name];
      if (!this.lines.has(file)) this.lines.set(file, new Map());
      this.lines.get(file).set(line, row);
    }
    this.texts = new Map(report.sources.map((source) => [source.file, source]));
  },
  update() {
    this.control.update();
    const now = state.measure;
    const sums = new Map();
    for (const row of report.calls.groups[2].rows) sums.set(report.calls.groups[2].names[row.name][0], row.own[now][0]);
    const known = [...this.lines.keys()];
    known.sort((a, b) => (sums.get(b) || 0) - (sums.get(a) || 0));
    const text = (file) => this.texts.get(file)?.parts.map((part) => part[1]).join("\n").toLowerCase() || "";
    this.files = known.filter((file) => matches(report.calls.strings[file]) || (state.query && text(file).includes(state.query)));
    if (wanted && !this.files.includes(wanted.file)) this.files.unshift(wanted.file);
    const most = Math.max(1, ...this.files.map((file) => sums.get(file) || 0));
    this.list.replaceChildren(...this.files.slice(0, 500).map((file) => el("li", {
      role: "option",
      title: report.calls.strings[file],
      "data-file": file,
      onclick: () => this.open(file, 0),
    }, bar(sums.get(file) || 0, most), el("span", { class: "file", text: short(report.calls.strings[file]) }), el("span", { class: "number" }, size(sums.get(file) || 0)))));
    if (!this.files.length) this.list.append(el("li", { class: "none" }, "No file matches."));
    const { file, line } = wanted || { file: this.files.includes(this.file) ? this.file : this.files[0], line: 0 };
    wanted = null;
    if (file === undefined) this.code.replaceChildren(missing("No source", "No file holds memory by this measure, or none matches the search."));
    else this.open(file, line);
  },
  open(file, line) {
    this.file = file;
    for (const item of this.list.children) {
      const isThis = Number(item.dataset.file) === file;
      item.setAttribute("aria-selected", isThis ? "true" : "false");
      if (isThis) item.scrollIntoView({ block: "nearest" });
    }
    const now = state.measure;
    const rows = this.lines.get(file) || new Map();
    const source = this.texts.get(file);
    const most = Math.max(1, ...[...rows.values()].map((row) => row.own[now][0]));
    const before = column(0, 1);
    const changed = (row) => {
      const more = row ? row.own[now][0] - row.own[before][0] : 0;
      return more ? difference(more, size) : "";
    };
    const made = [];
    const known = new Set();
    const add = (number, text) => {
      const row = rows.get(number);
      known.add(number);
      const own = row ? row.own[now][0] : 0;
      const all = row ? row.total[now][0] : 0;
      made.push(el("tr", { id: "line-" + number, class: own || all ? "has" : null },
        el("td", { class: "line" }, String(number)),
        el("td", { class: "number", title: row ? plural(row.own[now][1], "block") + " allocated here" : null }, own ? size(own) : ""),
        el("td", { class: "heat" }, own ? bar(own, most) : ""),
        el("td", { class: "number calls" }, report.compared ? changed(row) : all > own ? size(all) : ""),
        el("td", { class: "text" }, text === null ? el("i", {}, "source not known") : painted(text))));
    };
    let last = 0;
    for (const [first, text] of source ? source.parts : []) {
      if (first > last + 1) made.push(el("tr", { class: "gap" }, el("td", { colspan: 5 }, last ? "lines " + (last + 1) + " to " + (first - 1) + " are left out" : "lines up to " + (first - 1) + " are left out")));
      text.split("\n").forEach((each, index) => add(first + index, each));
      last = first + text.split("\n").length - 1;
    }
    const loose = [...rows.keys()].filter((number) => !known.has(number)).sort((a, b) => a - b);
    loose.forEach((number) => add(number, null));
    const path = report.calls.strings[file];
    const notes = [];
    if (!report.sources.length) notes.push("This report was made without sources.");
    else if (!source) notes.push("Only the files with the most bytes have their source here.");
    else if (source.note) notes.push(source.note[0].toUpperCase() + source.note.slice(1) + ".");
    this.code.replaceChildren(
      el("h2", { class: "path", text: path }),
      ...notes.map((note) => el("p", { class: "hint warn", text: note })),
      el("div", { class: "scroll code-scroll", tabindex: 0, role: "region", "aria-label": "Source of " + shown(path) },
        el("table", { class: "code" },
          el("caption", { class: "hidden" }, "Lines with the bytes " + report.measures[now].name),
          el("thead", {}, el("tr", {}, ["Line", "Own bytes", "", report.compared ? "Change" : "With calls", "Text"].map((name) => el("th", { scope: "col" }, name || el("span", { class: "hidden" }, "Part"))))),
          el("tbody", {}, made))));
    const largest = [...rows].sort((a, b) => b[1].own[now][0] - a[1].own[now][0])[0];
    const aim = line || (largest ? largest[0] : 0);
    const target = this.code.querySelector("#line-" + aim);
    if (target) {
      const box = target.closest(".code-scroll");
      box.scrollTop = target.offsetTop - box.clientHeight / 3;
      if (line) target.classList.add("aimed");
    }
  },
});

const WORDS = new Set("False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield match case".split(" "));

/** Python's words, strings and comments in colours; one line at a time, so that a
 * string over several lines has its colour on the first and last only. */
function painted(line) {
  const parts = [];
  const pattern = /(#.*$)|("""|'''|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|([A-Za-z_]\w*)|(\d[\w.]*)/g;
  let last = 0;
  for (const found of line.matchAll(pattern)) {
    const kind = found[1] ? "comment" : found[2] ? "string" : found[3] ? (WORDS.has(found[3]) ? "word" : null) : "digits";
    if (!kind) continue;
    if (found.index > last) parts.push(line.slice(last, found.index));
    parts.push(el("span", { class: kind, text: found[0] }));
    last = found.index + found[0].length;
  }
  parts.push(line.slice(last) || (parts.length ? "" : " "));
  return parts;
}
