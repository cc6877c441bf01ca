// The page of cnn_utils.explorer: it draws, listens and asks; the kernel computes every number shown.
// Few questions are under way at a time; what has happened meanwhile is asked next, the latest only.

const HEIGHT = 168; // of the drawing pad and of a layer's maps, in CSS pixels
const MARKS = { // as in the grids of numbers: what goes in is blue, what comes out is green
  unit: { color: "#1fd6a3", dash: [] },
  window: { color: "#56b4e9", dash: [] },
  field: { color: "#56b4e9", dash: [4, 3] },
  winner: { color: "#ff7a1a", dash: [] },
  pen: { color: "#cc79a7", dash: [] },
};

// Black is zero, white is positive, blue is negative: told apart with any kind of colour vision.
const SHADES = Uint32Array.from({ length: 511 }, (_, i) => {
  const t = Math.abs(i - 255) / 255;
  const rgb = i >= 255 ? [t, t, t] : t < 0.5 ? [0, 0.9 * t, 1.4 * t] : [1.2 * t - 0.6, 0.45 + 0.76 * (t - 0.5), 0.7 + 0.5 * (t - 0.5)];
  return rgb.reduce((word, part, k) => word | (Math.round(255 * Math.min(part, 1)) << (8 * k)), 0xff << 24) >>> 0;
});

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== false));
  return element;
}

const minus = (text) => text.replace("-", "\u2212");
const number = (x) => minus(Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-4) ? Number(x).toExponential(2) : Number(x).toFixed(4));
const size = (layer) => (layer.vector ? `${layer.shape[2]} unit${layer.shape[2] === 1 ? "" : "s"}` : layer.shape.join(" × "));
const fill = (sentence, facts) => sentence.replace(/{(\w+)}/g, (_, name) => facts[name]);
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** A canvas of a layer's maps side by side (a vector: one map, its units in rows), with boxes over them. */
class Maps {
  constructor(layer, canvas) {
    Object.assign(this, { layer, canvas, ...layer.layout, gap: 2 });
    const down = Math.ceil(this.tiles / this.across);
    const room = Math.min((HEIGHT + this.gap) / down - this.gap, layer.vector ? HEIGHT : 52);
    this.zoom = layer.vector ? Math.min(room / this.rows, this.cols === 1 ? 16 : 10) : room / this.rows;
    this.zoom = this.zoom > 1 ? Math.floor(this.zoom) : this.zoom;
    this.resize(this.across * (this.cols * this.zoom + this.gap), down * (this.rows * this.zoom + this.gap));
    this.native = new OffscreenCanvas(this.cols, this.rows * this.tiles);
  }
  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.ceil(width * ratio), height: Math.ceil(height * ratio) });
    this.canvas.style.cssText = `width:${width}px;height:${height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  load(values) {
    const { rows, cols, tiles } = this;
    const picture = new ImageData(cols, rows * tiles);
    const words = new Uint32Array(picture.data.buffer).fill(0x40888888); // grey where a vector has no unit
    this.most = Math.max(this.most ?? 0, largest(values)); // one scale while drawing: a blank pad looks blank
    const scale = 255 / (this.most || 1);
    const count = rows * cols; // (rows, columns, channels) in, one map under the other out
    for (let i = 0; i < values.length; i++) {
      words[this.layer.vector ? i : (i % tiles) * count + Math.floor(i / tiles)] = SHADES[255 + Math.round(values[i] * scale)];
    }
    this.native.getContext("2d").putImageData(picture, 0, 0);
  }
  corner(tile) {
    const { across, cols, rows, zoom, gap } = this;
    return [(tile % across) * (cols * zoom + gap) + gap / 2, Math.floor(tile / across) * (rows * zoom + gap) + gap / 2];
  }
  draw(marks) {
    const { context, cols, rows, zoom } = this;
    context.clearRect(0, 0, 1e5, 1e5);
    context.imageSmoothingEnabled = zoom < 1;
    for (let tile = 0; tile < this.tiles; tile++) {
      context.drawImage(this.native, 0, tile * rows, cols, rows, ...this.corner(tile), cols * zoom, rows * zoom);
    }
    context.setLineDash([]);
    Object.assign(context, { strokeStyle: "#8a8a8a", lineWidth: 1 });
    for (let tile = 0; tile < this.tiles; tile++) context.strokeRect(...this.corner(tile), cols * zoom, rows * zoom);
    for (const mark of marks) this.outline(mark);
  }
  outline({ box, mark, step }) {
    const { color } = MARKS[mark];
    const [r, c, k] = this.layer.vector ? this.cells(box[2]) : box;
    for (let tile = k[0]; tile < k[1]; tile++) {
      const [x, y] = this.corner(tile);
      this.frame(x + c[0] * this.zoom, y + r[0] * this.zoom, (c[1] - c[0]) * this.zoom, (r[1] - r[0]) * this.zoom, MARKS[mark]);
      if (step && (step[0] > 1 || step[1] > 1)) { // a dilated window skips cells: mark those it reads
        this.context.fillStyle = color;
        for (let i = r[0]; i < r[1]; i += step[0]) {
          for (let j = c[0]; j < c[1]; j += step[1]) this.context.fillRect(x + (j + 0.35) * this.zoom, y + (i + 0.35) * this.zoom, 0.3 * this.zoom, 0.3 * this.zoom);
        }
      }
    }
  }
  frame(x, y, width, height, { color, dash }) {
    for (const [style, line, pattern] of [["#000", 4, []], [color, 2, dash]]) {
      Object.assign(this.context, { strokeStyle: style, lineWidth: line });
      this.context.setLineDash(pattern);
      this.context.strokeRect(x, y, width, height);
    }
  }
  cells([first, last]) { // a stretch of a vector, as rows and columns of its one map
    const at = (i) => [Math.floor(i / this.cols), i % this.cols];
    const [[top, left], [bottom, right]] = [at(first), at(last - 1)];
    return [[top, bottom + 1], top === bottom ? [left, right + 1] : [0, this.cols], [0, 1]];
  }
  unitAt({ offsetX, offsetY }) {
    const { across, cols, rows, zoom, gap } = this;
    const tile = Math.floor(offsetY / (rows * zoom + gap)) * across + Math.floor(offsetX / (cols * zoom + gap));
    const [x, y] = this.corner(tile);
    const row = Math.min(Math.max(Math.floor((offsetY - y) / zoom), 0), rows - 1);
    const col = Math.min(Math.max(Math.floor((offsetX - x) / zoom), 0), cols - 1);
    if (this.layer.vector) return row * cols + col < this.layer.shape[2] ? { unit: [row * cols + col], channel: null } : null;
    return tile < this.tiles ? { unit: [row, col], channel: tile } : null;
  }
  stepped({ unit, channel }, key) { // the unit that a key leads to
    const move = { ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0], ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], PageUp: [0, 0, -1], PageDown: [0, 0, 1] }[key];
    if (!move) return null;
    const inside = (i, size) => Math.min(Math.max(i, 0), size - 1);
    if (this.layer.vector) return { unit: [inside(unit[0] + move[0] * this.cols + move[1] + move[2], this.layer.shape[2])], channel };
    return { unit: [inside(unit[0] + move[0], this.rows), inside(unit[1] + move[1], this.cols)], channel: inside(channel + move[2], this.tiles) };
  }
}

function render({ model, el }) {
  const { layers, classes, ink, offered } = model.get("_spec");
  const [input, ...later] = layers;
  const last = later[later.length - 1];
  const hasBars = last && last.shares;
  const { rows, cols } = input.layout; // also where the input is a vector: its numbers in rows
  const depth = input.vector ? 1 : input.shape[2];
  let pixels = new Float32Array(input.shape.reduce((a, b) => a * b)).fill(ink[0]);
  let shown = null; // the unit explained on the page
  let target = null; // the unit asked for last: keys step on from it without waiting for the answer
  let values = null;
  let pinned = false;

  // ---- questions to the kernel: a stroke, a picture, a unit ----
  const me = Math.random().toString(36).slice(2);
  const timings = { stroke: [], unit: [] };
  const asked = [];
  const next = {};
  let patience = 0;

  function ask(type, question = {}) {
    next[type] ??= { since: performance.now() };
    Object.assign(next[type], question);
    pump();
  }
  function pump() {
    const type = ["ready", "pick", "draw", "select"].find((name) => next[name]);
    // Two questions under way, not one: Jupyter's server leaves Nagle's algorithm on, so an answer waits up to
    // 40 ms for the browser to acknowledge the "busy" before it; the second question carries that at once.
    if (!type || asked.length === 2) return;
    const question = { type, id: `${me} ${performance.now()}`, ...next[type] };
    delete next[type];
    asked.push(question);
    clearTimeout(patience);
    patience = setTimeout(() => say("Waiting for the kernel: it may be busy with another cell."), 1500);
    model.send(question, undefined, type === "draw" ? [pixels.slice().buffer] : []);
    pump();
  }
  const pending = (type) => Boolean(next[type] || asked.some((question) => question.type === type));

  function receive(message, buffers) {
    const answered = asked.findIndex((question) => question.id === message.id);
    const [question] = answered < 0 ? [] : asked.splice(answered, 1);
    if (!asked.length) clearTimeout(patience);
    if (message.error) {
      panel.replaceChildren(h("p", { role: "alert" }, message.error));
      return pump();
    }
    const arrays = buffers.map(floats);
    shown = { ...message.unit, padded: message.unit.padded?.flat(), patch: arrays[0], kernel: arrays[1], products: arrays[2] };
    if (!pending("select")) target = shown;
    if (arrays[3]) {
      let start = 0;
      values = Object.fromEntries(layers.map((layer) => {
        const count = layer.shape[0] * layer.shape[1] * layer.shape[2];
        return [layer.name, arrays[3].subarray(start, (start += count))];
      }));
      if (!pending("draw") && message.reason !== "draw") pixels = values[input.name].slice(); // the pad is newer
      for (const layer of later) cards[layer.name].maps.load(values[layer.name]);
    }
    paint();
    if (!question) return;
    const times = { draw: timings.stroke, select: timings.unit }[question.type];
    if (times) requestAnimationFrame(() => times.push(performance.now() - question.since));
    say(question.aloud ? shown.text : "");
    pump();
  }

  // ---- the drawing pad ----
  const padCanvas = h("canvas", {
    class: "pad", tabindex: 0, role: "application", "aria-label":
      `Drawing pad, ${rows} by ${cols} pixels. Draw with mouse, pen or finger; or move with the arrow keys and press Space to draw, Delete to clear.`,
    onpointerdown: (event) => { event.preventDefault(); padCanvas.focus(); padCanvas.setPointerCapture(event.pointerId); stroke(event, true); },
    onpointermove: (event) => { if (event.buttons && padCanvas.hasPointerCapture(event.pointerId)) for (const e of event.getCoalescedEvents?.() ?? [event]) stroke(e); },
    onkeydown: penKeys, onblur: () => { pen = null; paint(); },
  });
  const padZoom = HEIGHT / rows;
  const pad = new Maps({ ...input, vector: false, layout: { rows, cols, tiles: 1, across: 1 } }, padCanvas);
  Object.assign(pad, { zoom: padZoom, gap: 0, native: new OffscreenCanvas(cols, rows) });
  pad.resize(cols * padZoom, HEIGHT);
  let tip = null;
  let pen = null;

  function stroke(event, first = false) {
    const box = padCanvas.getBoundingClientRect();
    const to = [(event.clientX - box.left) / padZoom - 0.5, (event.clientY - box.top) / padZoom - 0.5];
    const from = first ? to : tip ?? to;
    tip = to;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let i = 1; i <= steps; i++) dab(from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps);
    drawn();
  }
  function dab(x, y) { // a round, soft pen, as thick as the strokes of MNIST
    const radius = (1.45 * rows) / 28;
    for (let r = Math.max(0, Math.floor(y - radius)); r <= Math.min(rows - 1, y + radius + 1); r++) {
      for (let c = Math.max(0, Math.floor(x - radius)); c <= Math.min(cols - 1, x + radius + 1); c++) {
        const value = ink[0] + (ink[1] - ink[0]) * Math.min(Math.max(radius + 0.35 - Math.hypot(r - y, c - x), 0), 1);
        const first = (r * cols + c) * depth;
        for (let i = first; i < Math.min(first + depth, pixels.length); i++) pixels[i] = Math.max(pixels[i], value);
      }
    }
  }
  function drawn() { paintPad(); ask("draw"); }
  function clear() { pixels.fill(ink[0]); drawn(); }
  function penKeys(event) {
    const moved = pad.stepped({ unit: pen ?? [rows >> 1, cols >> 1], channel: 0 }, event.key);
    if (moved) pen = moved.unit;
    else if (event.key === " ") { pen ??= [rows >> 1, cols >> 1]; dab(pen[1], pen[0]); drawn(); }
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    paintPad();
  }
  function paintPad() {
    const picture = new ImageData(cols, rows);
    const span = ink[1] - ink[0] || 1;
    for (let i = 0; i < rows * cols; i++) {
      for (let k = 0; k < 3; k++) picture.data[4 * i + k] = (255 * (pixels[i * depth + (depth === 3 ? k : 0)] - ink[0])) / span;
      picture.data[4 * i + 3] = 255;
    }
    pad.native.getContext("2d").putImageData(picture, 0, 0);
    const onPad = ([r, c, k]) => (input.vector ? pad.cells(k) : [r, c, [0, 1]]);
    const marks = marksOn(input).map((mark) => ({ ...mark, box: onPad(mark.box) }));
    if (pen) marks.push({ box: [[pen[0], pen[0] + 1], [pen[1], pen[1] + 1], [0, 1]], mark: "pen" });
    pad.draw(marks);
    if (pixels.every((value) => value === ink[0])) {
      Object.assign(pad.context, { fillStyle: "#bbb", font: "13px system-ui, sans-serif", textAlign: "center" });
      pad.context.fillText("draw a digit here", (cols * padZoom) / 2, HEIGHT / 2);
    }
  }

  // ---- one card for each layer ----
  function card(layer) {
    const head = [h("h4", {}, layer.name), h("p", {}, size(layer)), h("p", {}, layer.caption)];
    const canvas = h("canvas", {
      class: "maps", tabindex: 0, role: "application", "aria-label":
        `${layer.name}, ${layer.caption}: ${layer.vector ? size(layer) : `${layer.shape[2]} maps of ${layer.shape[0]} by ${layer.shape[1]}`}. ` +
        "Arrow keys step from unit to unit, Page Up and Page Down from map to map, Home goes to the most active unit, Enter keeps it.",
      onpointermove: (event) => { if (!pinned) look(layer, maps.unitAt(event)); },
      onpointerdown: (event) => { const place = maps.unitAt(event); if (place) { pinned = !(pinned && isShown(layer, place)); look(layer, place); } },
      onfocus: () => { if (canvas.matches(":focus-visible") && shown?.layer !== layer.name) look(layer, { unit: null, channel: null }, true); },
      onkeydown: (event) => {
        const here = target?.layer === layer.name && target.unit;
        let place = maps.stepped(here ? target : { unit: [0, 0], channel: 0 }, event.key);
        if (event.key === "Home" || (place && !here)) place = { unit: null, channel: null }; // the most active one
        if (event.key === "Enter" || event.key === "Escape") pinned = event.key === "Enter";
        else if (place) { pinned = true; look(layer, place, true); }
        else return;
        event.preventDefault();
        paint();
      },
    });
    const maps = new Maps(layer, canvas);
    const before = layers[layers.indexOf(layer) - 1];
    const chain = layer.sources.length === 1 && layer.sources[0] === before.name; // else say where it comes from
    const from = chain ? null : h("p", {}, `from ${layer.sources.join(", ")}`);
    return { maps, element: h("div", { class: `card ${chain ? "chain" : ""}`, "data-layer": layer.name }, head, canvas, from) };
  }
  function paintBars() {
    const layer = last;
    const scores = [...values[layer.name]];
    const order = scores.map((_, i) => i);
    const most = scores.indexOf(Math.max(...scores));
    const visible = scores.length <= 12 ? order : order.sort((a, b) => scores[b] - scores[a]).slice(0, 10);
    while (bars.children.length < visible.length) {
      const press = (event) => { if (event.type !== "pointerenter" || !pinned) { pinned ||= event.type === "click"; look(layer, { unit: [Number(event.currentTarget.dataset.index)], channel: null }, event.type === "focus"); } };
      bars.append(h("button", { onclick: press, onpointerenter: press, onfocus: press }, h("span"), h("b")));
    }
    visible.forEach((index, place) => {
      const button = bars.children[place];
      const percent = (100 * scores[index]).toFixed(1);
      Object.assign(button.dataset, { index });
      button.className = `${index === most ? "best" : ""} ${shown.layer === layer.name && shown.unit[0] === index ? "chosen" : ""}`;
      button.setAttribute("aria-label", `${classes[index]}: ${percent} percent`);
      button.children[0].textContent = button.children[0].title = classes[index];
      button.children[1].textContent = `${percent} %`;
      button.style.setProperty("--share", `${percent}%`);
    });
  }
  const isShown = (layer, place) => shown?.layer === layer.name && String(shown.unit) === String(place.unit) && shown.channel === place.channel;
  function look(layer, place, aloud = false) {
    if (!place || (isShown(layer, place) && target === shown)) return;
    target = { layer: layer.name, ...place };
    ask("select", { ...target, aloud });
  }
  function marksOn(layer) {
    if (!shown) return [];
    const box = shown.boxes[layer.name];
    if (!box) return [];
    if (layer.name === shown.layer) return [{ box, mark: "unit" }];
    const direct = shown.sources.includes(layer.name);
    const marks = [{ box, mark: direct ? "window" : "field", step: direct && layers.find((l) => l.name === shown.layer).dilation }];
    if (direct && shown.winner) marks.push({ box: shown.winner.map((i) => [i, i + 1]), mark: "winner" });
    for (const { 4: place } of shown.top.slice(0, 5)) {
      if (place && place[0] === layer.name) marks.push({ box: [...place[1].map((i) => [i, i + 1]), [place[2], place[2] + 1]], mark: "winner" });
    }
    return marks;
  }
  function paint() {
    if (!shown || !values) return;
    paintPad();
    for (const layer of later) {
      const { maps, element } = cards[layer.name];
      element.classList.toggle("selected", layer.name === shown.layer);
      maps.draw(marksOn(layer));
    }
    if (hasBars) paintBars();
    panel.replaceChildren(...explain(shown, { classes, pinned, layers }));
  }

  // ---- the page ----
  const cards = Object.fromEntries(later.map((layer) => [layer.name, card(layer)]));
  const panel = h("section", { class: "panel", "aria-label": "The arithmetic of the chosen unit" });
  const speech = h("div", { class: "speech", role: "status", "aria-live": "polite" });
  const say = (text) => { if (speech.textContent !== text) speech.textContent = text; };
  const bars = h("div", { class: "bars", role: "group", "aria-label": "What the model says" });
  const legend = (style, text) => h("span", {}, h("i", { style }), text);
  const line = ({ color, dash }) => `border:2px ${dash.length ? "dashed" : "solid"} ${color}`;
  const root = h("div", { class: "cnn-explorer", "data-lm-suppress-shortcuts": "true" }, h("div", { class: "layout" },
    h("div", { class: "side card", "data-layer": input.name },
      h("h4", {}, "input"), h("p", {}, size(input)), h("p", {}, "draw here"), padCanvas,
      h("div", { class: "tools" }, h("button", { onclick: clear }, "Clear"), offered ? "or pick one:" : ""),
      offered ? h("div", { class: "offered" }, thumbnails(model, input, offered, (index) => ask("pick", { index }))) : null,
      hasBars ? [h("h4", {}, "the model says"), bars] : null),
    h("div", { class: "flow" },
      h("div", { class: "network" }, later.map((layer) => cards[layer.name].element)),
      h("div", { class: "legend" }, legend("background:#fff", "positive"), legend("background:#000", "zero"), legend("background:#56b4e9", "negative"),
        legend(line(MARKS.unit), "the unit"), legend(line(MARKS.window), "what it sees in the layer before"), legend(line(MARKS.field), "and further back"),
        legend(line(MARKS.winner), "winner, strongest"))),
    panel), speech);
  Object.assign(root, { timings, busy: () => asked.length + Object.keys(next).length > 0 }); // for tests
  el.append(root);
  for (const name of ["keydown", "pointerdown"]) root.addEventListener(name, (event) => event.stopPropagation());
  model.on("msg:custom", receive);
  ask("ready");
  return () => model.off("msg:custom", receive);
}

function thumbnails(model, input, count, pick) {
  const view = model.get("_offered");
  const { rows, cols } = input.layout;
  const depth = input.vector ? 1 : input.shape[2];
  const length = input.shape.reduce((a, b) => a * b);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return Array.from({ length: count }, (_, n) => {
    const canvas = h("canvas", { width: cols, height: rows });
    const picture = new ImageData(cols, rows);
    for (let i = 0; i < length / depth; i++) {
      for (let k = 0; k < 3; k++) picture.data[4 * i + k] = bytes[n * length + i * depth + (depth === 3 ? k : 0)];
      picture.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return h("button", { "aria-label": `Image ${n}`, title: `image ${n}`, onclick: () => pick(n) }, canvas);
  });
}

// ---- the arithmetic of one unit, as a page -----------------------------------------------------------

function explain(unit, { classes, pinned, layers }) {
  const layer = layers.find((l) => l.name === unit.layer);
  const isClass = layers.indexOf(layer) >= layers.length - 2 && layer.vector && layer.shape[2] === classes.length;
  const named = isClass && classes[unit.unit[0]] !== String(unit.unit[0]) ? `: ${classes[unit.unit[0]]}` : "";
  const where = unit.channel === null ? `unit ${unit.unit[0]}${named}` : `channel ${unit.channel}, row ${unit.unit[0]}, column ${unit.unit[1]}`;
  const hint = pinned ? "kept: click it again to let go" : "point at any unit; click to keep it";
  const title = h("h3", {}, `${unit.layer} \u00b7 ${where}`, h("small", {}, hint));
  const work = { window: windows, products: windows, contributions, terms }[layer.shows];
  const facts = { ...factsOf(unit), ...Object.fromEntries(Object.entries(unit.terms).map(([name, value]) => [name, number(value)])) };
  return [title, equation(unit, layer, facts), layer.formula ? h("p", {}, fill(layer.formula, facts)) : null,
    work ? work(unit, layer) : null, unit.scores ? scores(unit, classes) : null].filter(Boolean);
}

const factsOf = (unit) => ({ // what the sentences of a layer's record leave open
  count: unit.patch.length, visible: unit.padded?.filter((p) => !p).length, source: unit.sources[0], row: unit.winner?.[0], col: unit.winner?.[1],
  x: unit.patch.length ? number(unit.patch[0]) : "",
});

function equation(unit, layer, facts) {
  const result = (name, role = "") => h("output", { class: role, "data-field": name, "data-value": unit[name] }, number(unit[name]));
  const word = (text) => h("span", {}, text);
  const outside = layer.rule === "pass" && unit.padded?.[0];
  const parts = [word(fill(outside ? "outside the map: padding, which is zero" : layer.says, { ...facts, function: layer.function }))];
  if (unit.sum !== null) parts.push(result("sum"));
  if (unit.bias !== null) parts.push(word(`+ ${layer.bias}`), result("bias", "kernel"));
  if (layer.rule === "bend") parts.push(result("pre_activation"));
  else if (unit.function !== "linear") {
    if (unit.bias !== null) parts.push(word("="), result("pre_activation"));
    parts.push(word(`\u2192 ${layer.function} \u2192`));
  }
  if (layer.rule === "bend" || unit.function === "linear") parts.push(word("="));
  const agrees = !(Math.abs(unit.activation - unit.output) > unit.tolerance);
  const how = unit.precision === "float32" ? "" : ` in ${unit.precision}: ${number(unit.output)}`;
  const verdict = agrees ? `\u2713 what the model itself gives${how}` : `\u2717 the model gives ${number(unit.output)}`;
  return h("p", { class: "equation" }, parts, result("activation", "result"), word(verdict));
}

/** Patch, kernel and products of every input channel as grids of numbers. */
function windows(unit, layer) {
  const [rows, cols, channels] = unit.shape;
  const alone = layer.shows === "window";
  const first = unit.window[2][0];
  const slice = (values, k) => Array.from({ length: rows * cols }, (_, i) => values[i * channels + k]);
  const digits = (values) => { const most = largest(values); return most >= 100 ? 0 : most >= 10 ? 1 : most >= 0.2 || most === 0 ? 2 : 3; };
  const scales = Object.fromEntries((alone ? ["patch"] : ["patch", "kernel", "products"]).map((name) => [name, { most: largest(unit[name]) || 1, digits: digits(unit[name]) }]));
  const grid = (name, k, role, caption) => {
    const cells = slice(unit[name], k);
    const { most, digits } = scales[name];
    const cell = (value, i) => {
      const padding = unit.padded[i];
      const winner = unit.winner && Math.floor(i / cols) === unit.winner[0] - unit.window[0][0] && i % cols === unit.winner[1] - unit.window[1][0];
      const text = padding && alone ? "" : minus(value.toFixed(digits)).replace(/^\u2212(0(\.0+)?)$/, "$1");
      return h("td", { class: padding && name === "patch" ? "padding" : winner ? "winner" : null, title: padding && name === "patch" ? "padding" : String(value),
        style: `--tint:${value < 0 ? "#8a8a8a" : `var(--${role})`};--much:${Math.round((55 * Math.abs(value)) / most)}%` }, text);
    };
    return h("table", { class: "grid", "data-grid": name, style: `--role:var(--${role});--wide:${digits === 3 ? 45 : 36}px` }, h("caption", {}, caption),
      h("tbody", {}, Array.from({ length: rows }, (_, r) => h("tr", {}, cells.slice(r * cols, (r + 1) * cols).map((value, c) => cell(value, r * cols + c))))));
  };
  const channel = (k) => {
    const of = `channel ${first + k}`;
    if (alone) return h("div", { class: "channel" }, grid("patch", k, "input", `${of} of ${unit.sources[0]}`));
    const total = slice(unit.products, k).reduce((a, b) => a + b, 0);
    return h("div", { class: "channel" }, grid("patch", k, "input", of), h("span", {}, "\u00d7"), grid("kernel", k, "kernel", "kernel"),
      h("span", {}, "="), grid("products", k, "output", `products: \u03a3 ${number(total)}`));
  };
  const some = Math.min(channels, Math.max(1, Math.floor(1200 / (rows * cols)))); // as many as a page can take
  const area = h("div", { class: `work ${unit.patch.length <= 9 ? "few" : ""}`, tabindex: 0, role: "group", "aria-label": "Window, kernel and products" }, Array.from({ length: some }, (_, k) => channel(k)));
  if (some < channels) {
    const more = h("button", { onclick: () => more.replaceWith(...Array.from({ length: channels - some }, (_, k) => channel(some + k))) }, `Show all ${channels} channels`);
    area.append(more);
  }
  return area;
}

function bar(value, most) {
  return h("td", { class: "track" }, h("div", { class: `bar ${value < 0 ? "negative" : ""}`, style: `width:${Math.round((100 * Math.abs(value)) / (most || 1))}%` }));
}

function list(head, rows) {
  return h("div", { class: "work" }, h("table", { class: "list" },
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(({ cells, chosen }) => h("tr", { class: chosen ? "chosen" : null }, cells.map((cell) => (cell instanceof Node ? cell : h("td", {}, cell))))))));
}

function contributions(unit) {
  const rest = unit.patch.length - unit.top.length;
  const sum = unit.sum - unit.top.reduce((total, c) => total + c[3], 0);
  const most = largest([sum, ...unit.top.map((c) => c[3])]);
  const from = (index, place) => (place ? `${place[0]}, channel ${place[2]}, row ${place[1][0]}, column ${place[1][1]}` : `${unit.sources[0]}, unit ${index}`);
  const rows = unit.top.map(([index, value, weight, product, place]) => ({ cells: [from(index, place), number(value), number(weight), number(product), bar(product, most)] }));
  if (rest > 0) rows.push({ cells: [`the other ${rest} together`, "", "", number(sum), bar(sum, most)] });
  return list(["strongest contributions", "value", "× weight", "= product", ""], rows);
}

function scores(unit, classes) {
  const total = unit.exponentials.reduce((a, b) => a + b, 0);
  const chosen = unit.channel ?? unit.unit[0];
  const names = classes.length === unit.scores.length ? classes : unit.scores.map((_, i) => i);
  const order = unit.scores.map((_, i) => i);
  const visible = order.length <= 24 ? order : order.sort((a, b) => unit.scores[b] - unit.scores[a]).slice(0, 24);
  const highest = Math.max(...unit.scores);
  return list(["output", "score z", `exp(z \u2212 ${number(highest)})`, `\u00f7 ${number(total)}`, ""], visible.map((i) => ({ chosen: i === chosen,
    cells: [String(names[i]), number(unit.scores[i]), number(unit.exponentials[i]), `${((100 * unit.exponentials[i]) / total).toFixed(2)} %`, bar(unit.exponentials[i] / total, 1)] })));
}

function terms(unit) {
  return list(["from", "value"], unit.sources.map((name, i) => ({ cells: [name, number(unit.patch[i])] })));
}

export default { render };
