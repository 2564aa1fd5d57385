// Tables that sort, search, and put only those rows into the page that are looked at.

const PAGE_ROWS = 150;

/**
 * columns: {name, of(row) to sort by, show(row) if other than text, numeric, note};
 * search(row): what is looked through; rest: a line below all rows.
 */
function table({ caption, columns, rows, sort, search, rest, onrow }) {
  let [by, falling] = sort;
  let limit = PAGE_ROWS;
  const head = el("tr");
  const body = el("tbody");
  const foot = el("p", { class: "rest" });
  const more = el("button", { type: "button", class: "more", onclick: () => { limit += 1000; draw(); } });
  const cells = columns.map((column, index) => {
    const button = el("button", {
      type: "button",
      title: column.note,
      onclick: () => {
        falling = by === index ? !falling : !!column.numeric;
        by = index;
        limit = PAGE_ROWS;
        draw();
      },
    }, column.name);
    const cell = el("th", { scope: "col", class: column.numeric ? "number" : null }, button);
    head.append(cell);
    return cell;
  });
  const node = el("div", { class: "scroll" },
    el("table", { class: "rows" }, el("caption", { class: "hidden", text: caption }), el("thead", {}, head), body));

  function draw() {
    const key = columns[by].of;
    const found = rows.filter((row) => !state.query || search(row).includes(state.query));
    found.sort((a, b) => {
      const [one, other] = [key(a), key(b)];
      const order = typeof one === "string" ? one.localeCompare(other) : one - other;
      return falling ? -order : order;
    });
    cells.forEach((cell, index) => {
      if (index === by) cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    body.replaceChildren(...found.slice(0, limit).map(line));
    more.hidden = found.length <= limit;
    more.textContent = "Show more (" + plural(found.length - limit, "row") + " left)";
    const words = [];
    if (state.query) words.push(plural(found.length, "row") + " of " + count(rows.length) + " match “" + state.query + "”.");
    if (rest) words.push(rest());
    foot.textContent = shown(words.filter(Boolean).join(" "));
  }

  function line(row) {
    const made = el("tr", {}, columns.map((column) => {
      const content = column.show ? column.show(row) : column.of(row);
      return el("td", { class: column.numeric ? "number" : null }, content);
    }));
    if (onrow) {
      made.classList.add("live");
      made.addEventListener("click", (event) => {
        if (!event.target.closest("button") && !String(getSelection())) onrow(row);
      });
    }
    return made;
  }

  draw();
  const whole = el("div", {}, node, more, foot);
  whole.update = draw;
  return whole;
}

/** A column of figures. */
function figureColumn(name, of, show, note) {
  return { name, note, numeric: true, of, show: (row) => show(of(row)) };
}

/** A column of differences, in the order of their size whatever their sign. */
function changeColumn(name, of, show, note) {
  return { name, note, numeric: true, of: (row) => Math.abs(of(row)), show: (row) => difference(of(row), show) };
}

/** The lines, functions or files with what they allocated. */
views.push({
  key: "lines",
  name: "Lines",
  build(panel) {
    this.panel = panel;
  },
  update() {
    const group = report.calls.groups[state.by];
    const now = column(state.by, 0);
    const measure = measureOf(state.by);
    const [whole, blocks] = report.calls.whole[measure];
    const place = (row) => group.names[row.name];
    const before = column(state.by, 1);
    const more = (row, figure) => row.own[now][figure] - row.own[before][figure];
    const changes = [
      changeColumn("Change", (row) => more(row, 0), size, "in what is allocated there"),
      figureColumn("Before", (row) => row.own[before][0], size),
      figureColumn("After", (row) => row.own[now][0], size),
      changeColumn("Blocks", (row) => more(row, 1), count),
      changeColumn("With calls", (row) => row.total[now][0] - row.total[before][0], size, "the change in what is allocated there and in all that is called from there"),
    ];
    const figures = [
      figureColumn("Own bytes", (row) => row.own[now][0], size, "allocated there"),
      figureColumn("Share", (row) => row.own[now][0], (bytes) => el("span", { class: "share" }, bar(bytes, whole), percent(bytes, whole))),
      figureColumn("Blocks", (row) => row.own[now][1], count),
    ];
    const first = {
      name: { line: "Line", function: "Function", file: "File", type: "Type and line" }[group.by],
      of: (row) => searchable(group, row.name, true),
      show: (row) => placeLink(group, row.name),
    };
    if (group.only === undefined) {
      figures.push(figureColumn("With calls", (row) => row.total[now][0], size, "allocated there and in all that was called from there"));
      report.measures.forEach((other, index) => {
        if (index === now) return;
        const name = { "live at the peak": "Peak", "live at the end": "End", "allocated in all": "In all" }[other.name] || other.name[0].toUpperCase() + other.name.slice(1);
        figures.push(figureColumn(name, (row) => row.own[index][0], size, other.note || other.name));
      });
    }
    const rest = () => {
      const { rows, own } = group.rest;
      if (!rows) return "";
      const names = { line: "lines", function: "functions", file: "files", type: "types and lines" }[group.by];
      return "And " + count(rows) + " more " + names + " with " + size(own[now][0]) + ".";
    };
    const made = table({
      caption: "What each " + group.by + " allocated",
      columns: [first, ...(report.compared ? changes : figures)],
      rows: report.compared ? group.rows.filter((row) => row.own[now][0] || row.own[before][0] || more(row, 0)) : group.rows,
      sort: [1, true],
      search: (row) => searchable(group, row.name, true),
      rest,
      onrow: (row) => openSource(place(row)[0], place(row)[2]),
    });
    const name = report.measures[measure].name;
    const words = report.compared
      ? signed(whole - report.calls.whole[before][0], size) + ": " + size(report.calls.whole[before][0]) + " before, " + size(whole) + " after, " + name + "."
      : size(whole) + " in " + count(blocks) + " blocks " + name + ".";
    this.panel.replaceChildren(
      el("div", { class: "controls" }, byChoice(), group.only === undefined ? measureChoice() : null),
      el("p", { class: "hint" }, [words, measureNote(state.by), "Click a row for its source."].filter(Boolean).join(" ")),
      made,
      ...report.missing_measures.map((line) => el("p", { class: "hint", text: line })));
  },
});

/** A name that leads to its source. */
function placeLink(group, number) {
  const [file, fn, line, kind] = group.names[number];
  const path = report.calls.strings[file];
  const name = kind ? report.calls.strings[kind - 1] : fn ? report.calls.strings[fn - 1] : "";
  const where = short(path) + (line ? ":" + line : "");
  return el("button", { type: "button", class: "place", title: path + (line ? ":" + line : ""), onclick: () => openSource(file, line) },
    name && group.by !== "file" ? [el("b", { text: name }), " "] : null,
    el("span", { class: "file", text: where }));
}

/** A file's name and line, which lead to its source where the capture knows the file. */
function fileLink(file, line) {
  const place = short(file) + (line ? ":" + line : "");
  const known = report.calls.strings.indexOf(file);
  if (known < 0) return el("span", { title: file, text: place });
  return el("button", { type: "button", class: "place", title: file, onclick: () => openSource(known, line || 0) }, el("span", { class: "file", text: place }));
}
