// The page of cnn_utils.explorer: it draws and listens. `engine`, which stands above, computes every number shown;
// the kernel, where there is one, follows which image and which unit that is.

const HEIGHT = 168; // of the drawing pad and of a layer's maps, in CSS pixels
const MARKS = { // as in the grids of numbers: what goes in is blue, what comes out is green
  unit: { color: "#1fd6a3", dash: [] },
  window: { color: "#56b4e9", dash: [] },
  field: { color: "#56b4e9", dash: [4, 3] },
  winner: { color: "#ff7a1a", dash: [] },
  pen: { color: "#cc79a7", dash: [] },
};

// Black is zero, white is positive, blue is negative: told apart with any kind of colour vision.
const shades = (rgb) => Uint32Array.from({ length: 511 }, (_, i) =>
  rgb(Math.abs(i - 255) / 255, i < 255).reduce((word, part, k) => word | (Math.round(255 * Math.min(part, 1)) << (8 * k)), 0xff << 24) >>> 0);
const SHADES = shades((t, negative) => (!negative ? [t, t, t] : t < 0.5 ? [0, 0.9 * t, 1.4 * t] : [1.2 * t - 0.6, 0.45 + 0.76 * (t - 0.5), 0.7 + 0.5 * (t - 0.5)]));
// Of gradients, white is zero; the ends are those of the course's figures.
const ENDS = { positive: "#cc79a7", negative: "#4d4d4d" };
const SLOPES = shades((t, negative) => [1, 3, 5].map((at) => 1 - t * (1 - parseInt(ENDS[negative ? "negative" : "positive"].slice(at, at + 2), 16) / 255)));

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
function largest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > most || -values[i] > most) most = Math.abs(values[i]);
  return most;
}
const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
const afterPaint = (then) => requestAnimationFrame(() => setTimeout(then));
const count = (layer) => layer.shape.reduce((a, b) => a * b);

const SMALL = 3e6; // multiply-adds that take a few milliseconds
const work = (layer) => count(layer) * (layer.kernel ? layer.kernel.shape.slice(0, 3) : layer.axes.map((axis) => axis.kernel)).reduce((a, b) => a * b, 1);

/** The forward pass, in a worker beside the page; one image at a time, then the latest. A small network is computed in the page
 * at once, and painted in the frame of its stroke: a worker's answer would wait for the next. */
class Runner {
  constructor(layers, arrays, answers) {
    Object.assign(this, { answers, setUp: { layers, arrays }, running: null, next: null });
    if (layers.reduce((sum, layer) => sum + work(layer), 0) < SMALL) this.stay((answer) => answer());
    else this.leave();
  }
  leave() {
    const source = `const answer = (${engine})().server();
      onmessage = ({ data }) => {
        const found = answer(data), sent = [found?.values ?? {}, ...Object.values(found?.gradients ?? {})].flatMap(Object.values);
        postMessage(found, [...new Set(sent.map((x) => x.buffer))]); // handed over, not copied: the worker keeps nothing
      };`;
    this.address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    try {
      this.worker = new Worker(this.address);
      this.worker.onerror = () => this.stay(setTimeout); // a Content-Security-Policy forbids workers
      this.worker.onmessage = ({ data }) => this.receive(data);
      this.worker.postMessage(this.setUp);
    } catch {
      this.stay(setTimeout);
    }
  }
  stay(when) {
    this.worker = null;
    const answer = engine().server();
    answer(this.setUp);
    this.inPage = (question) => when(() => this.receive(answer(question)));
    if (this.running) this.inPage(this.running);
  }
  ask(question) {
    this.next = { since: performance.now(), ...this.next, ...question };
    if (!this.running) this.start();
  }
  start() {
    [this.running, this.next] = [this.next, null];
    if (this.running) this.worker ? this.worker.postMessage(this.running) : this.inPage(this.running);
  }
  receive(found) {
    if (!found) return; // it has been set up
    const { since } = this.running;
    this.start();
    this.answers(found, since);
  }
  stop() {
    this.worker?.terminate();
    if (this.address) URL.revokeObjectURL(this.address);
  }
}

/** Which of so many values each of so many pixels shows: pixel i those from [i] to [i + 1], one at least. */
const shared = (values, pixels) => Int32Array.from({ length: pixels + 1 }, (_, i) => Math.floor((i * values) / pixels));

function reachOf(values) { // as `largest`, but always of a Float32Array: such code is compiled to a few instructions
  let found = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > found || -values[i] > found) found = Math.abs(values[i]);
  return found;
}

function frame(words, width, left, top, wide, high) {
  for (let y = top; y < top + high; y++) words.fill(0xff8a8a8a, y * width + left, y * width + left + wide);
}

/** A map as pixels: the values tile, tile + step, …; of values that share a pixel, their mean. */
function paintTile(words, width, left, top, values, tile, step, cols, across, down, scale, colors) {
  for (let y = 0; y + 1 < down.length; y++) {
    const [first, last] = [down[y], Math.max(down[y] + 1, down[y + 1])];
    for (let x = 0; x + 1 < across.length; x++) {
      const [begin, end] = [across[x], Math.max(across[x] + 1, across[x + 1])];
      let sum = 0;
      for (let r = first; r < last; r++) for (let c = begin; c < end; c++) sum += values[(r * cols + c) * step + tile];
      const mean = sum / ((last - first) * (end - begin));
      words[(top + y) * width + left + x] = mean === mean ? colors[(255.5 + mean * scale) | 0] : 0x40888888; // a vector may have no unit there
    }
  }
}

/** A canvas of a layer's maps side by side (a vector: one map, its units in rows), with boxes over them. */
class Maps {
  constructor(layer, canvas) {
    Object.assign(this, { layer, canvas, ...layer.layout, gap: 2 });
    const down = Math.ceil(this.tiles / this.across);
    const room = Math.min((HEIGHT + this.gap) / down - this.gap, layer.vector ? HEIGHT : layer.sources.length ? 52 : HEIGHT / 2);
    this.zoom = layer.vector ? Math.min(room / this.rows, this.cols === 1 ? 16 : 10) : room / this.rows;
    this.zoom = this.zoom > 1 ? Math.floor(this.zoom) : this.zoom;
    this.resize(this.across * (this.cols * this.zoom + this.gap), down * (this.rows * this.zoom + this.gap));
    this.loaded = null; // the values in the picture
  }
  resize(width, height) {
    const ratio = (this.ratio = window.devicePixelRatio || 1);
    Object.assign(this.canvas, { width: Math.ceil(width * ratio), height: Math.ceil(height * ratio) });
    this.canvas.style.cssText = `width:${width}px;height:${height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  load(values, slopes = false) {
    if (this.loaded === values) return;
    this.loaded = values;
    this.reach = slopes ? reachOf(values) : Math.max(this.slopes ? 0 : this.reach ?? 0, reachOf(values)); // one scale while drawing: a blank pad looks blank
    this.slopes = slopes;
    this.picture = this.mosaic(values, 255 / (this.reach || 1), slopes ? SLOPES : SHADES);
  }
  /** All maps in one picture, as large as they are seen; (rows, columns, channels) in. */
  mosaic(values, scale, colors) {
    const { canvas: { width, height }, rows, cols, tiles, zoom, ratio, layer } = this;
    const picture = new ImageData(width, height);
    const words = new Uint32Array(picture.data.buffer);
    const [across, down] = [cols, rows].map((count) => shared(count, Math.max(1, Math.round(count * zoom * ratio))));
    for (let tile = 0; tile < tiles; tile++) {
      const [x, y] = this.corner(tile).map((at) => Math.round(at * ratio));
      frame(words, width, x - 1, y - 1, across.length + 1, down.length + 1);
      paintTile(words, width, x, y, values, tile, layer.vector ? 1 : tiles, cols, across, down, scale, colors);
    }
    return picture;
  }
  corner(tile) {
    const { across, cols, rows, zoom, gap } = this;
    return [(tile % across) * (cols * zoom + gap) + gap / 2, Math.floor(tile / across) * (rows * zoom + gap) + gap / 2];
  }
  draw(marks) {
    const { context, cols, rows, zoom } = this;
    const same = [this.loaded, JSON.stringify(marks)];
    if (this.drawn?.every((part, i) => part === same[i])) return;
    this.drawn = same;
    if (this.photograph) {
      context.imageSmoothingEnabled = zoom < 1;
      context.drawImage(this.photograph, 0, 0, cols * zoom, rows * zoom);
    } else context.putImageData(this.picture, 0, 0);
    for (const mark of marks) this.outline(mark);
  }
  outline({ box, mark, step }) {
    const { color, dash } = MARKS[mark];
    const { context, zoom } = this;
    const [r, c, k] = this.layer.vector ? this.cells(box[2]) : box;
    context.beginPath();
    for (let tile = k[0]; tile < k[1]; tile++) {
      const [x, y] = this.corner(tile);
      context.rect(x + c[0] * zoom, y + r[0] * zoom, (c[1] - c[0]) * zoom, (r[1] - r[0]) * zoom);
      if (step && (step[0] > 1 || step[1] > 1)) { // a dilated window skips cells: mark those it reads
        context.fillStyle = color;
        for (let i = r[0]; i < r[1]; i += step[0]) {
          for (let j = c[0]; j < c[1]; j += step[1]) context.fillRect(x + (j + 0.35) * zoom, y + (i + 0.35) * zoom, 0.3 * zoom, 0.3 * zoom);
        }
      }
    }
    for (const [strokeStyle, lineWidth, pattern] of [["#000", 4, []], [color, 2, dash]]) {
      Object.assign(context, { strokeStyle, lineWidth });
      context.setLineDash(pattern);
      context.stroke();
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

/** The page of a network; again from the start when the network has changed, as after more training. */
function render({ model, el }) {
  let close = show(model, el);
  const again = () => { close(); close = show(model, el); };
  model.on("change:_network", again);
  return () => { model.off("change:_network", again); close(); };
}

function show(model, el) {
  const { layers: every, classes, ink, arrays, probe } = model.get("_network");
  const weights = floats(arrays);
  const { open, explain: explanation, blame } = engine();
  const network = open(every, weights);
  const layers = every.filter((layer) => layer.shown);
  const [input, ...later] = layers;
  const last = later[later.length - 1];
  const hasBars = last && last.shares;
  const final = every[every.length - 1]; // also if it is not shown
  const { rows, cols } = input.layout; // also where the input is a vector: its numbers in rows
  const depth = input.vector ? 1 : input.shape[2];
  const images = floats(model.get("_images"));
  const offered = images.length > count(input) ? images.length / count(input) : 0;
  let sent = model.get("_image"); // what kernel and page agree on
  let pixels = floats(sent);
  let selected = model.get("_selected");
  let target = model.get("_target"); // { of: "score" or "loss", index } to show gradients of; {} is forward
  let shown = null; // the unit explained on the page
  let values = null;
  let back = null; // the gradients of an image, and of what they are
  let pinned = false;
  let aloud = false; // say what comes next
  const timings = { stroke: [], unit: [] };

  // ---- a stroke, a picture, a unit: computed here, told to the kernel ----
  const runner = new Runner(every, weights, (found, since) => {
    if (found.wrong) warn(found.wrong);
    if (!found.values && !found.gradients) return;
    values = found.values ?? values;
    back = found.gradients ? found : null;
    explainSelected();
    afterPaint(() => timings.stroke.push(performance.now() - since));
    if (aloud && !runner.running) sayResult();
  });
  function compute() { runner.ask({ image: pixels.slice(), target: target.of ? target : null }); }
  function explainSelected() {
    if (!values) return;
    if (!target.of) back = null;
    const from = back && blame(network, values, back.gradients, back.target, ...selected);
    if (from) selected = [from.layer, from.unit, from.channel];
    shown = explanation(network, values, ...selected);
    if (from) Object.assign(shown, { from, text: from.text, winner: null, ...readersOf(from) });
    selected = [shown.layer, shown.unit, shown.channel];
    paint();
  }
  function readersOf({ layer, parts }) { // for the marks on the maps, as of the layers before when it goes forward
    const strongest = parts.filter(({ shows }) => shows === "contributions");
    return { sources: parts.map(({ layer }) => layer),
      boxes: { [layer]: shown.boxes[layer], ...Object.fromEntries(parts.filter(({ patch }) => patch.length).map(({ layer, window }) => [layer, window])) },
      top: strongest.flatMap((part) => part.top.map(([[row, col, channel], ...numbers]) => [0, ...numbers, [part.layer, [row, col], channel]])) };
  }
  /** Go forward with {}, or show the gradients of a target. */
  function turn(to, spoken = true) {
    target = to;
    tell();
    ways.update();
    if (!values) return;
    if (target.of) { aloud = spoken; compute(); } else { explainSelected(); if (spoken) say(`Forward. ${shown.text}`); }
  }
  const what = (of) => (of.of === "score" ? `the score of ${nameOf(final, classes, of)}` : `the loss if ${nameOf(final, classes, of)} were right`);
  /** Of an output that is a map, the unit to go back from is chosen there. */
  function aim(layer, { unit: [row, col], channel }) {
    const [, cols, channels] = final.shape;
    if (back && layer === final && !final.vector) turn({ ...target, index: (row * cols + col) * channels + channel });
  }
  function tell() { // a kernel that is busy hears the latest when it is free; one that is gone is not missed
    sent = new DataView(pixels.slice().buffer);
    try {
      model.set("_image", sent);
      model.set("_selected", selected);
      model.set("_target", target);
      model.save_changes();
    } catch { /* the page needs no kernel */ }
  }
  function imageFromKernel() {
    if (model.get("_image") === sent) return;
    sent = model.get("_image");
    pixels = floats(sent);
    compute();
  }
  function unitFromKernel() {
    if (String(model.get("_selected")) === String(selected)) return;
    selected = model.get("_selected");
    explainSelected();
  }
  function targetFromKernel() {
    if (JSON.stringify(model.get("_target")) !== JSON.stringify(target)) turn(model.get("_target"), false);
  }
  function warn(wrong) {
    for (const { name, much } of wrong) root.prepend(h("p", { class: "wrong", role: "alert" }, `Do not trust ${name}: this page and Keras differ by ${number(much)}.`));
  }
  function sayResult() {
    aloud = false;
    const scores = hasBars ? values[last.name] : null;
    const best = scores?.indexOf(Math.max(...scores));
    const answer = scores ? `The model says ${classes[best]}, ${(100 * scores[best]).toFixed(1)} percent. ` : "";
    say(`${answer}${back ? `Backward, gradients of ${what(back.target)}. ` : ""}${shown.text}`);
  }

  // ---- the drawing pad ----
  const padCanvas = h("canvas", {
    class: "pad", tabindex: 0, role: "application", "aria-label":
      `Drawing pad, ${rows} by ${cols} pixels. Draw with mouse, pen or finger; or move with the arrow keys and press Space to draw, Delete to clear.`,
    onpointerdown: (event) => { event.preventDefault(); padCanvas.focus(); padCanvas.setPointerCapture(event.pointerId); stroke([event], true); },
    onpointermove: (event) => { if (event.buttons && padCanvas.hasPointerCapture(event.pointerId)) stroke([...(event.getCoalescedEvents?.() ?? []), event]); },
    onpointerup: finished, onkeydown: penKeys, onblur: () => { pen = null; paint(); },
  });
  const padZoom = HEIGHT / rows;
  const pad = new Maps({ ...input, vector: false, layout: { rows, cols, tiles: 1, across: 1 } }, padCanvas);
  Object.assign(pad, { zoom: padZoom, gap: 0, photograph: new OffscreenCanvas(cols, rows) });
  pad.resize(cols * padZoom, HEIGHT);
  let tip = null;
  let pen = null;

  function stroke(events, first = false) {
    const box = padCanvas.getBoundingClientRect();
    for (const { clientX, clientY } of events) {
      const to = [(clientX - box.left) / padZoom - 0.5, (clientY - box.top) / padZoom - 0.5];
      const from = first ? to : tip ?? to;
      tip = to;
      const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
      for (let i = 1; i <= steps; i++) dab(from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps);
    }
    stroked();
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
  function stroked() { paintPad(); compute(); tell(); }
  function finished() { aloud = true; if (values && !runner.running) sayResult(); }
  function clear() { pixels.fill(ink[0]); stroked(); finished(); }
  function pick(index) { pixels = images.slice(index * count(input), (index + 1) * count(input)); stroked(); finished(); }
  function penKeys(event) {
    const moved = pad.stepped({ unit: pen ?? [rows >> 1, cols >> 1], channel: 0 }, event.key);
    if (moved) pen = moved.unit;
    else if (event.key === " ") { pen ??= [rows >> 1, cols >> 1]; dab(pen[1], pen[0]); stroked(); finished(); }
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    paintPad();
  }
  function paintPad() {
    pad.photograph.getContext("2d").putImageData(photograph(pixels, rows, cols, depth, ink), 0, 0);
    const onPad = ([r, c, k]) => (input.vector ? pad.cells(k) : [r, c, [0, 1]]);
    const marks = marksOn(input).map((mark) => ({ ...mark, box: onPad(mark.box) }));
    if (pen) marks.push({ box: [[pen[0], pen[0] + 1], [pen[1], pen[1] + 1], [0, 1]], mark: "pen" });
    pad.drawn = null; // another picture
    pad.draw(marks);
    if (pixels.every((value) => value === ink[0])) {
      Object.assign(pad.context, { fillStyle: "#bbb", font: "13px system-ui, sans-serif", textAlign: "center" });
      pad.context.fillText("draw a digit here", (cols * padZoom) / 2, HEIGHT / 2);
    }
  }

  // ---- one card for each layer ----
  function card(layer) {
    const reach = h("p", { class: "behind" });
    const head = [h("h4", {}, layer === input ? "input" : layer.name), h("p", {}, size(layer)), h("p", {}, layer.caption), reach];
    const canvas = h("canvas", {
      class: "maps", tabindex: 0, role: "application", "aria-label":
        `${layer.name}, ${layer.caption}: ${layer.vector ? size(layer) : `${layer.shape[2]} maps of ${layer.shape[0]} by ${layer.shape[1]}`}. ` +
        "Arrow keys step from unit to unit, Page Up and Page Down from map to map, Home goes to the most active unit, Enter keeps it.",
      onpointermove: (event) => { if (!pinned) look(layer, maps.unitAt(event)); },
      onpointerdown: (event) => { const place = maps.unitAt(event); if (place) { pinned = !(pinned && isShown(layer, place)); look(layer, place); aim(layer, place); } },
      onfocus: () => { if (canvas.matches(":focus-visible") && shown?.layer !== layer.name) look(layer, { unit: null, channel: null }, true); },
      onkeydown: (event) => {
        const here = shown?.layer === layer.name;
        let place = maps.stepped(here ? shown : { unit: [0, 0], channel: 0 }, event.key);
        if (event.key === "Home" || (place && !here)) place = { unit: null, channel: null }; // the most active one
        if (event.key === "Enter" || event.key === "Escape") { pinned = event.key === "Enter"; if (pinned && here) aim(layer, shown); }
        else if (place) { pinned = true; look(layer, place, true); }
        else return;
        event.preventDefault();
        paint();
      },
    });
    const maps = new Maps(layer, canvas);
    const before = layers[layers.indexOf(layer) - 1];
    const chain = layer.sources.length === 1 && layer.sources[0] === before.name; // else say where it comes from
    const from = chain || layer === input ? null : h("p", {}, `from ${layer.sources.join(", ")}`);
    return { maps, reach, element: h("div", { class: `card ${chain ? "chain" : ""} ${layer === input ? "behind" : ""}`, "data-layer": layer.name }, head, canvas, from) };
  }
  function paintBars() {
    const layer = last;
    const scores = [...values[layer.name]];
    const order = scores.map((_, i) => i);
    const most = scores.indexOf(Math.max(...scores));
    const visible = scores.length <= 12 ? order : order.sort((a, b) => scores[b] - scores[a]).slice(0, 10);
    while (bars.children.length < visible.length) {
      const press = (event) => { if (back && event.type === "click" && layer === final) turn({ ...target, index: Number(event.currentTarget.dataset.index) }); else if (event.type !== "pointerenter" || !pinned) { pinned ||= event.type === "click"; look(layer, { unit: [Number(event.currentTarget.dataset.index)], channel: null }, event.type === "focus"); } };
      bars.append(h("button", { onclick: press, onpointerenter: press, onfocus: press }, h("span"), h("b")));
    }
    visible.forEach((index, place) => {
      const button = bars.children[place];
      const percent = (100 * scores[index]).toFixed(1);
      Object.assign(button.dataset, { index });
      button.className = `${index === most ? "best" : ""} ${back?.target.index === index ? "target" : ""} ${shown.layer === layer.name && shown.unit[0] === index ? "chosen" : ""}`;
      button.setAttribute("aria-label", `${classes[index]}: ${percent} percent`);
      button.children[0].textContent = button.children[0].title = classes[index];
      button.children[1].textContent = `${percent} %`;
      button.style.setProperty("--share", `${percent}%`);
    });
  }
  const isShown = (layer, place) => shown?.layer === layer.name && String(shown.unit) === String(place.unit) && shown.channel === place.channel;
  function look(layer, place, spoken = false) {
    if (!place || !values || isShown(layer, place)) return;
    const since = performance.now();
    selected = [layer.name, place.unit, place.channel];
    explainSelected();
    tell();
    if (spoken) say(shown.text);
    afterPaint(() => timings.unit.push(performance.now() - since));
  }
  function marksOn(layer) {
    if (!shown) return [];
    const box = shown.boxes[layer.name];
    if (!box) return [];
    if (layer.name === shown.layer) return [{ box, mark: "unit" }];
    const direct = shown.sources.includes(layer.name);
    const marks = [{ box, mark: direct ? "window" : "field", step: direct && !back && layers.find((l) => l.name === shown.layer).axes.map((axis) => axis.dilation) }];
    if (direct && shown.winner) marks.push({ box: shown.winner.map((i) => [i, i + 1]), mark: "winner" });
    for (const { 4: place } of shown.top.slice(0, 5)) {
      if (place && place[0] === layer.name) marks.push({ box: [...place[1].map((i) => [i, i + 1]), [place[2], place[2] + 1]], mark: "winner" });
    }
    return marks;
  }
  function paintMaps(layer) { // where it can be seen
    const { maps, reach, element } = cards[layer.name];
    element.classList.toggle("selected", layer.name === shown.layer);
    if (!visible.has(element)) return;
    const slopes = back?.gradients[layer.name].output;
    maps.load(slopes ?? values[layer.name], Boolean(slopes));
    if (slopes) reach.textContent = `up to \u00b1${Number(maps.reach.toPrecision(3))}`;
    maps.draw(marksOn(layer));
  }
  const visible = new Set();
  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) isIntersecting ? visible.add(target) : visible.delete(target);
    if (shown) for (const { target, isIntersecting } of changes) if (isIntersecting) paintMaps(layers.find((layer) => layer.name === target.dataset.layer));
  }, { rootMargin: "60px" });
  function paint() {
    if (!shown || !values) return;
    paintPad();
    root.classList.toggle("backward", Boolean(back));
    layers.forEach(paintMaps);
    if (hasBars) paintBars();
    const parts = shown.from ? explainBack(shown.from, { classes, pinned, layers, grids, target: back.target, what: what(back.target) }) : explain(shown, { classes, pinned, layers, grids });
    for (const child of [...panel.children]) if (!parts.includes(child)) child.remove();
    let next = panel.firstChild; // grids that are there already stay where they are, scrolled as they are
    for (const part of parts) part === next ? (next = next.nextSibling) : panel.insertBefore(part, next);
    for (const [key, { element }] of drawn) if (!parts.includes(element)) drawn.delete(key);
  }
  const drawn = new Map(); // the grids of numbers on the page
  function grids(name, unit, words) {
    const key = `${name} ${unit.shape}`;
    if (!drawn.has(key)) drawn.set(key, new Grids(unit, words));
    drawn.get(key).update(unit);
    return drawn.get(key).element;
  }

  // ---- the page ----
  const cards = Object.fromEntries(layers.map((layer) => [layer.name, card(layer)]));
  const panel = h("section", { class: "panel", "aria-label": "The arithmetic of the chosen unit" });
  const speech = h("div", { class: "speech", role: "status", "aria-live": "polite" });
  const say = (text) => { if (speech.textContent !== text) speech.textContent = text; };
  const bars = h("div", { class: "bars", role: "group", "aria-label": "What the model says" });
  const ways = waysOf(final, classes, turn, () => ({ target, values: values?.[final.name] }));
  const legend = (style, text, way = "") => h("span", { class: way }, h("i", { style }), text);
  const line = ({ color, dash }) => `border:2px ${dash.length ? "dashed" : "solid"} ${color}`;
  const root = h("div", { class: "cnn-explorer", "data-lm-suppress-shortcuts": "true" }, h("div", { class: "layout" },
    h("div", { class: "side card", "data-layer": input.name },
      h("h4", {}, "input"), h("p", {}, size(input)), h("p", {}, "draw here"), padCanvas,
      h("div", { class: "tools" }, h("button", { onclick: clear }, "Clear"), offered ? "or pick one:" : ""),
      offered ? h("div", { class: "offered" }, thumbnails(images, input, offered, ink, pick)) : null,
      hasBars ? h("div", { class: "says" }, h("h4", {}, "the model says"), bars) : null),
    h("div", { class: "flow" }, ways.element,
      h("div", { class: "network" }, layers.map((layer) => cards[layer.name].element)),
      h("div", { class: "legend" }, legend("background:#fff", "positive", "ahead"), legend("background:#000", "zero", "ahead"), legend("background:#56b4e9", "negative", "ahead"),
        legend(`background:${ENDS.positive}`, "positive: more of it raises the target", "behind"), legend("background:#fff", "zero", "behind"), legend(`background:${ENDS.negative}`, "negative", "behind"),
        legend(line(MARKS.unit), "the unit"), legend(line(MARKS.window), "what it sees in the layer before", "ahead"), legend(line(MARKS.field), "and further back", "ahead"),
        legend(line(MARKS.window), "what sees it in the next layer", "behind"), legend(line(MARKS.winner), "winner, strongest", "ahead"), legend(line(MARKS.winner), "strongest", "behind"))),
    panel), speech);
  Object.assign(root, { timings, busy: () => Boolean(runner.running), drawing: () => Array.from(pixels), selected: () => selected }); // for tests
  el.append(root);
  ways.update();
  for (const layer of layers) watcher.observe(cards[layer.name].element);
  for (const name of ["keydown", "pointerdown"]) root.addEventListener(name, (event) => event.stopPropagation());
  const events = { "change:_image": imageFromKernel, "change:_selected": unitFromKernel, "change:_target": targetFromKernel };
  for (const [name, listener] of Object.entries(events)) model.on(name, listener);
  compute();
  runner.ask({ probe });
  return () => {
    for (const [name, listener] of Object.entries(events)) model.off(name, listener);
    watcher.disconnect();
    runner.stop();
    root.remove();
  };
}

/** What a target is of: a class, or a unit of an output that is a map. */
function nameOf({ vector, shape: [, cols, channels] }, classes, { index }) {
  if (vector) return classes[index] ?? `not ${classes[0]}`;
  const pixel = Math.floor(index / channels);
  return `(${Math.floor(pixel / cols)}, ${pixel % cols}) of channel ${index % channels}`;
}

/** The switch between forward and backward, and of what the gradients are. */
function waysOf(final, classes, turn, now) {
  const way = (name, to) => h("button", { onclick: () => turn(to()) }, name);
  const best = () => { const { values } = now(); return values ? values.indexOf(Math.max(...values)) : 0; };
  let kept = null; // the target looked at last
  const buttons = [way("forward", () => ({})), way("backward", () => kept ?? { of: "score", index: best() })];
  const option = (value, text) => h("option", { value }, text);
  const of = h("select", { "aria-label": "Gradients of what", onchange: () => turn({ of: of.value, index: Math.min(now().target.index, classes.length - 1) }) },
    option("score", "the score of"), final.shares ? option("loss", "the loss, if it were") : null);
  const which = h("select", { "aria-label": final.vector ? "Which class" : "Which unit", onchange: () => turn({ ...now().target, index: Number(which.value) }) });
  const another = final.vector || !final.shown ? null : ` · for another, click in ${final.name}, or go there and press Enter`;
  const element = h("div", { class: "ways", role: "group", "aria-label": "Forward or backward" }, buttons, h("span", {}, "gradients of ", of, " ", which, another));
  function update() {
    const { target } = now();
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === Number(Boolean(target.of)))));
    element.lastChild.hidden = !target.of;
    if (!target.of) return;
    kept = target;
    of.value = target.of;
    const names = !final.vector ? [[target.index, nameOf(final, classes, target)]] : [...classes.entries(), ...(target.of === "loss" && classes.length === 1 ? [[1, `not ${classes[0]}`]] : [])];
    which.replaceChildren(...names.map(([value, name]) => option(value, name)));
    which.value = target.index;
  }
  return { element, update };
}

function thumbnails(images, input, offered, ink, pick) {
  const { rows, cols } = input.layout;
  const depth = input.vector ? 1 : input.shape[2];
  return Array.from({ length: offered }, (_, n) => {
    const canvas = h("canvas", { width: cols, height: rows });
    canvas.getContext("2d").putImageData(photograph(images.subarray(n * count(input), (n + 1) * count(input)), rows, cols, depth, ink), 0, 0);
    return h("button", { "aria-label": `Image ${n}`, title: `image ${n}`, onclick: () => pick(n) }, canvas);
  });
}

function photograph(pixels, rows, cols, depth, ink) {
  const picture = new ImageData(cols, rows);
  const span = ink[1] - ink[0] || 1;
  for (let i = 0; i < rows * cols; i++) {
    for (let k = 0; k < 3; k++) picture.data[4 * i + k] = (255 * (pixels[i * depth + (depth === 3 ? k : 0)] - ink[0])) / span;
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

// ---- the arithmetic of one unit, as a page -----------------------------------------------------------

function explain(unit, { classes, pinned, layers, grids }) {
  const layer = layers.find((l) => l.name === unit.layer);
  const title = heading(unit, { classes, pinned, layers });
  const tables = () => grids(layer.name, unit, layer.shows === "window" ? ALONE : FORWARD);
  const work = { window: tables, products: tables, contributions, terms }[layer.shows];
  const facts = { ...factsOf(unit), ...Object.fromEntries(Object.entries(unit.terms).map(([name, value]) => [name, number(value)])) };
  return [title, equation(unit, layer, facts), layer.formula ? h("p", {}, fill(layer.formula, facts)) : null,
    work ? work(unit, layer) : null, unit.scores ? scores(unit, classes) : null].filter(Boolean);
}

function heading(unit, { classes, pinned, layers }, way = "") {
  const layer = layers.find((l) => l.name === unit.layer);
  const isClass = layers.indexOf(layer) >= layers.length - 2 && layer.vector && layer.shape[2] === classes.length;
  const named = isClass && classes[unit.unit[0]] !== String(unit.unit[0]) ? `: ${classes[unit.unit[0]]}` : "";
  const where = unit.channel === null ? `unit ${unit.unit[0]}${named}` : `channel ${unit.channel}, row ${unit.unit[0]}, column ${unit.unit[1]}`;
  const hint = pinned ? "kept: click it again to let go" : "point at any unit; click to keep it";
  return h("h3", {}, `${unit.layer} \u00b7 ${where}`, h("small", {}, way, hint));
}

const factsOf = (unit) => ({ // what the sentences of a layer's record leave open
  count: unit.patch.length, visible: unit.padded?.filter((p) => !p).length, source: unit.sources[0], row: unit.winner?.[0], col: unit.winner?.[1],
  x: unit.patch.length ? number(unit.patch[0]) : "",
});

const word = (text) => h("span", {}, text);
const figure = (name, value, role = "") => h("output", { class: role, "data-field": name, "data-value": value }, number(value));

function equation(unit, layer, facts) {
  const result = (name, role) => figure(name, unit[name], role);
  const outside = layer.rule === "pass" && unit.padded?.[0];
  const parts = [word(fill(outside ? "outside the map: padding, which is zero" : layer.says, { ...facts, function: unit.function }))];
  if (unit.sum !== null) parts.push(result("sum"));
  if (unit.bias !== null) parts.push(word(`+ ${layer.bias}`), result("bias", "kernel"));
  if (layer.rule === "bend") parts.push(result("pre_activation"));
  else if (unit.function !== "linear") {
    if (unit.bias !== null) parts.push(word("="), result("pre_activation"));
    parts.push(word(`\u2192 ${unit.function} \u2192`));
  }
  if (layer.rule === "bend" || unit.function === "linear") parts.push(word("="));
  const agrees = !(Math.abs(unit.activation - unit.output) > unit.tolerance);
  const how = unit.precision === "float32" ? "" : ` in ${unit.precision}: ${number(unit.output)}`;
  const verdict = agrees ? `\u2713 what the model itself gives${how}` : `\u2717 the model gives ${number(unit.output)}`;
  return h("p", { class: "equation" }, parts, result("activation", "result"), word(verdict));
}

const TINTS = { input: "#0072b2", kernel: "#e69f00", output: "#009e73", gradient: "#cc79a7", negative: "#8a8a8a" };
const summed = (sum) => `products: \u03a3 ${number(sum)}`;
const FORWARD = { label: "Window, kernel and products", roles: { patch: "input", kernel: "kernel", products: "output" },
  says: { patch: (unit, channel) => `channel ${channel}`, kernel: () => "kernel", products: (unit, channel, sum) => summed(sum) } };
const ALONE = { ...FORWARD, roles: { patch: "input" }, says: { patch: (unit, channel) => `channel ${channel} of ${unit.sources[0]}` } };
const BACKWARD = { label: "Gradients, weights and products", roles: { patch: "gradient", kernel: "kernel", products: "gradient" },
  says: { patch: (part, channel) => `${part.layer}, channel ${channel}`, kernel: ({ rule, filters }) => (rule === "max" ? "1 where it won" : filters ? "kernel turned round" : "weight"), products: (part, channel, sum) => summed(sum) } };

/** Patch, kernel and products of every input channel as grids of numbers. While the windows keep their size, only
 * what changes is written: tables are slow to lay out, and a stroke is not to wait for them. */
class Grids {
  constructor({ shape, patch }, words) {
    Object.assign(this, { words, shape, channels: [], alone: words === ALONE });
    this.element = h("div", { class: `work ${patch.length <= 9 ? "few" : ""}`, tabindex: 0, role: "group", "aria-label": words.label });
    const [rows, cols, count] = shape;
    const some = Math.min(count, Math.max(1, Math.floor(1200 / (rows * cols)))); // as many as a page can take
    this.add(some);
    if (some === count) return;
    const more = h("button", { onclick: () => { more.remove(); this.add(count - some); this.update(this.unit); } }, `Show all ${count} channels`);
    this.element.append(more);
  }
  add(count) {
    const names = Object.keys(this.words.roles);
    for (let i = 0; i < count; i++) {
      const grids = names.map((name) => this.grid(name));
      const [patch, kernel, products] = grids.map(({ table }) => table);
      this.element.append(h("div", { class: "channel" }, this.alone ? patch : [patch, h("span", {}, "\u00d7"), kernel, h("span", {}, "="), products]));
      this.channels.push(grids);
    }
  }
  grid(name) {
    const [rows, cols] = this.shape;
    const cells = Array.from({ length: rows * cols }, () => ({ element: h("td") }));
    const line = (r) => h("tr", {}, cells.slice(r * cols, (r + 1) * cols).map(({ element }) => element));
    const caption = h("caption");
    const table = h("table", { class: "grid", "data-grid": name, style: `--role:${TINTS[this.words.roles[name]]}` }, caption, h("tbody", {}, Array.from({ length: rows }, (_, r) => line(r))));
    return { name, table, caption, cells };
  }
  update(unit) {
    this.unit = unit;
    const scales = {};
    for (const { name } of this.channels[0]) {
      const most = largest(unit[name]);
      scales[name] = { most: most || 1, digits: most >= 100 ? 0 : most >= 10 ? 1 : most >= 0.2 || most === 0 ? 2 : 3 };
    }
    const winner = unit.winner && (unit.winner[0] - unit.window[0][0]) * this.shape[1] + unit.winner[1] - unit.window[1][0];
    this.channels.forEach((grids, k) => { for (const grid of grids) this.write(grid, k, scales[grid.name], winner); });
  }
  write({ name, table, caption, cells }, k, { most, digits }, winner) {
    const { unit, alone, shape, words } = this;
    let sum = 0;
    cells.forEach((cell, i) => {
      const value = unit[name][i * shape[2] + k];
      const padding = unit.padded[i] && name === "patch";
      const text = unit.padded[i] && alone ? "" : minus(value.toFixed(digits)).replace(/^\u2212(0(\.0+)?)$/, "$1");
      const much = Math.round((140 * Math.abs(value)) / most).toString(16).padStart(2, "0");
      const tint = padding ? "" : TINTS[value < 0 ? "negative" : words.roles[name]] + much;
      sum += value;
      change(cell, "text", text, (element) => { element.textContent = text; });
      change(cell, "value", padding ? "padding" : value, (element) => { element.title = padding ? "padding" : value; });
      change(cell, "tint", tint, (element) => { element.style.backgroundColor = tint; });
      change(cell, "class", padding ? "padding" : i === winner ? "winner" : "", (element, name) => { element.className = name; });
    });
    const said = words.says[name](unit, unit.window[2][0] + k, sum);
    if (caption.textContent !== said) caption.textContent = said;
    table.style.setProperty("--wide", digits === 3 ? "45px" : "36px");
  }
}

function change(cell, name, value, write) {
  if (Object.is(cell[name], value)) return;
  cell[name] = value;
  write(cell.element, value);
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

// ---- where the gradient of one unit comes from, as a page ----

const SENT_BACK = { // by the rule of the layer that reads it
  pass: "passed back unchanged by {layer}", total: "passed back unchanged by {layer}", bend: "slope of {function} \u00d7 gradient from {layer}",
  max: "it won {won} of {count} windows of {layer}", sum: "sum of {count} products from {layer}", scale: "weight \u00d7 gradient from {layer}",
};

function explainBack(found, { classes, pinned, layers, grids, target, what }) {
  const { parts, own, right, gate, output, sum, tolerance } = found;
  const title = heading(found, { classes, pinned, layers }, `gradient of ${what}; `);
  const seeded = parts.find(({ rule }) => rule === "seeded");
  let said;
  if (own || seeded) {
    const share = own ? own.y : output + Number(right);
    said = target.of === "score" ? [word(right ? "the score itself: as much as it changes" : "another score: nothing")] : [word("its share"), figure("share", share), word(`\u2212 ${right ? "1, it is the right one" : "0, it is a wrong one"}`)];
  } else said = parts.flatMap((part, i) => [word((i ? "+ " : "") + sentBack(part)), parts.length > 1 ? figure("sum", part.sum) : ""]);
  if (!said.length) said = [word("no layer reads it")];
  const agrees = !(Math.abs(sum - output) > tolerance);
  said.push(word("="), figure("gradient", output, "gradient"), word(agrees ? "\u2713 what the backward pass gives" : `\u2717 the sum is ${number(sum)}`));
  const many = parts.filter(({ patch }) => patch.length > 1);
  const single = parts.filter(({ patch, rule }) => patch.length === 1 && !["seeded", "pass", "total"].includes(rule));
  return [title, h("p", { class: "equation" }, said), gate ? through(gate) : null, single.length ? weighed(single) : null,
    ...many.map((part, i) => (part.shows === "contributions" ? strongest(part) : grids(`${i} ${part.layer} back`, part, BACKWARD)))].filter(Boolean);
}

function sentBack(part) {
  if (!part.patch.length) return `no unit of ${part.layer} sees it`;
  const sums = part.rule === "sum" || (part.rule === "bend" && part.patch.length > 1); // of softmax
  return fill(SENT_BACK[!sums ? part.rule : part.patch.length > 1 ? "sum" : "scale"], { ...part, count: part.patch.length });
}

function through(gate) {
  const at = gate.slope === null ? [word(`on to the score before ${gate.function}:`)]
    : [word(`on to the sum before ${gate.function}, ${number(gate.pre_activation)}: \u00d7 slope`), figure("slope", gate.slope, "kernel"), word("=")];
  return h("p", { class: "equation" }, at, figure("passed", gate.passed, "gradient"));
}

const placed = (layer, [row, col, channel], rows) => (rows ? `${layer}, channel ${channel}, row ${row}, column ${col}` : `${layer}, unit ${channel}`);
const HEAD = ["gradient", "\u00d7 weight", "= product"];

function weighed(parts) {
  return list(["from", ...HEAD], parts.map(({ layer, patch, kernel, products }) => ({ cells: [layer, ...[patch, kernel, products].map(([x]) => number(x))] })));
}

function strongest({ layer, top, sum, patch, shape }) {
  const [rest, others] = [patch.length - top.length, sum - top.reduce((total, c) => total + c[3], 0)];
  const most = largest([others, ...top.map((c) => c[3])]);
  const rows = top.map(([place, ...numbers]) => ({ cells: [placed(layer, place, shape[0] * shape[1] > 1), ...numbers.map(number), bar(numbers[2], most)] }));
  if (rest > 0) rows.push({ cells: [`the other ${rest} together`, "", "", number(others), bar(others, most)] });
  return list(["strongest contributions", ...HEAD, ""], rows);
}

function terms(unit) {
  return list(["from", "value"], unit.sources.map((name, i) => ({ cells: [name, number(unit.patch[i])] })));
}

export default { render };
