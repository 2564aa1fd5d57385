// The heap at the end: types, what retains what, cycles.

const HOW_TO_LOOK = [
  "This capture has no look at the heap. It costs a walk over all objects when the program ends, so it has to be asked for:",
  "wrasse run --heap -o app.wrasse app.py\nwrasse report app.wrasse -o report.html",
];

function noHeap(title) {
  return missing(title, HOW_TO_LOOK[0], command(HOW_TO_LOOK[1]));
}

views.push({
  key: "types",
  name: "Types",
  build(panel) {
    this.panel = panel;
    if (report.compared) {
      this.table = comparedTypes(panel);
      return;
    }
    const rows = report.types;
    if (!rows || !rows.length) {
      panel.append(noHeap("No types"));
      return;
    }
    const whole = rows.reduce((sum, row) => sum + row.bytes, 0);
    const objects = rows.reduce((sum, row) => sum + row.count, 0);
    const columns = [
      { name: "Type", of: (row) => row.type, show: (row) => el("code", { text: row.type }) },
      figureColumn("Objects", (row) => row.count, count),
      figureColumn("Bytes", (row) => row.bytes, size, "of the objects themselves"),
      figureColumn("Share", (row) => row.bytes, (bytes) => el("span", { class: "share" }, bar(bytes, whole), percent(bytes, whole))),
      figureColumn("Bytes each", (row) => row.bytes / (row.count || 1), (bytes) => size(Math.round(bytes))),
    ];
    if (rows.some((row) => row.retained !== undefined && row.retained !== null)) {
      columns.push({ name: "Retained", note: "what would go with all objects of this type", numeric: true, of: (row) => row.retained || 0, show: (row) => (row.retained === undefined || row.retained === null ? "" : size(row.retained)) });
    }
    this.table = table({ caption: "Objects by type", columns, rows, sort: [2, true], search: (row) => row.type.toLowerCase() });
    panel.append(el("p", { class: "hint" }, plural(objects, "object") + " of " + plural(rows.length, "type") + " at the end of the program, " + size(whole) + " as sys.getsizeof counts them."), this.table);
  },
  update() {
    if (this.table) this.table.update();
  },
});

views.push({
  key: "retained",
  compared: false,
  name: "Retained",
  build(panel) {
    const root = report.retained;
    if (!root) {
      panel.append(noHeap("No retained sizes"));
      return;
    }
    this.tree = el("ul", { class: "tree", role: "tree", tabindex: 0, "aria-label": "What keeps how much memory alive" });
    this.tree.append(this.item(root, root.bytes, 1, true));
    this.tree.addEventListener("keydown", (event) => this.pressed(event));
    panel.append(el("p", { class: "hint" }, "What would go with each thing if it went, at the end of the program. A thing stands below the one through which all ways to it lead."), this.tree);
    this.pick(this.tree.firstChild);
  },
  item(node, whole, level, open) {
    const children = node.children || [];
    const made = el("li", { role: "treeitem", "aria-level": level, "aria-expanded": children.length ? "false" : null });
    const row = el("div", { class: "node" },
      el("span", { class: "twist", "aria-hidden": "true" }, children.length ? "▸" : ""),
      bar(node.bytes, whole),
      el("span", { class: "number" }, size(node.bytes)),
      el("span", { class: "number" }, percent(node.bytes, whole)),
      el("span", { class: "label", text: node.name }));
    if (state.query && node.name.toLowerCase().includes(state.query)) row.classList.add("found");
    made.append(row);
    made.expand = (to) => {
      if (!children.length) return;
      if (to && !made.list) {
        made.list = el("ul", { role: "group" }, children.map((child) => this.item(child, whole, level + 1, false)));
        made.append(made.list);
      }
      if (made.list) made.list.hidden = !to;
      made.setAttribute("aria-expanded", to ? "true" : "false");
      row.firstChild.textContent = to ? "▾" : "▸";
    };
    row.addEventListener("click", () => {
      this.pick(made);
      made.expand(made.getAttribute("aria-expanded") !== "true");
    });
    if (open) made.expand(true);
    made.node = node;
    return made;
  },
  pick(item) {
    if (!item) return;
    if (this.picked) this.picked.removeAttribute("aria-selected");
    this.picked = item;
    item.setAttribute("aria-selected", "true");
  },
  pressed(event) {
    const all = [...this.tree.querySelectorAll("li")].filter((item) => !item.closest("ul[hidden]"));
    const at = all.indexOf(this.picked);
    const isOpen = this.picked.getAttribute("aria-expanded") === "true";
    const moves = {
      ArrowDown: () => this.pick(all[at + 1]),
      ArrowUp: () => this.pick(all[at - 1]),
      ArrowRight: () => (isOpen ? this.pick(all[at + 1]) : this.picked.expand(true)),
      ArrowLeft: () => (isOpen ? this.picked.expand(false) : this.pick(this.picked.parentNode.closest("li"))),
      Enter: () => this.picked.expand(!isOpen),
    };
    if (!moves[event.key]) return;
    moves[event.key]();
    this.picked.firstChild.scrollIntoView({ block: "nearest" });
    say(this.picked.node.name + ", " + size(this.picked.node.bytes));
    event.preventDefault();
  },
  update() {
    if (!this.tree) return;
    // A search opens the way to what it finds.
    const finds = (node) => node.name.toLowerCase().includes(state.query) || (node.children || []).some(finds);
    let opened = 0;
    const visit = (item) => {
      const hit = state.query && item.node.name.toLowerCase().includes(state.query);
      item.firstChild.classList.toggle("found", !!hit);
      if (state.query && opened < 200 && (item.node.children || []).some(finds)) {
        opened += 1;
        item.expand(true);
      }
      if (item.list) [...item.list.children].forEach(visit);
    };
    visit(this.tree.firstChild);
  },
});

views.push({
  key: "cycles",
  compared: false,
  name: "Cycles",
  build(panel) {
    this.list = el("div");
    panel.append(this.list);
  },
  update() {
    const all = report.cycles;
    if (!all) {
      this.list.replaceChildren(noHeap("No cycles"));
      return;
    }
    if (!all.length) {
      this.list.replaceChildren(missing("No cycles", "Nothing but classes, modules and functions is in a reference cycle."));
      return;
    }
    const text = (cycle) => [cycle.file || "", ...cycle.nodes.map((node) => node.type), ...cycle.edges.map((edge) => edge.name)].join(" ");
    const found = all.filter((cycle) => matches(text(cycle)));
    this.list.replaceChildren(
      el("p", { class: "hint" }, "Objects that refer to each other in a circle, alike ones counted together; one of each kind is drawn. Only the collector frees them. " + (state.query ? found.length + " of " + all.length + " match the search." : "")),
      el("div", { class: "cycles" }, found.slice(0, 100).map(cycleCard)));
    if (found.length > 100) this.list.append(el("p", { class: "hint" }, count(found.length - 100) + " more kinds are not drawn."));
  },
});

function cycleCard(cycle) {
  const types = new Map(cycle.nodes.map((node) => [node.id, lastPart(node.type)]));
  return el("article", { class: "cycle" },
    el("header", {}, el("b", {}, plural(cycle.count, "cycle")), el("span", { class: "number" }, size(cycle.bytes))),
    cyclePicture(cycle),
    el("ul", { class: "edges" }, cycle.edges.slice(0, 12).map((edge) => el("li", {}, el("code", { text: (types.get(edge.from) || "?") + edgeName(edge.name) }), " → ", el("code", { text: types.get(edge.to) || "?" })))),
    cycle.edges.length > 12 ? el("p", { class: "hint" }, count(cycle.edges.length - 12) + " more references") : null,
    cycle.file ? el("p", { class: "hint" }, fileLink(cycle.file, cycle.line)) : null);
}

function lastPart(name) {
  return name.split(".").pop();
}

function edgeName(name) {
  return !name || /^[.[( ]/.test(name) ? name : "." + name;
}

/** Objects on a circle, references as arrows; those both ways bend apart. */
function cyclePicture(cycle) {
  const nodes = cycle.nodes.slice(0, 24);
  const few = nodes.length <= 8;
  const [width, height] = [420, nodes.length <= 2 ? 150 : few ? 270 : 380];
  const [middle, centre] = [width / 2, height / 2];
  const [wide, tall] = [middle - 82, centre - 36];
  const places = new Map();
  nodes.forEach((node, index) => {
    const turn = (index / nodes.length) * 2 * Math.PI - (nodes.length === 2 ? Math.PI : Math.PI / 2);
    places.set(node.id, nodes.length === 1 ? { x: middle, y: centre + 40 } : { x: middle + wide * Math.cos(turn), y: centre + tall * Math.sin(turn) });
  });
  const words = "A cycle of " + cycle.nodes.map((node) => lastPart(node.type)).join(", ");
  const picture = svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": shown(words) });
  const half = (node) => Math.min(76, lastPart(node.type).length * 3.7 + 14);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const edges = cycle.edges.filter((edge) => places.has(edge.from) && places.has(edge.to));
  const [grounds, heads, names] = [[], [], []];
  for (const edge of edges.slice(0, 60)) {
    const [a, b] = [places.get(edge.from), places.get(edge.to)];
    let path;
    let at;
    let head;
    if (edge.from === edge.to) {
      path = `M${a.x - 16} ${a.y - 14}C${a.x - 60} ${a.y - 90} ${a.x + 60} ${a.y - 90} ${a.x + 16} ${a.y - 14}`;
      at = { x: a.x, y: a.y - 78 };
      head = { x: a.x + 16, y: a.y - 14, turn: 125 };
    } else {
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const far = Math.hypot(dx, dy);
      const bend = Math.min(42, far / 4);
      const bow = { x: (a.x + b.x) / 2 + (dy / far) * bend, y: (a.y + b.y) / 2 - (dx / far) * bend };
      const from = border(a, bow, half(byId.get(edge.from)));
      const to = border(b, bow, half(byId.get(edge.to)));
      path = `M${from.x} ${from.y}Q${bow.x} ${bow.y} ${to.x} ${to.y}`;
      at = { x: from.x / 4 + bow.x / 2 + to.x / 4, y: from.y / 4 + bow.y / 2 + to.y / 4 };
      head = { x: to.x, y: to.y, turn: (Math.atan2(to.y - bow.y, to.x - bow.x) * 180) / Math.PI };
    }
    picture.append(svg("path", { class: "edge", d: path }));
    // Above the names' ground: a short arrow still shows where it leads.
    heads.push(svg("path", { class: "head", d: "M0 0L-9 -4.5L-9 4.5Z", transform: `translate(${head.x} ${head.y}) rotate(${head.turn})` }));
    if (few && edge.name) {
      const name = clip(edgeName(edge.name), 22);
      const wide = name.length * 7 + 6;
      // Inside the picture, and on ground of its own.
      const x = Math.min(Math.max(at.x, wide / 2), width - wide / 2);
      grounds.push(svg("rect", { class: "edge-back", x: x - wide / 2, y: at.y - 9, width: wide, height: 18, rx: 4 }));
      names.push(svg("text", { class: "edge-name", x, y: at.y + 4, "text-anchor": "middle" }, name));
    }
  }
  picture.append(...grounds, ...heads, ...names);
  for (const node of nodes) {
    const { x, y } = places.get(node.id);
    const wide = half(node);
    picture.append(
      svg("g", { class: "object" }, svg("title", {}, node.type),
        svg("rect", { x: x - wide, y: y - 14, width: 2 * wide, height: 28, rx: 14 }),
        svg("text", { x, y: y + 4, "text-anchor": "middle" }, clip(lastPart(node.type), 19))));
  }
  if (cycle.nodes.length > nodes.length) picture.append(svg("text", { class: "axis", x: middle, y: centre, "text-anchor": "middle" }, "and " + (cycle.nodes.length - nodes.length) + " more objects"));
  return picture;
}

function clip(text, most) {
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

/** Where a line from the middle of a box towards a point leaves the box. */
function border(from, to, half) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const part = Math.min(1, Math.min(dx ? (half + 2) / Math.abs(dx) : Infinity, dy ? 16 / Math.abs(dy) : Infinity));
  return { x: from.x + dx * part, y: from.y + dy * part };
}
