// The flame graph, oldest callers above: drawn on a canvas, only what can be seen.

const ROW = 20;

/** The tree of a group with its children in order; made once for each way to sum up. */
const forests = new Map();

function forest(by, at) {
  const key = by + ":" + at;
  if (forests.has(key)) return forests.get(key);
  const { parent, bytes, blocks, hidden, hidden_nodes } = report.calls.groups[by].tree;
  const size = bytes[at];
  const children = parent.map(() => []);
  for (let node = 1; node < parent.length; node += 1) {
    if (size[node] > 0) children[parent[node]].push(node);
  }
  for (const list of children) list.sort((a, b) => size[b] - size[a] || a - b);
  const depth = new Uint32Array(parent.length);
  for (let node = 1; node < parent.length; node += 1) depth[node] = depth[parent[node]] + 1;
  // How many boxes there are below each, those that the file leaves out included.
  const below = new Uint32Array(parent.length);
  for (const [node, number] of hidden_nodes) below[node] = number;
  for (let node = parent.length - 1; node > 0; node -= 1) below[parent[node]] += below[node] + (size[node] > 0 ? 1 : 0);
  const made = { below, children, depth, size, blocks: blocks[at], hidden: hidden[at], left: new Map(hidden_nodes), parent };
  forests.set(key, made);
  return made;
}

/** The tree that is shown. */
function shownForest() {
  return forest(state.by, column(state.by));
}

/** Of two captures: what a node had before, has after, and the difference. */
function changeOf(node) {
  const { bytes, blocks } = report.calls.groups[state.by].tree;
  const of = (side, list) => list[column(state.by, side)][node];
  const [after, before] = [of(0, bytes), of(1, bytes)];
  return { after, before, more: after - before, blocks: of(0, blocks) - of(1, blocks) };
}

/** Which nodes a search finds, and the bytes below them, each counted once. */
function searched(by, at) {
  if (!state.query) return null;
  const group = report.calls.groups[by];
  const { parent, size } = forest(by, at);
  const names = group.names.map((_, number) => searchable(group, number).includes(state.query));
  const found = new Uint8Array(parent.length);
  const inside = new Uint8Array(parent.length);
  let bytes = 0;
  let nodes = 0;
  for (let node = 1; node < parent.length; node += 1) {
    inside[node] = inside[parent[node]];
    if (size[node] > 0 && names[group.tree.name[node]]) {
      found[node] = 1;
      nodes += 1;
      if (!inside[node]) bytes += size[node];
      inside[node] = 1;
    }
  }
  return { found, bytes, nodes };
}

views.push({
  key: "flame",
  name: "Flame graph",
  build(panel) {
    this.canvas = el("canvas", {});
    this.space = el("div", { class: "space" });
    this.frame = el("div", {
      class: "flame",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "flame graph",
      "aria-label": "Flame graph: arrow keys move, Enter looks closer, Escape goes back",
    }, el("div", { class: "sticky" }, this.canvas), this.space);
    this.crumbs = el("p", { class: "crumbs" });
    this.details = el("div", { class: "details" });
    this.hits = el("span", { class: "hint", id: "flame-hits" });
    this.note = el("p", { class: "hint" });
    this.focus = 0;
    this.chosen = 0;
    this.measures = measureChoice();
    this.controls = [byChoice(), this.measures];
    if (report.compared) this.controls.push(choice("Width", SIDES, () => state.side, (index) => change({ side: index })));
    this.shape = "";
    panel.append(el("div", { class: "controls" }, this.controls, el("button", { type: "button", onclick: () => this.zoom(0) }, "Show all of it"), this.hits),
      this.crumbs, this.frame, this.details, this.note);
    this.frame.addEventListener("scroll", () => this.draw());
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => tip.hide());
    this.canvas.addEventListener("click", (event) => {
      const box = this.at(event);
      if (!box || box.node < 0) return;
      this.choose(box.node);
      this.zoom(box.node === this.focus ? shownForest().parent[box.node] : box.node);
    });
    this.frame.addEventListener("keydown", (event) => this.pressed(event));
  },

  update() {
    this.controls.forEach((control) => control.update());
    this.measures.hidden = report.calls.groups[state.by].only !== undefined;
    const shape = state.by + ":" + column(state.by);
    if (shape.split(":")[0] !== this.shape.split(":")[0]) this.focus = this.chosen = 0;
    this.shape = shape;
    const { size } = shownForest();
    if (!size[this.focus]) this.focus = this.chosen = 0;
    this.search = searched(state.by, column(state.by));
    const group = report.calls.groups[state.by];
    const shownNodes = group.tree.parent.length - 1;
    const words = [];
    if (!size[0]) words.push(report.compared ? "Nothing of this kind was " + report.measures[state.measure].name + "." : "Nothing was " + report.measures[measureOf(state.by)].name + ".");
    const meaning = measureNote(state.by);
    if (meaning) words.push(meaning);
    if (shownNodes < group.tree.of) words.push("Of " + count(group.tree.of) + " nodes the largest " + count(shownNodes) + " are drawn; what is below a call and too small is added up in a hatched box.");
    if (report.compared) words.push("Red boxes have more than before, blue ones less; the stronger, the larger the part of the box. Lines are compared by number: where a file has been edited in between, look by function.");
    else words.push(state.by === 3 ? "The lowest box of each stack is a type." : "Colours tell files apart.");
    words.push("A box is as wide as its bytes; callers are above what they call.");
    if (!report.compared && !report.calls.groups[3]) words.push("For a graph by type, record with wrasse run --heap or wrasse doctor.");
    this.note.textContent = words.join(" ");
    this.hits.textContent = this.search ? plural(this.search.nodes, "box", "boxes") + " match, " + percent(this.search.bytes, size[0]) + " of the bytes" : "";
    this.zoom(this.focus);
  },

  /** Makes a node as wide as the picture. */
  zoom(node) {
    this.focus = node;
    const { parent } = shownForest();
    const chain = [];
    for (let at = node; at > 0; at = parent[at]) chain.unshift(at);
    const group = report.calls.groups[state.by];
    const name = (at) => label(group, group.tree.name[at]);
    this.crumbs.replaceChildren(...[0, ...chain].slice(-8).map((at) => el("button", {
      type: "button",
      "aria-current": at === node ? "true" : null,
      onclick: () => this.zoom(at),
    }, at ? name(at) : "everything")));
    this.layout();
    if (this.chosen === 0 || !this.isBelow(this.chosen, node)) this.choose(node);
    else this.describe();
    this.draw();
  },

  isBelow(node, above) {
    const { parent } = shownForest();
    for (let at = node; at > 0; at = parent[at]) if (at === above) return true;
    return above === 0;
  },

  /** Where each box is that is at least half a pixel wide. */
  layout(again) {
    const tree = shownForest();
    const width = Math.max(200, this.frame.clientWidth);
    const boxes = [];
    const chain = [];
    for (let at = this.focus; ; at = tree.parent[at]) {
      chain.unshift(at);
      if (at === 0) break;
    }
    chain.forEach((node, row) => boxes.push({ node, row, x: 0, w: width, of: tree.size[node] }));
    const unit = width / (tree.size[this.focus] || 1);
    const first = chain.length - 1;
    const pending = [[this.focus, 0, first]];
    let rows = chain.length;
    while (pending.length) {
      const [node, start, row] = pending.pop();
      let x = start;
      // What is too small to be seen, here or in the file, is one box.
      let [small, smaller] = [tree.hidden[node], tree.left.get(node) || 0];
      for (const child of tree.children[node]) {
        const w = tree.size[child] * unit;
        if (w < 0.5) {
          small += tree.size[child];
          smaller += 1 + tree.below[child];
          continue;
        }
        boxes.push({ node: child, row: row + 1, x, w, of: tree.size[child] });
        rows = Math.max(rows, row + 2);
        pending.push([child, x, row + 1]);
        x += w;
      }
      if (small * unit >= 0.5) {
        boxes.push({ node: -1, above: node, smaller, row: row + 1, x, w: small * unit, of: small });
        rows = Math.max(rows, row + 2);
      }
    }
    this.boxes = boxes;
    this.lines = [];
    for (const box of boxes) (this.lines[box.row] = this.lines[box.row] || []).push(box);
    this.rows = rows;
    const tall = Math.min(Math.max(rows * ROW + 2, 120), Math.max(240, innerHeight - 330));
    this.frame.style.height = tall + "px";
    this.space.style.height = Math.max(0, rows * ROW + 2 - tall) + "px";
    // A scrollbar that has come takes room.
    if (!again && Math.max(200, this.frame.clientWidth) !== width) this.layout(true);
  },

  draw() {
    const canvas = this.canvas;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [this.frame.clientWidth, this.frame.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px ui-sans-serif, system-ui, sans-serif";
    pen.textBaseline = "middle";
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = document.documentElement.dataset.theme === "dark";
    const [ink, faint, chosen] = [dark ? "#f3f0ea" : "#1d1a16", colour("--faint"), colour("--accent")];
    const group = report.calls.groups[state.by];
    const top = this.frame.scrollTop;
    const hatch = pattern(pen, faint, dark);
    const from = Math.floor(top / ROW);
    const to = Math.min(this.lines.length - 1, Math.floor((top + height) / ROW));
    for (let row = from; row <= to; row += 1) {
      for (const box of this.lines[row] || []) {
        const y = row * ROW - top;
        const above = this.isAbove(box);
        if (box.node < 0) pen.fillStyle = hatch;
        else if (box.node === 0) pen.fillStyle = colour("--panel-2");
        else {
          const number = group.tree.name[box.node];
          const [file, , , kind] = group.names[number];
          const [base, pale] = shade(kind ? kind - 1 : file, !!kind);
          // Neighbours of one file differ a little, so that they are seen to be two.
          const hue = base + ((number * 37) % 31) - 15;
          const tone = ((number * 23) % 11) - 5;
          const isFound = this.search && this.search.found[box.node];
          if (isFound) pen.fillStyle = dark ? "#d14fb4" : "#f27fd6";
          else if (report.compared) pen.fillStyle = changeColour(changeOf(box.node), dark);
          else if (this.search) pen.fillStyle = dark ? `hsl(${hue} 10% 27%)` : `hsl(${hue} 12% 86%)`;
          else pen.fillStyle = dark ? `hsl(${hue} ${pale ? 12 : 42}% ${(pale ? 29 : 36) + tone / 2}%)` : `hsl(${hue} ${pale ? 20 : 70}% ${(pale ? 85 : 78) + tone}%)`;
        }
        pen.globalAlpha = above ? 0.55 : 1;
        const gap = box.w > 3 ? 1 : 0;
        pen.fillRect(box.x, y + 1, box.w - gap, ROW - 2);
        pen.globalAlpha = 1;
        if (box.node === this.chosen && box.node >= 0) {
          pen.strokeStyle = chosen;
          pen.lineWidth = 2;
          pen.strokeRect(box.x + 1, y + 2, Math.max(1, box.w - gap - 2), ROW - 4);
        }
        if (box.w > 34) {
          let text;
          if (box.node === 0) text = everything() + ": " + size(box.of);
          else if (box.node < 0) text = count(box.smaller) + " smaller: " + size(box.of);
          else text = label(group, group.tree.name[box.node]);
          pen.fillStyle = ink;
          fit(pen, text, box.x + 5, y + ROW / 2 + 0.5, box.w - 10 - gap);
        }
      }
    }
  },

  isAbove(box) {
    if (box.node < 0 || box.node === this.focus) return false;
    const { depth } = shownForest();
    return depth[box.node] < depth[this.focus];
  },

  at(event) {
    const place = this.canvas.getBoundingClientRect();
    const x = event.clientX - place.left;
    const row = Math.floor((event.clientY - place.top + this.frame.scrollTop) / ROW);
    return (this.lines[row] || []).find((box) => x >= box.x && x < box.x + box.w);
  },

  hover(event) {
    const box = this.at(event);
    this.canvas.style.cursor = box && box.node >= 0 ? "pointer" : "default";
    if (box) tip.show(event, this.words(box));
    else tip.hide();
  },

  words(box) {
    const tree = shownForest();
    const group = report.calls.groups[state.by];
    if (box.node < 0) {
      return [plural(box.smaller, "box", "boxes") + " too small to be drawn", size(box.of) + " in all"];
    }
    const node = box.node;
    const lines = [node ? label(group, group.tree.name[node]) : everything()];
    if (report.compared) {
      const { after, before, more, blocks } = changeOf(node);
      lines.push(signed(more, size) + " in " + signed(blocks, count) + " blocks", "before " + size(before) + ", after " + size(after));
      if (state.side < 2) return lines;
    }
    lines.push(size(tree.size[node]) + " in " + plural(tree.blocks[node], "block") + " · " + percent(tree.size[node], tree.size[0]) + " of everything");
    if (node && tree.parent[node]) lines.push(percent(tree.size[node], tree.size[tree.parent[node]]) + " of its caller");
    const below = tree.children[node].reduce((sum, child) => sum + tree.size[child], 0) + tree.hidden[node];
    lines.push("itself " + size(tree.size[node] - below));
    return lines;
  },

  choose(node) {
    this.chosen = node;
    this.describe();
  },

  describe() {
    const lines = this.words({ node: this.chosen });
    const group = report.calls.groups[state.by];
    const [file, , line] = this.chosen ? group.names[group.tree.name[this.chosen]] : [0, 0, 0];
    this.details.replaceChildren(
      el("b", { text: lines[0] }),
      el("span", { text: lines.slice(1).join(" · ") }),
      ...(this.chosen ? [el("button", { type: "button", onclick: () => openSource(file, line) }, "Source")] : []));
  },

  pressed(event) {
    const tree = shownForest();
    const up = tree.parent[this.chosen];
    const beside = (step) => {
      const list = tree.children[up];
      const at = list.indexOf(this.chosen) + step;
      return this.chosen && this.chosen !== this.focus && list[at] !== undefined ? list[at] : this.chosen;
    };
    const moves = {
      ArrowUp: () => (this.chosen ? up : 0),
      ArrowDown: () => (tree.children[this.chosen].length ? tree.children[this.chosen][0] : this.chosen),
      ArrowLeft: () => beside(-1),
      ArrowRight: () => beside(1),
    };
    if (event.key === "Enter") {
      this.zoom(this.chosen);
    } else if (moves[event.key]) {
      this.choose(moves[event.key]());
      const row = tree.depth[this.chosen];
      const [top, tall] = [this.frame.scrollTop, this.frame.clientHeight];
      if (row * ROW < top) this.frame.scrollTop = row * ROW;
      if ((row + 1) * ROW > top + tall) this.frame.scrollTop = (row + 1) * ROW - tall;
      if (!this.isBelow(this.chosen, this.focus)) this.zoom(this.chosen);
      this.draw();
      say(this.words({ node: this.chosen }).join(", "));
    } else {
      return;
    }
    event.preventDefault();
  },

  escape() {
    if (!this.focus) return false;
    this.zoom(shownForest().parent[this.focus]);
    return true;
  },
});

/** Text as far as there is room. */
function fit(pen, text, x, y, room) {
  const clean = shown(text);
  if (pen.measureText(clean).width <= room) {
    pen.fillText(clean, x, y);
    return;
  }
  let [low, high] = [0, clean.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(clean.slice(0, middle) + "…").width <= room) low = middle;
    else high = middle - 1;
  }
  if (low > 1) pen.fillText(clean.slice(0, low) + "…", x, y);
}

function pattern(pen, colour, dark) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.fillStyle = dark ? "#2d2b28" : "#e9e6e0";
  brush.fillRect(0, 0, 8, 8);
  brush.strokeStyle = colour;
  brush.globalAlpha = 0.5;
  brush.beginPath();
  for (const start of [-8, 0, 8]) {
    brush.moveTo(start, 8);
    brush.lineTo(start + 8, 0);
  }
  brush.stroke();
  return pen.createPattern(tile, "repeat");
}

/** What the box above all others is. */
function everything() {
  const name = report.measures[measureOf(state.by)].name;
  return report.compared ? ["everything " + name + ", after", "everything " + name + ", before", "what grew of what was " + name, "what shrank of what was " + name][state.side] : "everything " + name;
}

/** Red for more, blue for less, by the part of the box that it is. */
function changeColour({ after, before, more }, dark) {
  const part = Math.sqrt(Math.abs(more) / Math.max(after, before, 1));
  const hue = more > 0 ? 8 : 212;
  if (!more) return dark ? "hsl(40 4% 30%)" : "hsl(40 12% 88%)";
  return dark ? `hsl(${hue} ${20 + 40 * part}% ${30 + 12 * part}%)` : `hsl(${hue} ${35 + 50 * part}% ${90 - 20 * part}%)`;
}

/** A hue for a file, or a type; libraries and the interpreter's own files are pale. */
const shades = new Map();
function shade(file, isType) {
  if (!shades.has(file)) {
    const path = report.calls.strings[file];
    let sum = 7;
    for (const letter of path) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
    const pale = !isType && (path.startsWith("<") || /\/(site-packages|dist-packages|lib\/python3\.\d+)\//.test(path));
    shades.set(file, [Math.round(((sum % 997) / 997) * 330 + 15) % 360, pale]);
  }
  return shades.get(file);
}
