// What there is to know first, and what is wrong.

views.unshift({
  key: "summary",
  name: "Summary",
  build(panel) {
    if (report.compared) {
      this.parts = comparedSummary(panel);
      return;
    }
    const facts = report.facts;
    const card = (name, value, note) => el("div", { class: "card" }, el("dt", { text: name }), el("dd", { text: value }), note ? el("dd", { class: "note", text: note }) : null);
    const cards = el("dl", { class: "cards" },
      card("Peak", size(facts.peak_bytes), "allocated at one time"),
      card("At the end", size(facts.end_bytes), plural(facts.end_blocks, "block")),
      card("Physical memory", facts.resident_peak_bytes ? size(facts.resident_peak_bytes) : "not known", "of the whole process, at most"),
      facts.allocated_bytes ? card("Allocated", size(facts.allocated_bytes), plural(facts.allocated_blocks, "block") + " in all") : null,
      card("Collections", count(facts.pauses.count), facts.pauses.count ? duration(facts.pauses.total_seconds) + " in all, " + duration(facts.pauses.longest_seconds) + " the longest" : "none"),
      card("Time", duration(facts.seconds), facts.ending));
    const words = el("section", { class: "words" }, el("h2", { text: "In words" }), report.words.map((line) => el("p", { text: line })));
    const picture = el("section", {}, el("h2", {}, "Memory over time"));
    if (report.timeline.time.length > 1) {
      const small = timelinePicture({ height: 150, small: true });
      picture.append(small);
      this.resize = small.update;
    } else {
      picture.append(el("p", { text: "There are too few samples for a curve." }));
    }
    this.top = el("section");
    this.threads = facts.threads.length ? el("section", {}, el("h2", { text: "Threads" }), table({
      caption: "What each thread allocated",
      columns: [
        { name: "Thread", of: (row) => row.name || (row.number ? "unnamed" : "all others") },
        figureColumn("Number", (row) => row.number, String),
        figureColumn("Allocated", (row) => row.allocated_bytes, size),
        figureColumn("Blocks", (row) => row.allocated_blocks, count),
        figureColumn("Live at the peak", (row) => row.peak_bytes, size),
        figureColumn("Live at the end", (row) => row.live_bytes, size),
        figureColumn("Temporary", (row) => row.temporary_bytes, size, "freed before the next block was made"),
      ],
      rows: facts.threads,
      sort: [2, true],
      search: (row) => row.name.toLowerCase(),
    })) : null;
    const first = (report.findings || []).slice(0, 3);
    const findings = first.length ? el("section", {}, el("h2", { text: "What to mend first" }), first.map(findingCard)) : null;
    panel.append(...[cards, el("div", { class: "two" }, words, el("div", {}, picture, this.top)), findings, this.threads, about()].filter(Boolean));
  },
  update() {
    if (this.parts) {
      this.parts.update();
      return;
    }
    const group = report.calls.groups[0];
    const rows = [...group.rows].sort((a, b) => b.own[0][0] - a.own[0][0]).filter((row) => row.own[0][0] > 0).slice(0, 8);
    const whole = report.calls.whole[0][0];
    this.top.replaceChildren(el("h2", { text: "Lines with the most at the peak" }),
      rows.length ? el("ol", { class: "top-lines" }, rows.map((row) => el("li", {},
        bar(row.own[0][0], rows[0].own[0][0]),
        placeLink(group, row.name),
        el("span", { class: "number" }, size(row.own[0][0]) + " · " + percent(row.own[0][0], whole)))))
        : el("p", { text: "Nothing was allocated at any sample." }));
    if (this.resize) this.resize();
  },
});

function startedAt(facts) {
  return new Date(facts.started_nanoseconds / 1e6).toISOString().replace("T", " ").slice(0, 19) + " UTC";
}

function about() {
  const facts = report.facts;
  const rows = [
    ["Command", facts.command.join(" ")],
    ["Process", facts.process + " · " + facts.host + " · wrasse " + facts.wrasse],
    ["Started", startedAt(facts)],
    ["Tracebacks", count(facts.tracebacks) + " of up to " + plural(facts.frames, "frame")],
    ["Samples", count(report.timeline.samples)],
  ];
  return el("section", { class: "about" }, el("h2", { text: "This capture" }),
    el("dl", {}, rows.map(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])));
}

views.push({
  key: "findings",
  name: "Findings",
  build(panel) {
    this.list = el("div");
    panel.append(this.list);
  },
  update() {
    if (report.compared) {
      this.list.replaceChildren(...comparedFindings());
      return;
    }
    const all = report.findings;
    if (!all) {
      this.list.replaceChildren(missing("No findings",
        "Nobody has looked for what is wrong in this program yet: the capture has no findings.",
        "wrasse doctor runs a program and adds what it finds:",
        command("wrasse doctor -o app.wrasse app.py\nwrasse report app.wrasse -o report.html")));
      return;
    }
    if (!all.length) {
      this.list.replaceChildren(missing("Nothing to mend", "The doctor has looked, and found nothing that is worth mending."));
      return;
    }
    const text = (each) => [each.code, each.name, each.file, each.message, each.fix, ...each.evidence].join(" ").toLowerCase();
    const found = all.filter((each) => matches(text(each)));
    this.list.replaceChildren(
      el("p", { class: "hint" }, plural(found.length, "finding") + (state.query ? " of " + all.length + " match the search." : ", what saves most first.")),
      ...found.map(findingCard));
  },
});

function findingCard(finding) {
  const saves = [];
  if (finding.bytes) saves.push(size(finding.bytes));
  if (finding.milliseconds) saves.push(duration(finding.milliseconds / 1000));
  return el("article", { class: "finding" },
    el("header", {},
      el("span", { class: "code", text: finding.code }),
      el("h3", { text: finding.message }),
      saves.length ? el("span", { class: "saves" }, "saves " + saves.join(", ")) : null),
    el("p", { class: "hint" },
      finding.name ? finding.name + (finding.file ? " · " : "") : null,
      finding.file ? fileLink(finding.file, finding.line) : null),
    finding.evidence.length ? el("ul", { class: "evidence" }, finding.evidence.map((line) => el("li", { text: line }))) : null,
    finding.fix ? el("p", { class: "fix" }, el("b", {}, "Instead: "), finding.fix) : null);
}
