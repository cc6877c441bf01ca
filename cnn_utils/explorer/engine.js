// The arithmetic of the page: what every layer makes of an image, and how one unit got its value.
// It follows the records of cnn_utils.inspection; nothing here asks which kind a layer is. All of it stands
// in one function that leans on nothing outside, so that a worker can be made from its text.

function engine() {
  // ---- reading order: (rows, columns, channels), the channel fastest ----

  const range = (count) => Array.from({ length: count }, (_, i) => i);
  const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
  const indexOf = ([row, col, channel], [, cols, channels]) => (row * cols + col) * channels + channel;
  const placeOf = (index, [, cols, channels]) => [Math.floor(index / (cols * channels)), Math.floor(index / channels) % cols, index % channels];

  // ---- functions of one number ----

  function erfc(x) { // to 1.2e-7 of itself: W. H. Press et al., "Numerical Recipes in C", section 6.2
    const t = 1 / (1 + Math.abs(x) / 2);
    const series = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223];
    const tail = t * Math.exp(series.reduce((sum, part) => sum * t + part, 0) - x * x);
    return x < 0 ? 2 - tail : tail;
  }
  const clip = (x, low, high) => Math.min(Math.max(x, low), high);
  const sigmoid = (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const elu = (x) => (x > 0 ? x : Math.expm1(x));
  const bent = (slope, threshold = 0, most = Infinity) => (x) => (x > threshold ? (x < most ? x : most) : slope * (x - threshold));
  const FUNCTIONS = {
    linear: (x) => x, relu: (x) => (x < 0 ? 0 : x), leaky_relu: bent(0.2), relu6: bent(0, 0, 6),
    sigmoid, tanh: Math.tanh, exponential: Math.exp, elu, selu: (x) => 1.05070098 * (x > 0 ? x : 1.67326324 * elu(x)),
    softplus, softsign: (x) => x / (1 + Math.abs(x)), hard_sigmoid: (x) => clip(x / 6 + 0.5, 0, 1),
    silu: (x) => x * sigmoid(x), hard_silu: (x) => x * clip(x / 6 + 0.5, 0, 1), mish: (x) => x * Math.tanh(softplus(x)),
    gelu: (x) => (x * erfc(-x * Math.SQRT1_2)) / 2,
  };
  const tabulated = (values, reach, low, high) => {
    const last = values.length - 1;
    return (x) => {
      const at = ((x + reach) / (2 * reach)) * last;
      if (!(at > 0)) return values[0] + low * (x + reach);
      if (at >= last) return values[last] + high * (x - reach);
      const first = Math.floor(at);
      return values[first] + (at - first) * (values[first + 1] - values[first]);
    };
  };

  /** To so many bits, the last one even in doubt, as processors round. */
  const bits = (kept) => { const split = 2 ** (53 - kept) + 1; return (x) => (Number.isFinite(x * split) ? x * split - (x * split - x) : x); };
  const eleven = bits(11);
  const PRECISIONS = {
    float32: { epsilon: 2 ** -23, smallest: 2 ** -126, round: Math.fround },
    bfloat16: { epsilon: 2 ** -7, smallest: 2 ** -126, round: bits(8) },
    float16: { epsilon: 2 ** -10, smallest: 2 ** -24, round: (x) => (Math.abs(x) < 2 ** -14 ? x + 1.5 * 2 ** 28 - 1.5 * 2 ** 28 : Math.abs(x) < 65520 ? eleven(x) : x * Infinity) },
  };

  // ---- a network from its description ----

  /** `layers` in the order they are computed; where a layer names a stretch of numbers, they are in `arrays`. */
  function open(layers, arrays) {
    const network = new Map();
    const read = ({ start, shape }) => arrays.subarray(start, start + product(shape));
    const functionOf = ({ call, options, table }) => // softmax is none: it needs all scores
      (table ? tabulated(read(table), table.reach, ...options) : call === "bent" ? bent(...options) : FUNCTIONS[call]);
    for (const layer of layers) {
      const before = layer.sources.map((name) => network.get(name).shape);
      const step = { ...layer, ...PRECISIONS[layer.precision], before, f: functionOf(layer.function) };
      if (layer.kernel) Object.assign(step, { kernel: read(layer.kernel), filterShape: layer.kernel.shape });
      step.addends = layer.addends.map(read);
      step.bias = new Float64Array(layer.shape[2]).map((_, k) => step.addends.reduce((sum, addend) => sum + addend[k], 0));
      step.terms = Object.fromEntries(Object.entries(layer.terms).map(([name, place]) => [name, read(place)]));
      network.set(layer.name, step);
    }
    return network;
  }

  // ---- forward ----

  /** What every layer makes of an image: { name: Float32Array in reading order }. */
  function forward(network, image) {
    const values = {};
    for (const step of network.values()) values[step.name] = step.sources.length ? output(step, step.sources.map((name) => values[name])) : image;
    return values;
  }

  function output(step, inputs) {
    if (step.precision !== "float32") return halfOutput(step, inputs);
    const found = RULES[step.rule](step, inputs);
    if (step.rule === "pass") return found;
    if (step.addends.length) add(found, step.bias);
    return activated(step, found);
  }

  /** With what goes in, the sums, the sums with bias and what comes out rounded, as Keras does. */
  function halfOutput(step, inputs) {
    const sums = copied(RULES[step.rule](step, inputs.map((x) => x.map(step.round))).map(step.round));
    if (step.addends.length) add(sums, step.bias);
    return activated(step, step.rule === "pass" ? sums : sums.map(step.round)).map(step.round);
  }

  // Every inner loop is a small function that always sees the same types: such code is compiled to a few instructions.

  function add(sums, bias) {
    for (let start = 0; start < sums.length; start += bias.length) for (let k = 0; k < bias.length; k++) sums[start + k] += bias[k];
  }

  function activated({ f, bias }, sums) {
    const out = new Float32Array(sums.length);
    if (!f) softmax(sums, bias.length);
    if (f === FUNCTIONS.relu) rectify(sums, out);
    else if (f && f !== FUNCTIONS.linear) for (let i = 0; i < out.length; i++) out[i] = f(sums[i]);
    else out.set(sums);
    return out;
  }

  function rectify(sums, out) {
    for (let i = 0; i < out.length; i++) out[i] = sums[i] < 0 ? 0 : sums[i];
  }

  /** Room for the sums of one layer, in doubles, set to zero: taken again and again, as new memory costs more than adding up. */
  let room = new Float64Array(0);
  function zeros(length) {
    if (room.length < length) room = new Float64Array(length);
    return room.subarray(0, length).fill(0);
  }
  function copied(x) {
    const out = zeros(x.length);
    out.set(x);
    return out;
  }

  function softmax(out, channels) {
    for (let start = 0; start < out.length; start += channels) {
      const scores = out.subarray(start, start + channels);
      const most = scores.reduce((a, b) => Math.max(a, b));
      let sum = 0;
      for (let k = 0; k < channels; k++) sum += scores[k] = Math.exp(scores[k] - most);
      for (let k = 0; k < channels; k++) scores[k] /= sum;
    }
  }

  const RULES = {
    pass: (step, inputs) => PASSED[step.sees](step, inputs),
    bend: (step, [x]) => copied(x),
    total: (step, [first, ...others]) => others.reduce((sum, x) => { for (let i = 0; i < x.length; i++) sum[i] += x[i]; return sum; }, copied(first)),
    max: largest,
    sum: (step, [x]) => (!step.kernel ? mean(step, x) : step.filterShape[2] === 1 ? alone(step, x) : mixed(step, x)),
  };
  const PASSED = {
    reshaped: (step, [x]) => x.slice(),
    grouped(step, [x]) {
      const out = new Float32Array(product(step.shape));
      eachTap(step, (to, from) => { for (let k = 0; k < step.shape[2]; k++) out[to + k] = x[from + k]; });
      return out;
    },
    stacked(step, inputs) {
      const out = new Float32Array(product(step.shape));
      let start = 0;
      inputs.forEach((x, number) => {
        const width = step.before[number][2];
        for (let from = 0, to = start; from < x.length; from += width, to += step.shape[2]) for (let k = 0; k < width; k++) out[to + k] = x[from + k];
        start += width;
      });
      return out;
    },
  };

  /** Where the window of each place of an axis meets the map: [[which of its cells, index in the map], ...]. */
  const meets = ({ kernel, stride, dilation, before }, size, count) =>
    range(count).map((i) => range(kernel).map((k) => [k, i * stride - before + k * dilation]).filter(([, at]) => at >= 0 && at < size));

  /** Visit every cell of every window that is not padding: first number of the pixel written, of that read, which cell. */
  function eachTap(step, visit) {
    const [[height, width, channels]] = step.before;
    const [rows, cols, filters] = step.shape;
    step.met ??= [meets(step.axes[0], height, rows), meets(step.axes[1], width, cols)];
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const to = (r * cols + c) * filters;
        for (const [i, y] of step.met[0][r]) for (const [j, x] of step.met[1][c]) visit(to, (y * width + x) * channels, i * step.axes[1].kernel + j);
      }
    }
  }

  function largest(step, [x]) {
    const channels = step.shape[2];
    const out = zeros(product(step.shape)).fill(-Infinity);
    eachTap(step, (to, from) => { for (let k = 0; k < channels; k++) if (!(x[from + k] <= out[to + k])) out[to + k] = x[from + k]; });
    return out;
  }

  function mean(step, x) {
    const channels = step.shape[2];
    const out = zeros(product(step.shape));
    const counts = new Float64Array(out.length / channels);
    eachTap(step, (to, from) => { counts[to / channels]++; for (let k = 0; k < channels; k++) out[to + k] += x[from + k]; });
    for (let i = 0; i < out.length; i++) out[i] /= counts[Math.floor(i / channels)];
    return out;
  }

  /** The kernel in the layer's precision; what normalises stays in float32, as in Keras. */
  const rounded = (step) => (step.precision === "float32" || Object.keys(step.terms).length ? step.kernel : step.kernel.map(step.round));

  /** Every channel has filters of its own. */
  function alone(step, x) {
    const [channels, filters] = [step.before[0][2], step.shape[2]];
    const out = zeros(product(step.shape));
    const kernel = (step.packed ??= rounded(step));
    if (filters === channels) eachTap(step, (to, from, tap) => multiply(out, to, x, from, kernel, tap * filters, filters));
    else eachTap(step, (to, from, tap) => { for (let k = 0; k < filters; k++) out[to + k] += x[from + Math.floor((k * channels) / filters)] * kernel[tap * filters + k]; });
    return out;
  }

  function multiply(out, to, x, from, kernel, first, count) {
    for (let k = 0; k < count; k++) out[to + k] += x[from + k] * kernel[first + k];
  }

  /** Filters over all channels of their group: some windows are laid out one after the other, and met by four filters at a time. */
  function mixed(step, x) {
    const [height, width, depth] = step.filterShape;
    const [, cols, filters] = step.shape;
    const [own, length, block] = [filters / step.groups, height * width * depth, 16];
    step.packed ??= packed(step, own, length);
    step.met ??= [meets(step.axes[0], step.before[0][0], step.shape[0]), meets(step.axes[1], step.before[0][1], cols)];
    const out = zeros(product(step.shape));
    const windows = new Float64Array(block * length);
    const sums = new Float64Array(8);
    const pixels = step.shape[0] * cols;
    for (let group = 0; group < step.groups; group++) {
      const kernel = step.packed[group];
      for (let pixel = 0; pixel < pixels; pixel += block) {
        const some = Math.min(block, pixels - pixel);
        gather(step, x, group * depth, pixel, some, windows);
        for (let filter = 0; filter < own; filter += 4) {
          for (let p = 0; p < some; p += 2) {
            twoByFour(windows, p * length, kernel, filter * length, length, sums);
            const to = (pixel + p) * filters + group * own + filter;
            const count = Math.min(4, own - filter);
            for (let k = 0; k < count; k++) out[to + k] = sums[k];
            if (p + 1 < some) for (let k = 0; k < count; k++) out[to + filters + k] = sums[4 + k];
          }
        }
      }
    }
    return out;
  }

  /** Each filter's weights one after the other, in doubles; of every group, filled up to a multiple of four. */
  function packed(step, own, length) {
    const kernel = rounded(step);
    const filters = step.shape[2];
    return range(step.groups).map((group) => {
      const weights = new Float64Array(Math.ceil(own / 4) * 4 * length);
      for (let k = 0; k < own; k++) for (let i = 0; i < length; i++) weights[k * length + i] = kernel[i * filters + group * own + k];
      return weights;
    });
  }

  function gather(step, x, channel, pixel, some, windows) {
    const [height, width, depth] = step.filterShape;
    const [, across, channels] = step.before[0];
    windows.fill(0);
    for (let p = 0; p < some; p++) {
      const [row, col] = [Math.floor((pixel + p) / step.shape[1]), (pixel + p) % step.shape[1]];
      for (const [i, r] of step.met[0][row]) {
        for (const [j, c] of step.met[1][col]) {
          copy(windows, ((p * height + i) * width + j) * depth, x, (r * across + c) * channels + channel, depth);
        }
      }
    }
  }

  function copy(out, to, x, from, count) {
    for (let k = 0; k < count; k++) out[to + k] = x[from + k];
  }

  /** The sums of products of two windows with four filters: eight at once, so that each number is loaded seldom. */
  function twoByFour(x, at, w, first, length, sums) {
    let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    const next = at + length, second = first + length, third = second + length, fourth = third + length;
    for (let i = 0; i < length; i++) {
      const a = x[at + i], b = x[next + i];
      const w0 = w[first + i], w1 = w[second + i], w2 = w[third + i], w3 = w[fourth + i];
      a0 += a * w0; a1 += a * w1; a2 += a * w2; a3 += a * w3;
      b0 += b * w0; b1 += b * w1; b2 += b * w2; b3 += b * w3;
    }
    sums[0] = a0; sums[1] = a1; sums[2] = a2; sums[3] = a3;
    sums[4] = b0; sums[5] = b1; sums[6] = b2; sums[7] = b3;
  }

  // ---- what a unit sees; a box is [[first row, last + 1], columns, channels] ----

  const boxOf = (place) => place.map((i) => [i, i + 1]);
  const SEES = {
    grouped(step, [rows, cols, [first, last]], source) {
      const through = ([low, high], { kernel, stride, dilation, before }) => [low * stride - before, (high - 1) * stride - before + (kernel - 1) * dilation + 1];
      const [filters, width] = [step.shape[2] / step.groups, step.before[source][2] / step.groups];
      return [through(rows, step.axes[0]), through(cols, step.axes[1]), [Math.floor(first / filters) * width, (Math.floor((last - 1) / filters) + 1) * width]];
    },
    stacked(step, [rows, cols, channels], source) {
      const start = step.before.slice(0, source).reduce((sum, shape) => sum + shape[2], 0);
      return [rows, cols, channels.map((k) => k - start)];
    },
    reshaped(step, box, source) { // of a stretch of numbers, all columns and channels of its rows
      const before = step.before[source];
      if (String(before) === String(step.shape)) return box;
      const corner = (side) => indexOf(box.map((limits) => limits[side] - side), step.shape);
      const [first, last] = [placeOf(corner(0), before), placeOf(corner(1), before)];
      const whole = String(first) !== String(last);
      return first.map((low, axis) => (whole && axis ? [0, before[axis]] : [low, last[axis] + 1]));
    },
  };

  /** Which source a unit sees, and what of it; may reach over its edge, into the padding. */
  function windowOf(step, place) {
    const windows = step.before.map((shape, number) => SEES[step.sees](step, boxOf(place), number));
    const number = windows.findIndex((box, i) => box[2][0] >= 0 && box[2][0] < step.before[i][2]);
    return { number, box: windows[number] };
  }

  /** The values in a window, zero where it covers padding, and where that is. */
  function valuesIn([rows, cols, channels], x, [height, width, depth], axes) {
    const along = ([first, last], { dilation }) => range(Math.ceil((last - first) / dilation)).map((i) => first + i * dilation);
    const [ys, xs, own] = [along(rows, axes[0]), along(cols, axes[1]), channels[1] - channels[0]];
    const patch = new Float64Array(ys.length * xs.length * own);
    const padded = ys.flatMap((y) => xs.map((at) => y < 0 || y >= height || at < 0 || at >= width));
    ys.forEach((y, i) => xs.forEach((at, j) => {
      const cell = i * xs.length + j;
      if (!padded[cell]) for (let k = 0; k < own; k++) patch[cell * own + k] = x[(y * width + at) * depth + channels[0] + k];
    }));
    return { patch, padded, shape: [ys.length, xs.length, own] };
  }

  /** The box that a unit sees in every layer before it, cut off at each layer's edge. */
  function trace(network, step, place) {
    const boxes = { [step.name]: boxOf(place) };
    for (const later of [...network.values()].reverse()) {
      let box = boxes[later.name];
      if (box && !later.f) box = [box[0], box[1], [0, later.shape[2]]]; // each probability depends on every score
      (box ? later.sources : []).forEach((source, number) => {
        const size = later.before[number];
        const cut = SEES[later.sees](later, box, number).map(([first, last], axis) => [Math.max(first, 0), Math.min(last, size[axis])]);
        if (cut.some(([first, last]) => first >= last)) return;
        boxes[source] = cut.map(([first, last], axis) => (boxes[source] ? [Math.min(first, boxes[source][axis][0]), Math.max(last, boxes[source][axis][1])] : [first, last]));
      });
    }
    return boxes;
  }

  /** The place [layer, [row, column], channel] in the last map that a vector's number was passed on from. */
  function origin(network, step, place) {
    while (step.vector && step.sources.length && step.rule === "pass") {
      const { number, box } = windowOf(step, place);
      [step, place] = [network.get(step.sources[number]), box.map(([first]) => first)];
    }
    return step.vector ? null : [step.name, place.slice(0, 2), place[2]];
  }

  // ---- the arithmetic of one unit ----

  /** How a unit got its value, with the fields of `inspection.Explanation`; the most active one if `unit` is null. */
  function explain(network, values, layer, unit = null, channel = null) {
    const step = network.get(layer);
    const place = unit === null ? mostActive(step, values[layer]) : step.vector ? [0, 0, unit[0]] : [...unit, channel];
    const inputs = step.sources.map((name) => values[name]);
    const output = values[layer][indexOf(place, step.shape)];
    const found = { layer, output, activation: output, tolerance: 0, patch: [], top: [], terms: {}, sum: null, bias: null, scores: null,
      ...(inputs.length ? numbers(network, step, inputs, place) : {}), precision: step.precision, function: step.function.name,
      sources: step.sources, boxes: trace(network, step, place), unit: step.vector ? [place[2]] : place.slice(0, 2), channel: step.vector ? null : place[2] };
    return { ...found, text: sentence(found) };
  }

  function mostActive(step, x) {
    let best = 0;
    for (let i = 1; i < x.length; i++) if (x[i] > x[best]) best = i;
    return placeOf(best, step.shape);
  }

  function numbers(network, step, inputs, place) {
    const { number, box } = windowOf(step, place);
    const seen = { window: box, ...valuesIn(box, inputs[number], step.before[number], step.axes) };
    if (step.rule === "total") seen.patch = Float64Array.from(inputs, (x) => x[indexOf(place, step.shape)]);
    const add = (list) => list.reduce((sum, x) => sum + x, 0);
    const sizes = (list) => list.reduce((sum, x) => sum + Math.abs(x), 0);
    let [x, size] = [add(seen.patch), sizes(seen.patch)]; // size: of all that is added, for the rounding
    if (step.rule === "total") seen.sum = x;
    if (step.rule === "bend") seen.pre_activation = x;
    if (step.rule === "max") {
      const cells = range(seen.patch.length).filter((i) => !seen.padded[i]);
      const best = cells.reduce((a, b) => (seen.patch[b] > seen.patch[a] ? b : a));
      const cols = seen.shape[1];
      seen.winner = [box[0][0] + Math.floor(best / cols), box[1][0] + (best % cols), place[2]];
      [x, size] = [seen.patch[best], seen.patch.reduce((most, v) => Math.max(most, Math.abs(v)), 0)];
    }
    if (step.rule === "sum") {
      const { kernel, addends, terms } = weights(step, seen, place[2]);
      const products = seen.patch.map((value, i) => value * kernel[i]);
      Object.assign(seen, { kernel, products, sum: add(products), bias: addends.length ? add(addends) : null, terms });
      if (step.shows === "contributions") seen.top = strongest(network, step, seen, place);
      seen.pre_activation = x = seen.sum + (seen.bias ?? 0);
      size = sizes(products) + sizes(addends);
    }
    if (!step.f) return { ...seen, ...shares(network, step, inputs, place) };
    const error = rounding(step, size, seen.shape);
    const [value, low, high] = [x, x - error, x + error].map((at) => step.f(at));
    return { ...seen, activation: value, tolerance: Math.max(Math.abs(low - value), Math.abs(high - value)) + rounding(step, Math.abs(value)) };
  }

  function weights(step, { patch, padded }, channel) {
    const visible = padded.filter((p) => !p).length;
    const kernel = step.kernel ? patch.map((_, i) => step.kernel[i * step.shape[2] + channel]) : patch.map((_, i) => (padded[i] ? 0 : 1 / visible));
    return { kernel, addends: step.addends.map((x) => x[channel]), terms: Object.fromEntries(Object.entries(step.terms).map(([name, x]) => [name, x[channel]])) };
  }

  /** The largest products of a dense unit, and where in the last map before it each came from. */
  function strongest(network, step, { patch, kernel, products }, [row, col], count = 10) {
    const source = network.get(step.sources[0]);
    const order = range(products.length).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]) || a - b).slice(0, count);
    return order.map((i) => [i, patch[i], kernel[i], products[i], origin(network, source, [row, col, i])]);
  }

  /** Softmax needs the scores beside it: of a sum, the other filters at the same place. */
  function shares(network, step, inputs, [row, col, channel]) {
    const plain = { ...step, f: FUNCTIONS.linear, shows: "" };
    const others = step.rule === "sum" ? range(step.shape[2]).map((k) => numbers(network, plain, inputs, [row, col, k])) : null;
    const first = indexOf([row, col, 0], step.shape);
    const scores = others ? others.map((other) => other.activation) : [...inputs[0].subarray(first, first + step.shape[2])];
    const error = others ? Math.max(...others.map((other) => other.tolerance)) : rounding(step, Math.max(...scores.map(Math.abs)));
    const most = Math.max(...scores);
    const exponentials = scores.map((score) => Math.exp(score - most));
    const activation = exponentials[channel] / exponentials.reduce((a, b) => a + b, 0);
    return { scores, exponentials, activation, tolerance: activation * Math.expm1(2 * error) + rounding(step, 1) };
  }

  /** How far a right sum may be from the one in the map, as in `inspection`. */
  function rounding({ precision, epsilon, smallest }, size, shape = [1, 1, 1]) {
    return size * ((2 + Math.sqrt(shape[0] * shape[1]) / 2) * epsilon + (product(shape) / 2) * 2 ** -23) + smallest;
  }

  function sentence(e) {
    const short = (x) => String(Number(x.toPrecision(4)));
    const said = [`${e.layer}, ${e.channel === null ? `unit ${e.unit[0]}` : `(${e.unit.join(", ")}) of channel ${e.channel}`}:`];
    if (e.products) said.push(`${e.products.length} products sum to ${short(e.sum)};`);
    if (e.winner) said.push(`the largest of ${e.padded.filter((p) => !p).length} values;`);
    if (e.bias !== null) said.push(`${short(e.sum)} + bias ${short(e.bias)} = ${short(e.pre_activation)};`);
    return [...said, e.function === "linear" ? "" : `${e.function} gives`, short(e.activation)].filter(Boolean).join(" ");
  }

  // ---- for a worker, or the page in its place ----

  /** The layers whose values of the probe are not those that Keras gave. */
  function disagreements(network, arrays, probe) {
    const of = (place) => arrays.subarray(place.start, place.start + product(place.shape));
    const values = forward(network, Float32Array.from(of(probe)));
    const wrong = [];
    for (const { name, expected, epsilon } of network.values()) {
      const most = values[name].reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const much = Math.max(...expected.at.map((i, k) => Math.abs(values[name][i] - of(expected.values)[k])));
      if (much > Math.max(1e-3, 20 * epsilon) * most) wrong.push({ name, much });
    }
    return wrong;
  }

  /** Answers one question after the other: the network first, then images. */
  function server() {
    let network, numbers;
    return ({ layers, arrays, image, probe }) => {
      if (layers) [network, numbers] = [open(layers, arrays), arrays];
      const wrong = probe && disagreements(network, numbers, probe);
      if (!layers) return { wrong, values: image && forward(network, image) };
    };
  }

  return { open, forward, explain, server };
}
