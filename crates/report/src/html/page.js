// Puts the views together: tabs, search, light and dark, keys.

const ORDER = ["summary", "findings", "timeline", "flame", "lines", "tracebacks", "source", "types", "retained", "cycles"];
views.sort((a, b) => ORDER.indexOf(a.key) - ORDER.indexOf(b.key));

const KEYS = [
  ["1 … 9", "show a view"],
  ["/", "search"],
  ["m", "the next measure (peak, end, allocated, temporary, growing)"],
  ["b", "by line, function, file, type"],
  ["t", "light or dark"],
  ["arrows, Enter", "move in the timeline, the flame graph, the tree and the tabs"],
  ["Escape", "one step back in what was enlarged; empties the search"],
  ["?", "this list"],
];

function showView(view) {
  for (const each of views) {
    const isThis = each === view;
    each.tab.setAttribute("aria-selected", isThis ? "true" : "false");
    each.tab.tabIndex = isThis ? 0 : -1;
    each.node.hidden = !isThis;
  }
  // Where there is no room for all tabs, the chosen one is in sight.
  const tabs = view.tab.parentNode;
  if (view.tab.offsetLeft < tabs.scrollLeft) tabs.scrollLeft = view.tab.offsetLeft - 20;
  const over = view.tab.offsetLeft + view.tab.offsetWidth - tabs.scrollLeft - tabs.clientWidth;
  if (over > 0) tabs.scrollLeft += over + 20;
  if (!view.isBuilt) {
    view.isBuilt = true;
    view.build(view.node);
  }
  if (view.stale !== false) {
    view.stale = false;
    view.update();
  }
  try {
    history.replaceState(null, "", "#" + view.key);
  } catch {
    // A file opened in a frame may have no history.
  }
}

function theme(to) {
  document.documentElement.dataset.theme = to;
  document.getElementById("theme").textContent = to === "dark" ? "☀" : "☾";
  try {
    localStorage.setItem("wrasse-theme", to);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  const view = views.find((each) => each.key === state.view);
  if (view && view.isBuilt) view.update();
}

function otherTheme() {
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function firstTheme() {
  let kept = null;
  try {
    kept = localStorage.getItem("wrasse-theme");
  } catch {
    // As above.
  }
  if (kept !== "dark" && kept !== "light") kept = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = kept;
  document.getElementById("theme").textContent = kept === "dark" ? "☀" : "☾";
}

function onKey(event) {
  const dialog = document.getElementById("keys");
  const search = document.getElementById("search");
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  if (event.key === "Escape") {
    tip.hide();
    const view = views.find((each) => each.key === state.view);
    if (document.activeElement !== search && view.escape && view.escape()) {
      event.preventDefault();
    } else if (state.query || document.activeElement === search) {
      search.value = "";
      search.blur();
      change({ query: "" });
    }
    return;
  }
  if (event.target.closest && event.target.closest("input[type=search]")) return;
  const number = Number(event.key);
  if (number >= 1 && number <= views.length) {
    change({ view: views[number - 1].key });
  } else if (event.key === "/") {
    search.focus();
    search.select();
  } else if (event.key === "?") {
    dialog.showModal();
  } else if (event.key === "t") {
    otherTheme();
  } else if (event.key === "m") {
    change({ measure: (state.measure + 1) % report.measures.length });
    say(report.measures[state.measure].name);
  } else if (event.key === "b") {
    change({ by: (state.by + 1) % report.calls.groups.length });
    say("by " + report.calls.groups[state.by].by);
  } else {
    return;
  }
  event.preventDefault();
}

function onTabKey(event) {
  const at = views.findIndex((each) => each.key === state.view);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: views.length - 1 }[event.key];
  if (to === undefined) return;
  const view = views[(to + views.length) % views.length];
  change({ view: view.key });
  view.tab.focus();
  event.preventDefault();
}

function assemble() {
  document.getElementById("title").textContent = shown(report.title);
  const facts = report.facts;
  document.getElementById("subtitle").textContent = shown((report.compared ? comparedSubtitle() : [facts.host, duration(facts.seconds), "peak " + size(facts.peak_bytes), facts.ending]).join(" · "));
  // Some views are of one capture, some of two.
  const isCompared = !!report.compared;
  const fitting = views.filter((view) => view.compared === undefined || view.compared === isCompared);
  views.splice(0, views.length, ...fitting);
  const tabs = document.getElementById("tabs");
  const panels = document.getElementById("panels");
  panels.replaceChildren();
  views.forEach((view, index) => {
    view.node = el("section", { role: "tabpanel", id: "view-" + view.key, "aria-labelledby": "tab-" + view.key, hidden: true, class: "panel" });
    view.tab = el("button", { role: "tab", type: "button", id: "tab-" + view.key, "aria-controls": "view-" + view.key, title: view.name + " (" + (index + 1) + ")", onclick: () => change({ view: view.key }) }, view.name);
    const all = report.compared ? report.compared.findings && report.compared.findings.new : report.findings;
    const badge = { findings: all && all.length, cycles: report.cycles && report.cycles.length }[view.key];
    if (badge) view.tab.append(el("span", { class: "badge" }, String(badge)));
    tabs.append(view.tab);
    panels.append(view.node);
  });
  tabs.addEventListener("keydown", onTabKey);
  let waiting = 0;
  document.getElementById("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ query: event.target.value.trim().toLowerCase() }), 120);
  });
  document.getElementById("theme").addEventListener("click", otherTheme);
  document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
  document.getElementById("keys-list").append(...KEYS.map(([key, what]) => el("tr", {}, el("td", {}, el("kbd", {}, key)), el("td", { text: what }))));
  addEventListener("keydown", onKey);
  let resizing = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(resizing);
    resizing = requestAnimationFrame(() => change({}));
  });
  const asked = location.hash.slice(1);
  change({ view: views.some((view) => view.key === asked) ? asked : "summary" });
  addEventListener("hashchange", () => {
    const key = location.hash.slice(1);
    if (key !== state.view && views.some((view) => view.key === key)) change({ view: key });
  });
}

/** The document is compressed JSON, in base64. */
async function unpack() {
  const text = atob(document.getElementById("data").textContent.trim());
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

firstTheme();
if (typeof DecompressionStream === "undefined") {
  document.getElementById("waiting").textContent = "This browser is too old for the report: it needs DecompressionStream (Chrome 80, Firefox 113, Safari 16.4 or newer).";
} else {
  unpack().then((found) => {
    report = found;
    assemble();
    performance.mark("drawn");
    document.documentElement.dataset.ready = "yes";
  }).catch((error) => {
    document.getElementById("panels").replaceChildren(el("p", { id: "waiting", text: "The report cannot be shown: " + error.message + ". The file may be incomplete." }));
    console.error(error);
  });
}
