"use strict";
// What all views share: elements, figures in words, the document and the state.

/** The document, once it is unpacked. */
let report = null;
/** What the user has chosen. */
const state = { view: "summary", measure: 0, by: 0, side: 0, query: "" };
/** The views in the order of their tabs: key, name, build(panel), update(). */
const views = [];

/** Names are text, never markup: nothing here takes HTML. */
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  return dress(made, attributes, children);
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return dress(made, attributes, children);
}

function dress(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = shown(value);
    else if (name === "width%") made.style.width = value + "%";
    else made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    made.append(child instanceof Node ? child : document.createTextNode(shown(child)));
  }
  return made;
}

/** Text without what would turn the text around it. */
function shown(text) {
  return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

// Figures in the same words as in the terminal.
function count(number) {
  return Math.round(number).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function size(bytes) {
  if (bytes < 1024) return bytes + " B";
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1023.95 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return value.toFixed(1) + " " + units[unit];
}

function duration(seconds) {
  if (seconds >= 1) return seconds.toFixed(2) + " s";
  if (seconds >= 0.0001) return (seconds * 1e3).toFixed(1) + " ms";
  return (seconds * 1e6).toFixed(1) + " µs";
}

function percent(part, whole) {
  if (!whole) return "0 %";
  const value = (part * 100) / whole;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return value.toFixed(value < 10 ? 1 : 0) + " %";
}

function plural(number, one, many) {
  return number === 1 ? "1 " + one : count(number) + " " + (many || one + "s");
}

/** The last parts of a path, which are what tells files apart. */
function short(path) {
  if (path.startsWith("<")) return path;
  const parts = path.split("/").filter(Boolean);
  const at = parts.lastIndexOf("site-packages");
  if (at >= 0 && at + 1 < parts.length) return parts.slice(at + 1).join("/");
  return parts.length > 3 ? "…/" + parts.slice(-2).join("/") : path;
}

/** Of two captures: what a box is as wide as. Figures stand in this order. */
const SIDES = ["after", "before", "what grew", "what shrank"];

/** Which column of figures a group has for what is chosen, or for another side of it. */
function column(by, side) {
  return report.calls.groups[by].only === undefined ? state.measure + (side === undefined ? state.side : side) * report.measures.length : 0;
}

/** The number of the measure that a group shows. */
function measureOf(by) {
  const { only } = report.calls.groups[by];
  return only === undefined ? state.measure : only;
}

/** A difference, with its sign. */
function signed(value, show) {
  return value ? (value < 0 ? "−" : "+") + show(Math.abs(value)) : "0";
}

/** A difference as it stands in a table. */
function difference(value, show) {
  return el("span", { class: value > 0 ? "grew" : value < 0 ? "shrank" : "same" }, signed(value, show));
}

/** A name of a group in words. */
function label(group, number) {
  const [file, fn, line, kind] = group.names[number];
  if (kind) return report.calls.strings[kind - 1];
  const path = short(report.calls.strings[file]);
  const name = fn ? report.calls.strings[fn - 1] : "";
  if (group.by === "file") return path;
  if (group.by === "function") return name ? name + "  " + path : path;
  return name ? name + "  " + path + ":" + line : path + ":" + line;
}

/** All of a name that a search looks at; of a type at a line, in a table both. */
function searchable(group, number, forTable) {
  const [file, fn, line, kind] = group.names[number];
  if (kind && !forTable) return report.calls.strings[kind - 1].toLowerCase();
  const name = fn ? report.calls.strings[fn - 1] : "";
  const type = kind ? report.calls.strings[kind - 1] + " " : "";
  return (type + report.calls.strings[file] + ":" + line + " " + name).toLowerCase();
}

function say(text) {
  document.getElementById("live").textContent = shown(text);
}

const tip = {
  show(event, lines) {
    const box = document.getElementById("tip");
    box.replaceChildren(...lines.map((line) => el("div", { text: line })));
    box.hidden = false;
    const [width, height] = [box.offsetWidth, box.offsetHeight];
    const left = Math.min(event.clientX + 14, innerWidth - width - 8);
    const below = event.clientY + 18;
    box.style.left = Math.max(4, left) + "px";
    box.style.top = (below + height > innerHeight ? event.clientY - height - 10 : below) + "px";
  },
  hide() {
    document.getElementById("tip").hidden = true;
  },
};

/** Words in place of what a capture does not have. */
function missing(title, ...words) {
  return el("div", { class: "missing" }, el("h2", { text: title }), words.map((word) => word instanceof Node ? word : el("p", { text: word })));
}

function command(text) {
  return el("pre", { class: "command", tabindex: 0, text });
}

/** A choice of one among a few, as radio buttons. */
function choice(name, options, get, set, notes) {
  const box = el("fieldset", { class: "choice" }, el("legend", { text: name }));
  const id = (choice.boxes = (choice.boxes || 0) + 1);
  const inputs = options.map((option, index) => {
    const input = el("input", { type: "radio", name: "choice-" + id, onchange: () => set(index) });
    box.append(el("label", { title: notes && notes[index] }, input, el("span", { text: option })));
    return input;
  });
  box.update = () => inputs.forEach((input, index) => (input.checked = index === get()));
  box.update();
  return box;
}

function measureChoice() {
  const names = report.measures.map((measure) => measure.name);
  return choice("Bytes", names, () => state.measure, (index) => change({ measure: index }), report.measures.map((measure) => measure.note));
}

function byChoice() {
  return choice("By", report.calls.groups.map((group) => group.by), () => state.by, (index) => change({ by: index }));
}

/** What the chosen measure means, where its name does not say it. */
function measureNote(by) {
  if (report.calls.groups[by].only !== undefined) return "Types are known of what was live at the end; a list's or a dict's table counts for it.";
  const { name, note } = report.measures[state.measure];
  return note ? name[0].toUpperCase() + name.slice(1) + ": " + note + "." : "";
}

/** A bar for a part of a whole. */
function bar(part, whole, kind) {
  const share = whole ? Math.min(100, (part * 100) / whole) : 0;
  return el("span", { class: "bar " + (kind || ""), "aria-hidden": "true" }, el("span", { "width%": share.toFixed(2) }));
}

function matches(text) {
  return !state.query || text.toLowerCase().includes(state.query);
}

/** Changes the state and shows it. */
function change(changes) {
  Object.assign(state, changes);
  const view = views.find((each) => each.key === state.view) || views[0];
  views.forEach((each) => (each.stale = true));
  showView(view);
}
