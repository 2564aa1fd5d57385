// What two captures differ in, beside who allocated.

function comparedSubtitle() {
  const [old, now] = [report.compared.facts, report.facts];
  return ["before " + old.host + ", after " + now.host, "peak " + signed(now.peak_bytes - old.peak_bytes, size), "at the end " + signed(now.end_bytes - old.end_bytes, size)];
}

/** The figures of both, words, curves, and the lines that changed most. */
function comparedSummary(panel) {
  const [old, now] = [report.compared.facts, report.facts];
  const card = (name, before, after, show) => el("div", { class: "card" },
    el("dt", { text: name }),
    el("dd", {}, difference(after - before, show)),
    el("dd", { class: "note", text: show(before) + " before, " + show(after) + " after" }));
  const time = (value) => duration(value);
  const cards = el("dl", { class: "cards" },
    card("Peak", old.peak_bytes, now.peak_bytes, size),
    card("At the end", old.end_bytes, now.end_bytes, size),
    old.resident_peak_bytes && now.resident_peak_bytes ? card("Physical memory", old.resident_peak_bytes, now.resident_peak_bytes, size) : null,
    old.allocated_bytes && now.allocated_bytes ? card("Allocated", old.allocated_bytes, now.allocated_bytes, size) : null,
    card("Pauses", old.pauses.total_seconds, now.pauses.total_seconds, time),
    card("Time", old.seconds, now.seconds, time));
  const words = el("section", { class: "words" }, el("h2", { text: "In words" }), report.words.map((line) => el("p", { text: line })));
  const picture = el("section", {}, el("h2", { text: "Memory over time, before dashed" }));
  let small = null;
  if (report.timeline.time.length > 1) {
    small = timelinePicture({ height: 170, small: true });
    picture.append(small);
  } else {
    picture.append(el("p", { text: "There are too few samples for a curve." }));
  }
  const group = report.calls.groups[0];
  const half = report.measures.length;
  const rows = group.rows.map((row) => [row, row.own[0][0] - row.own[half][0]]).filter(([, more]) => more);
  rows.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = rows.length ? Math.abs(rows[0][1]) : 1;
  const top = el("section", {}, el("h2", { text: "Lines that changed most at the peak" }), rows.length
    ? el("ol", { class: "top-lines" }, rows.slice(0, 10).map(([row, more]) => el("li", {},
      bar(Math.abs(more), most, more > 0 ? "more-bytes" : "less-bytes"),
      placeLink(group, row.name),
      el("span", { class: "number" }, difference(more, size)))))
    : el("p", { text: "No line has more or less than before." }));
  panel.append(cards, el("div", { class: "two" }, words, el("div", {}, picture, top)), comparedAbout());
  return { update: () => small && small.update() };
}

function comparedAbout() {
  const row = (name, of) => el("tr", {}, el("th", { scope: "row", text: name }), [report.compared.facts, report.facts].map((facts) => el("td", { text: of(facts) })));
  return el("section", { class: "about" }, el("h2", { text: "The two captures" }), el("div", { class: "scroll" }, el("table", { class: "both" },
    el("thead", {}, el("tr", {}, el("td"), el("th", { scope: "col", text: "Before" }), el("th", { scope: "col", text: "After" }))),
    el("tbody", {},
      row("Command", (facts) => facts.command.join(" ")),
      row("Python", (facts) => facts.host + " · wrasse " + facts.wrasse),
      row("Started", startedAt),
      row("Ended", (facts) => facts.ending),
      row("Tracebacks", (facts) => count(facts.tracebacks) + " of up to " + plural(facts.frames, "frame"))))));
}

function comparedFindings() {
  const found = report.compared.findings;
  if (!found) {
    return [missing("No findings to compare",
      "At least one of the captures has none. Let the doctor look at both:",
      command("wrasse doctor -o before.wrasse app.py"))];
  }
  const text = (each) => [each.code, each.name, each.file, each.message, each.fix, ...each.evidence].join(" ").toLowerCase();
  const part = (title, list, none) => {
    const shownOnes = list.filter((each) => matches(text(each)));
    return el("section", {}, el("h2", { text: title + " (" + list.length + ")" }),
      shownOnes.length ? shownOnes.map(findingCard) : el("p", { class: "hint", text: list.length ? "None matches the search." : none }));
  };
  return [
    part("New", found.new, "The doctor finds nothing that it did not find before."),
    part("Gone", found.gone, "Nothing that the doctor found before is gone."),
    part("As before", found.both, "Nothing was found both times.")];
}

function comparedTypes(panel) {
  const rows = report.compared.types;
  if (!rows) {
    panel.append(missing("No types to compare", "At least one of the captures has no look at the heap. Record both with it:", command("wrasse run --heap -o before.wrasse app.py")));
    return null;
  }
  if (!rows.length) {
    panel.append(missing("No difference", "There are as many objects of each type at the end as before."));
    return null;
  }
  const more = (row) => row.bytes[1] - row.bytes[0];
  const objects = (row) => row.count[1] - row.count[0];
  const made = table({
    caption: "Objects by type, before and after",
    columns: [
      { name: "Type", of: (row) => row.type, show: (row) => el("code", { text: row.type }) },
      changeColumn("Change", more, size),
      figureColumn("Before", (row) => row.bytes[0], size),
      figureColumn("After", (row) => row.bytes[1], size),
      changeColumn("Objects", objects, count),
      figureColumn("Objects before", (row) => row.count[0], count),
      figureColumn("Objects after", (row) => row.count[1], count),
    ],
    rows,
    sort: [1, true],
    search: (row) => row.type.toLowerCase(),
  });
  panel.append(el("p", { class: "hint" }, "Objects at the end of the program, as sys.getsizeof counts them. Types that are the same are left out."), made);
  return made;
}

views.push({
  key: "tracebacks",
  name: "Tracebacks",
  compared: true,
  build(panel) {
    this.panel = panel;
  },
  update() {
    const [now, before] = [column(0, 0), column(0, 1)];
    const more = (row, figure) => row.own[now][figure] - row.own[before][figure];
    const text = ([file, fn, line]) => (fn ? report.calls.strings[fn - 1] + " " : "") + report.calls.strings[file] + ":" + line;
    const frame = ([file, fn, line]) => el("div", {},
      el("button", { type: "button", class: "place", title: report.calls.strings[file] + ":" + line, onclick: () => openSource(file, line) },
        fn ? [el("b", { text: report.calls.strings[fn - 1] }), " "] : null,
        el("span", { class: "file", text: short(report.calls.strings[file]) + ":" + line })));
    const rows = report.calls.tracebacks.filter((row) => more(row, 0));
    const made = table({
      caption: "Tracebacks whose bytes have changed",
      columns: [
        { name: "Traceback, the most recent call first", of: (row) => row.frames.map(text).join(" "), show: (row) => el("details", {}, el("summary", {}, frame(row.frames[0])), row.frames.slice(1).map(frame)) },
        changeColumn("Change", (row) => more(row, 0), size),
        figureColumn("Before", (row) => row.own[before][0], size),
        figureColumn("After", (row) => row.own[now][0], size),
        changeColumn("Blocks", (row) => more(row, 1), count),
      ],
      rows,
      sort: [1, true],
      search: (row) => row.frames.map(text).join(" ").toLowerCase(),
    });
    this.panel.replaceChildren(
      el("div", { class: "controls" }, measureChoice()),
      rows.length
        ? el("p", { class: "hint", text: "Of each measure the tracebacks that changed most. A click opens the callers." })
        : el("p", { class: "hint", text: "No traceback has more or less than before." }),
      made);
  },
});
