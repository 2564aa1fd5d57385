// Memory over time: what is traced, what is resident, and the pauses below.

const GENERATIONS = ["youngest", "middle", "full"];

/** A drawing of the timeline that fits its width; update() draws it anew. */
function timelinePicture({ height, small }) {
  const line = report.timeline;
  /** The one of before, where two are compared. */
  const old = report.compared ? report.compared.timeline : null;
  const box = el("div", { class: "timeline" });
  let range = [0, Math.max(line.end, line.time[line.time.length - 1] || 0, old ? old.end : 0, 1)];
  const whole = [...range];
  let cursor = -1;
  const left = 74;
  const right = 12;
  const strip = small ? 18 : 46;
  const below = small ? 20 : 26;
  let scale = null;

  function draw() {
    const width = Math.max(320, box.clientWidth || 800);
    const bottom = height - strip - below;
    const [from, to] = range;
    const x = (time) => left + ((time - from) / (to - from || 1)) * (width - left - right);
    // The samples inside, and one on each side, so that the curve goes through.
    let first = line.time.findIndex((time) => time >= from);
    if (first < 0) first = line.time.length - 1;
    first = Math.max(0, first - 1);
    let last = line.time.findIndex((time) => time > to);
    if (last < 0) last = line.time.length - 1;
    let highest = 1;
    for (let at = first; at <= last; at += 1) highest = Math.max(highest, line.live[at], line.resident[at]);
    if (old) old.live.forEach((bytes, at) => { if (old.time[at] >= from && old.time[at] <= to) highest = Math.max(highest, bytes); });
    const y = (bytes) => 8 + (1 - bytes / (highest * 1.05)) * (bottom - 8);
    scale = { x, y, width, from, to, bottom };
    const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words(highest) });
    for (const value of ticks(highest * 1.05, small ? 3 : 5, 1024)) {
      drawing.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        svg("text", { class: "axis", x: left - 8, y: y(value) + 4, "text-anchor": "end" }, size(value)));
    }
    for (const value of ticks((to - from) / 1e6, Math.max(2, Math.floor(width / 130)), 10)) {
      const at = x(from + value * 1e6);
      drawing.append(svg("text", { class: "axis", x: at, y: height - 6, "text-anchor": at < left + 20 ? "start" : at > width - 40 ? "end" : "middle" }, seconds(from / 1e6 + value)));
    }
    const clip = svg("g", {});
    const curve = (values) => {
      let path = "";
      for (let at = first; at <= last; at += 1) {
        path += (path ? "L" : "M") + clamp(x(line.time[at])).toFixed(1) + " " + y(values[at]).toFixed(1);
      }
      return path;
    };
    const clamp = (at) => Math.min(Math.max(at, left), width - right);
    const live = curve(line.live);
    const start = clamp(x(line.time[first])).toFixed(1);
    const stop = clamp(x(line.time[last])).toFixed(1);
    clip.append(
      svg("path", { class: "area", d: `${live}L${stop} ${y(0)}L${start} ${y(0)}Z` }),
      svg("path", { class: "curve", d: live }));
    if (old) {
      const points = old.time.map((time, at) => [time, old.live[at]]).filter(([time]) => time >= from && time <= to);
      clip.append(svg("path", { class: "before", d: points.map(([time, bytes], at) => (at ? "L" : "M") + x(time).toFixed(1) + " " + y(bytes).toFixed(1)).join("") }));
    } else if (line.resident.some((bytes) => bytes > 0)) clip.append(svg("path", { class: "resident", d: curve(line.resident) }));
    drawing.append(clip);
    const peak = line.peak;
    if (peak !== null && line.time[peak] >= from && line.time[peak] <= to) {
      const at = x(line.time[peak]);
      drawing.append(svg("line", { class: "peak", x1: at, x2: at, y1: y(line.live[peak]), y2: bottom }), svg("circle", { class: "peak", cx: at, cy: y(line.live[peak]), r: 4 }));
      if (!small) drawing.append(svg("text", { class: "axis strong", x: at, y: y(line.live[peak]) - 8, "text-anchor": at > width - 120 ? "end" : at < left + 60 ? "start" : "middle" }, "highest sample " + size(line.live[peak])));
    }
    drawing.append(svg("line", { class: "base", x1: left, x2: width - right, y1: bottom, y2: bottom }));
    drawing.append(svg("text", { class: "axis", x: left - 8, y: bottom + strip - 4, "text-anchor": "end" }, "pauses"));
    // One mark a pixel: the longest pause there.
    const longest = new Map();
    let most = 1;
    line.pauses.forEach((pause, at) => {
      if (pause[0] + pause[1] < from || pause[0] > to) return;
      most = Math.max(most, pause[1]);
      const place = Math.round(clamp(x(pause[0])));
      if (!longest.has(place) || line.pauses[longest.get(place)][1] < pause[1]) longest.set(place, at);
    });
    for (const [place, at] of longest) {
      const [begin, length, generation] = line.pauses[at];
      const tall = Math.max(3, (Math.log1p(length) / Math.log1p(most)) * (strip - 6));
      const wide = Math.max(1.5, x(begin + length) - x(begin));
      drawing.append(svg("rect", { class: "pause g" + generation, x: place, y: bottom + strip - 2 - tall, width: wide, height: tall }));
    }
    if (cursor >= 0 && cursor < line.time.length) drawing.append(mark(cursor));
    drawing.addEventListener("pointermove", hover);
    drawing.addEventListener("pointerleave", tip.hide);
    if (!small) drawing.addEventListener("pointerdown", drag);
    box.replaceChildren(drawing);
  }

  function mark(at) {
    const { x, y, bottom } = scale;
    return svg("g", { class: "cursor" }, svg("line", { x1: x(line.time[at]), x2: x(line.time[at]), y1: 4, y2: bottom }), svg("circle", { cx: x(line.time[at]), cy: y(line.live[at]), r: 4 }));
  }

  function words(highest) {
    return `Memory over time: ${line.samples} samples, up to ${size(highest)}, ${plural(report.facts.pauses.count, "pause")} for collections`;
  }

  function timeAt(event) {
    const place = event.clientX - box.getBoundingClientRect().left;
    const { from, to, width } = scale;
    return from + Math.min(1, Math.max(0, (place - left) / (width - left - right))) * (to - from);
  }

  function nearest(time, times = line.time) {
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low > 0 && time - times[low - 1] < times[low] - time ? low - 1 : low;
  }

  function at(sample) {
    const text = [duration(line.time[sample] / 1e6) + " after the start", "traced " + size(line.live[sample])];
    if (old) text.push("before " + size(old.live[nearest(line.time[sample], old.time)] || 0));
    else if (line.resident[sample]) text.push("resident " + size(line.resident[sample]));
    return text;
  }

  function hover(event) {
    const time = timeAt(event);
    const near = ((scale.to - scale.from) / (scale.width - left - right)) * 4;
    const lines = at(nearest(time));
    const pauses = line.pauses.filter((pause) => pause[0] - near <= time && pause[0] + pause[1] + near >= time);
    pauses.sort((a, b) => b[1] - a[1]);
    for (const [, length, generation, freed] of pauses.slice(0, 3)) {
      lines.push(`pause ${duration(length / 1e6)}, ${GENERATIONS[generation] || generation} generation, ${plural(freed, "object")} freed`);
    }
    if (pauses.length > 3) lines.push(`and ${pauses.length - 3} more pauses`);
    tip.show(event, lines);
  }

  function drag(event) {
    const begin = timeAt(event);
    const shade = svg("rect", { class: "shade", y: 0, height });
    const move = (moved) => {
      const [low, high] = [begin, timeAt(moved)].sort((a, b) => a - b);
      shade.setAttribute("x", scale.x(low));
      shade.setAttribute("width", scale.x(high) - scale.x(low));
      if (!shade.parentNode) box.firstChild.append(shade);
    };
    const done = (ended) => {
      removeEventListener("pointermove", move);
      shade.remove();
      const [low, high] = [begin, timeAt(ended)].sort((a, b) => a - b);
      if (high - low > (range[1] - range[0]) / 200) box.zoom([low, high]);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", done, { once: true });
  }

  box.zoom = (to) => {
    range = to || [...whole];
    draw();
  };
  box.step = (steps) => {
    cursor = Math.min(line.time.length - 1, Math.max(0, cursor < 0 ? line.peak || 0 : cursor + steps));
    const time = line.time[cursor];
    if (time < range[0] || time > range[1]) range = [...whole];
    draw();
    say(at(cursor).join(", "));
    return at(cursor).join(" · ");
  };
  box.isZoomed = () => range[0] !== whole[0] || range[1] !== whole[1];
  box.update = draw;
  return box;
}

/** Round numbers up to `highest`, about `wanted` of them. */
function ticks(highest, wanted, base) {
  if (!(highest > 0)) return [];
  let unit = 1;
  if (base === 1024) while (highest / unit / 1024 >= 1) unit *= 1024;
  const rough = highest / unit / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) * unit;
  const all = [];
  for (let value = 0; value <= highest; value += step) all.push(base === 1024 ? Math.round(value) : value);
  return all;
}

function seconds(value) {
  const text = value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
  return (text.includes(".") ? text.replace(/\.?0+$/, "") : text) + " s";
}

views.push({
  key: "timeline",
  name: "Timeline",
  build(panel) {
    const line = report.timeline;
    if (line.time.length < 2) {
      panel.append(missing("No timeline", "The capture has " + plural(line.samples, "sample") + ": the program ended before there was more to see."));
      return;
    }
    this.picture = timelinePicture({ height: 460 });
    this.picture.tabIndex = 0;
    this.picture.setAttribute("role", "group");
    this.picture.setAttribute("aria-label", "Timeline: arrow keys go from sample to sample, Escape shows all of it");
    const status = el("p", { class: "hint" }, "Drag to look closer, Escape to see all of it. Arrow keys go from sample to sample.");
    this.picture.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
      if (steps) {
        status.textContent = this.picture.step(steps);
        event.preventDefault();
      }
    });
    const legend = el("p", { class: "legend" },
      el("span", { class: "key area" }), "traced: what Python's allocators have handed out" + (report.compared ? ", after" : ""),
      report.compared ? [el("span", { class: "key before" }), "the same, before"] : line.resident.some((bytes) => bytes > 0) ? [el("span", { class: "key resident" }), "resident: physical memory of the whole process"] : " Physical memory was not recorded.",
      [0, 1, 2].map((generation) => [el("span", { class: "key pause g" + generation }), "pause, " + GENERATIONS[generation] + " generation" + (report.compared ? ", after" : "")]));
    const reset = el("button", { type: "button", onclick: () => this.picture.zoom() }, "Show all of it");
    panel.append(el("div", { class: "controls" }, reset), legend, this.picture, status);
    if (line.samples > line.time.length) {
      panel.append(el("p", { class: "hint" }, "Of " + count(line.samples) + " samples the highest and lowest of each stretch are drawn, " + count(line.time.length) + " in all."));
    }
    if (line.more_pauses) {
      panel.append(el("p", { class: "hint" }, count(line.more_pauses) + " shorter pauses (up to " + duration(line.longest_hidden / 1e6) + ") are not drawn."));
    }
    panel.append(line.pauses.length ? el("section", {}, el("h2", { text: "Pauses" }), this.pauses = table({
      caption: "Pauses for collections",
      columns: [
        figureColumn("After", (row) => row[0], (time) => duration(time / 1e6)),
        figureColumn("Took", (row) => row[1], (time) => duration(time / 1e6)),
        { name: "Generation", of: (row) => row[2], show: (row) => GENERATIONS[row[2]] || String(row[2]) },
        figureColumn("Objects freed", (row) => row[3], count),
      ],
      rows: line.pauses,
      sort: [1, true],
      search: (row) => GENERATIONS[row[2]] || "",
    })) : el("p", { class: "hint" }, "There was no pause for a collection."));
  },
  update() {
    if (this.picture) this.picture.update();
  },
  escape() {
    if (!this.picture || !this.picture.isZoomed()) return false;
    this.picture.zoom();
    return true;
  },
});
