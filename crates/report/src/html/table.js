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

/** The lines, functions or files with what they allocated. */
views.push({
  key: "lines",
  name: "Lines",
  build(panel) {
    this.panel = panel;
  },
  update() {
    const group = report.calls.groups[state.by];
    const now = state.measure;
    const whole = report.calls.whole[now][0];
    const place = (row) => group.names[row.name];
    const columns = [{
      name: group.by === "line" ? "Line" : group.by === "function" ? "Function" : "File",
      of: (row) => searchable(group, row.name),
      show: (row) => placeLink(group, row.name),
    }, {
      name: "Own bytes",
      note: "allocated there",
      numeric: true,
      of: (row) => row.own[now][0],
      show: (row) => size(row.own[now][0]),
    }, {
      name: "Share",
      numeric: true,
      of: (row) => row.own[now][0],
      show: (row) => el("span", { class: "share" }, bar(row.own[now][0], whole), percent(row.own[now][0], whole)),
    }, {
      name: "Blocks",
      numeric: true,
      of: (row) => row.own[now][1],
      show: (row) => count(row.own[now][1]),
    }, {
      name: "With calls",
      note: "allocated there and in all that was called from there",
      numeric: true,
      of: (row) => row.total[now][0],
      show: (row) => size(row.total[now][0]),
    }];
    report.measures.forEach((measure, index) => {
      if (index !== now) {
        columns.push({
          name: measure.name[0].toUpperCase() + measure.name.slice(1),
          numeric: true,
          of: (row) => row.own[index][0],
          show: (row) => size(row.own[index][0]),
        });
      }
    });
    const rest = () => {
      const { rows, own } = group.rest;
      if (!rows) return "";
      const names = { line: "lines", function: "functions", file: "files" }[group.by];
      return "And " + count(rows) + " more " + names + " with " + size(own[now][0]) + ".";
    };
    const made = table({
      caption: "What each " + group.by + " allocated",
      columns,
      rows: group.rows,
      sort: [1, true],
      search: (row) => searchable(group, row.name),
      rest,
      onrow: (row) => openSource(place(row)[0], place(row)[2]),
    });
    this.panel.replaceChildren(
      el("div", { class: "controls" }, byChoice(), measureChoice()),
      el("p", { class: "hint" }, size(whole) + " in " + count(report.calls.whole[now][1]) + " blocks " + report.measures[now].name + ". Click a row for its source."),
      made,
      ...report.missing_measures.map((line) => el("p", { class: "hint", text: line })));
  },
});

/** A name that leads to its source. */
function placeLink(group, number) {
  const [file, fn, line] = group.names[number];
  const path = report.calls.strings[file];
  const name = fn ? report.calls.strings[fn - 1] : "";
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
