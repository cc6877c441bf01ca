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
  // The slope of each, by what it gives (and what it got, where that says more); at a kink, TensorFlow's.
  const density = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  const within = (x) => (Math.abs(x) <= 3 ? 1 / 6 : 0);
  const bentSlope = (slope, threshold = 0, most = Infinity) => (y, x) =>
    (x > threshold ? Number(x < most || (x === most && !(most === 6 && !threshold))) : x < threshold || (!threshold && most === Infinity) ? slope : 0);
  const SLOPES = {
    linear: () => 1, relu: (y) => (y > 0 ? 1 : 0), leaky_relu: bentSlope(0.2), relu6: (y) => (y > 0 && y < 6 ? 1 : 0),
    sigmoid: (y, x) => y * sigmoid(-x), tanh: (y) => 1 - y * y, exponential: (y) => y, elu: (y) => (y < 0 ? y + 1 : 1),
    selu: (y) => (y < 0 ? y + 1.05070098 * 1.67326324 : 1.05070098), softplus: (y) => -Math.expm1(-y), softsign: (y) => (1 - Math.abs(y)) ** 2,
    hard_sigmoid: (y, x) => within(x), silu: (y, x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))), hard_silu: (y, x) => clip(x / 6 + 0.5, 0, 1) + x * within(x),
    mish(y, x) { const t = Math.tanh(softplus(x)); return t + x * (1 - t * t) * sigmoid(x); },
    gelu: (y, x) => erfc(-x * Math.SQRT1_2) / 2 + x * density(x),
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

  // ---- sums of products, of which convolutions are made: some rows of numbers, each with each filter ----

  const BLOCK = 16; // rows at once, so that each weight is loaded seldom
  const mill = vectorMill() ?? plainMill();

  /** In doubles, two rows with four filters at a time. */
  function plainMill() {
    let room = new Float64Array(0);
    const sums = new Float64Array(8);
    return {
      rows: (length) => (room.length < BLOCK * length ? (room = new Float64Array(BLOCK * length)) : room),
      pack: (count, length, number) => inFours(new Float64Array(Math.ceil(count / 4) * 4 * length), count, length, number),
      /** Add the sums of row p to the numbers of `out` from places[p] on. */
      multiply(packed, count, length, out, places) {
        for (let filter = 0; filter < count; filter += 4) {
          for (let p = 0; p < places.length; p += 2) {
            twoByFour(room, p * length, (p + 1) * length, packed, filter * length, length, sums);
            put(sums, Math.min(2, places.length - p), Math.min(4, count - filter), out, places, p, filter);
          }
        }
      },
    };
  }

  function twoByFour(x, at, next, w, first, length, sums) {
    let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    for (let i = 0, j = first; i < length; i++, j += 4) {
      const a = x[at + i], b = x[next + i];
      const w0 = w[j], w1 = w[j + 1], w2 = w[j + 2], w3 = w[j + 3];
      a0 += a * w0; a1 += a * w1; a2 += a * w2; a3 += a * w3;
      b0 += b * w0; b1 += b * w1; b2 += b * w2; b3 += b * w3;
    }
    sums[0] = a0; sums[1] = a1; sums[2] = a2; sums[3] = a3;
    sums[4] = b0; sums[5] = b1; sums[6] = b2; sums[7] = b3;
  }

  function put(sums, rows, filters, out, places, p, filter) {
    for (let r = 0; r < rows; r++) for (let k = 0; k < filters; k++) out[places[p + r] + filter + k] += sums[4 * r + k];
  }

  /** `count` filters, filter r's i-th weight given by `number(r, i)`: four of them side by side. */
  function inFours(to, count, length, number) {
    for (let r = 0; r < count; r++) for (let i = 0; i < length; i++) to[(r - (r % 4)) * length + 4 * i + (r % 4)] = number(r, i);
    return to;
  }

  /** In float32, as Keras; four rows with four filters at a time, by the processor's vector instructions: null where they are forbidden. */
  function vectorMill() {
    let memory, fourByFour;
    try {
      memory = new WebAssembly.Memory({ initial: 1 });
      ({ fourByFour } = new WebAssembly.Instance(new WebAssembly.Module(fourByFourCode()), { js: { memory } }).exports);
    } catch { return null; }
    const SUMS = 16; // the address of 16 numbers; rows and filters stand behind them
    let [end, at, capacity] = [128, 0, 0];
    const view = (address, length) => new Float32Array(memory.buffer, address, length);
    function take(length) { // an address with room for so many numbers
      const address = end;
      end += Math.ceil(length / 4) * 16;
      if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / 65536));
      return address;
    }
    return {
      rows(length) {
        if (capacity < length) [at, capacity] = [take(BLOCK * length), length];
        return view(at, BLOCK * length);
      },
      pack(count, length, number) {
        const address = take(Math.ceil(count / 4) * 4 * length);
        inFours(view(address, Math.ceil(count / 4) * 4 * length), count, length, number);
        return address;
      },
      multiply(packed, count, length, out, places) {
        const sums = view(SUMS, 16);
        for (let filter = 0; filter < count; filter += 4) {
          for (let p = 0; p < places.length; p += 4) {
            fourByFour(at + 4 * p * length, 4 * length, packed + 4 * filter * length, SUMS);
            put(sums, Math.min(4, places.length - p), Math.min(4, count - filter), out, places, p, filter);
          }
        }
      },
    };
  }

  /** WebAssembly of fourByFour(row, next, weights, sums), addresses all: the first of four rows, `next` bytes apart and as long; four filters; 16 sums. */
  function fourByFourCode() {
    const [I32, V128, EMPTY] = [0x7f, 0x7b, 0x40];
    const [row, next, weights, sums, second, third, fourth, end, sum, four] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12]; // the locals; sum: one vector a row
    const rows = [row, second, third, fourth];
    const get = (local) => [0x20, local], set = (local) => [0x21, local], constant = (n) => [0x41, n], plus = 0x6a, less = 0x49;
    const load = [0xfd, 0, 2, 0], spread = [0xfd, 9, 2, 0], store = (offset) => [0xfd, 11, 2, offset], add = [0xfd, 0xe4, 1], multiply = [0xfd, 0xe6, 1];
    const code = [
      [second, row], [third, second], [fourth, third], [end, row]].flatMap(([local, before]) => [...get(before), ...get(next), plus, ...set(local)]).concat(
      0x03, EMPTY, // loop
      get(weights), load, set(four),
      rows.flatMap((local, r) => [get(sum + r), get(local), spread, get(four), multiply, add, set(sum + r)].flat()),
      rows.flatMap((local) => [...get(local), ...constant(4), plus, ...set(local)]), get(weights), constant(16), plus, set(weights),
      get(row), get(end), less, 0x0d, 0, 0x0b, // again while row < end
      rows.flatMap((_, r) => [get(sums), get(sum + r), store(16 * r)].flat()), 0x0b).flat();
    const text = (word) => [word.length, ...new TextEncoder().encode(word)];
    const section = (id, ...bytes) => { const content = bytes.flat(); return [id, ...long(content.length), ...content]; };
    const long = (n) => (n < 128 ? [n] : [(n & 127) | 128, n >> 7]);
    const body = [2, 4, I32, 5, V128, ...code]; // locals beside the four arguments: second to end, four sums and the weights
    return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // what every module begins with
      section(1, 1, 0x60, 4, I32, I32, I32, I32, 0), // the type of the function: four numbers in, none out
      section(2, 1, text("js"), text("memory"), 2, 0, 1), section(3, 1, 0), section(7, 1, text("fourByFour"), 0, 0),
      section(10, 1, long(body.length), body)].flat());
  }

  // ---- a network from its description ----

  /** `layers` in the order they are computed; where a layer names a stretch of numbers, they are in `arrays`. */
  function open(layers, arrays) {
    const network = new Map();
    const read = ({ start, shape }) => arrays.subarray(start, start + product(shape));
    const functionOf = ({ call, options, table, slopes }) => { // softmax has none: it needs all scores
      if (table) {
        const slope = tabulated(read(slopes), table.reach, 0, 0); // the last slope goes on
        return { f: tabulated(read(table), table.reach, ...options), slope: (y, x) => slope(x) };
      }
      return call === "bent" ? { f: bent(...options), slope: bentSlope(...options), bends: options } : { f: FUNCTIONS[call], slope: SLOPES[call] };
    };
    for (const layer of layers) {
      const before = layer.sources.map((name) => network.get(name).shape);
      const step = { ...layer, ...PRECISIONS[layer.precision], before, ...functionOf(layer.function) };
      if (layer.kernel) Object.assign(step, { kernel: read(layer.kernel), filterShape: layer.kernel.shape });
      step.addends = layer.addends.map(read);
      step.bias = new Float64Array(layer.shape[2]).map((_, k) => step.addends.reduce((sum, addend) => sum + addend[k], 0));
      step.terms = Object.fromEntries(Object.entries(layer.terms).map(([name, place]) => [name, read(place)]));
      network.set(layer.name, step);
    }
    return network;
  }

  /** The cells of the windows along rows and along columns that meet the map. */
  const met = (step) => (step.met ??= [0, 1].map((axis) => meets(step.axes[axis], step.before[0][axis], step.shape[axis])));

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

  function activated(step, sums) {
    const { f, bias, slope, bends } = step;
    const out = new Float32Array(sums.length);
    if (slope?.length > 1 && step.rule !== "bend") step.kept = Float32Array.from(sums); // the way back asks for it
    if (!f) softmax(sums, bias.length);
    if (f === FUNCTIONS.relu) rectify(sums, out);
    else if (bends) bend(sums, out, ...bends);
    else if (f && f !== FUNCTIONS.linear) for (let i = 0; i < out.length; i++) out[i] = f(sums[i]);
    else out.set(sums);
    return out;
  }

  function rectify(sums, out) {
    for (let i = 0; i < out.length; i++) out[i] = sums[i] < 0 ? 0 : sums[i];
  }

  function bend(sums, out, slope, threshold = 0, most = Infinity) {
    for (let i = 0; i < out.length; i++) {
      const x = sums[i];
      out[i] = x > threshold ? (x < most ? x : most) : slope * (x - threshold);
    }
  }

  /** Room for the sums of one layer, in doubles: taken again and again, as new memory costs more than adding up. */
  let sums = new Float64Array(0);
  function taken(length) {
    if (sums.length < length) sums = new Float64Array(length);
    return sums.subarray(0, length);
  }
  const zeros = (length) => taken(length).fill(0);
  function copied(x) {
    const out = taken(x.length);
    for (let i = 0; i < x.length; i++) out[i] = x[i];
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
    pass(step, inputs) {
      const out = new Float32Array(product(step.shape));
      inputs.forEach((x, number) => STRETCHES[step.sees](step, number, (to, from, count) => { for (let k = 0; k < count; k++) out[to + k] = x[from + k]; }));
      return out;
    },
    bend: (step, [x]) => copied(x),
    total: (step, [first, ...others]) => others.reduce((sum, x) => { for (let i = 0; i < x.length; i++) sum[i] += x[i]; return sum; }, copied(first)),
    max: largest,
    sum: (step, [x]) => (!step.kernel ? mean(step, x) : step.filterShape[2] === 1 ? alone(step, x) : mixed(step, x)),
  };
  /** Visit every stretch of numbers that is passed on: the first written, the first read of source `number`, how many. */
  const STRETCHES = {
    reshaped: (step, number, visit) => visit(0, 0, product(step.shape)),
    grouped: (step, number, visit) => eachTap(step, (to, from) => visit(to, from, step.shape[2])),
    stacked(step, number, visit) {
      const [start, width] = [startOf(step, number), step.before[number][2]];
      for (let pixel = 0; pixel < step.shape[0] * step.shape[1]; pixel++) visit(pixel * step.shape[2] + start, pixel * width, width);
    },
  };
  const startOf = (step, number) => step.before.slice(0, number).reduce((sum, shape) => sum + shape[2], 0); // of sources put side by side

  const floored = (x) => Math.floor(x + 1e-6); // a stride of 1/3 three times is one
  /** Where the window of each place of an axis meets the map: [[which of its cells, index in the map], ...]. */
  const meets = ({ kernel, stride, dilation, before }, size, count) =>
    range(count).map((i) => range(kernel).map((k) => [k, floored(i * stride) - before + k * dilation]).filter(([, at]) => at >= 0 && at < size));

  /** Visit every cell of every window that is not padding: first number of the pixel written, of that read, which cell. */
  function eachTap(step, visit) {
    const [[, width, channels]] = step.before;
    const [rows, cols, filters] = step.shape;
    const [down, across] = met(step);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const to = (r * cols + c) * filters;
        for (const [i, y] of down[r]) for (const [j, x] of across[c]) visit(to, (y * width + x) * channels, i * step.axes[1].kernel + j);
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
    eachTap(step, (to, from) => { for (let k = 0; k < channels; k++) out[to + k] += x[from + k]; });
    return shared(step, out);
  }

  /** What stands at each window, divided by how many cells of it are not padding. */
  function shared(step, out) {
    const [down, across] = met(step);
    for (let i = 0; i < out.length; i++) {
      const [row, col] = placeOf(i, step.shape);
      out[i] /= down[row].length * across[col].length;
    }
    return out;
  }

  /** The kernel in the layer's precision; what normalises stays in float32, as in Keras. */
  const rounded = (step) => (step.rounded ??= step.precision === "float32" || Object.keys(step.terms).length ? step.kernel : step.kernel.map(step.round));

  /** Every channel has filters of its own. */
  function alone(step, x) {
    const [channels, filters] = [step.before[0][2], step.shape[2]];
    const out = zeros(product(step.shape));
    const kernel = rounded(step);
    if (filters === channels) eachTap(step, (to, from, tap) => multiply(out, to, x, from, kernel, tap * filters, filters));
    else eachTap(step, (to, from, tap) => { for (let k = 0; k < filters; k++) out[to + k] += x[from + Math.floor((k * channels) / filters)] * kernel[tap * filters + k]; });
    return out;
  }

  function multiply(out, to, x, from, kernel, first, count) {
    for (let k = 0; k < count; k++) out[to + k] += x[from + k] * kernel[first + k];
  }

  /** Filters over all channels of their group: some windows are laid out one after the other, and met by all filters. */
  function mixed(step, x) {
    const [height, width, depth] = step.filterShape;
    const [, cols, filters] = step.shape;
    const [own, length, kernel] = [filters / step.groups, height * width * depth, rounded(step)];
    step.packed ??= range(step.groups).map((group) => mill.pack(own, length, (k, i) => kernel[i * filters + group * own + k]));
    const out = zeros(product(step.shape));
    for (let first = 0, pixels = step.shape[0] * cols; first < pixels; first += BLOCK) {
      const some = range(Math.min(BLOCK, pixels - first)).map((p) => first + p);
      step.packed.forEach((packed, group) => {
        gather(step, x, group * depth, some, mill.rows(length));
        mill.multiply(packed, own, length, out, some.map((pixel) => pixel * filters + group * own));
      });
    }
    return out;
  }

  function gather(step, x, channel, pixels, windows) {
    const [height, width, depth] = step.filterShape;
    const [, across, channels] = step.before[0];
    const [rows, cols] = met(step);
    windows.fill(0);
    pixels.forEach((pixel, p) => {
      const [row, col] = [Math.floor(pixel / step.shape[1]), pixel % step.shape[1]];
      for (const [i, r] of rows[row]) {
        for (const [j, c] of cols[col]) copy(windows, ((p * height + i) * width + j) * depth, x, (r * across + c) * channels + channel, depth);
      }
    });
  }

  function copy(out, to, x, from, count) {
    for (let k = 0; k < count; k++) out[to + k] = x[from + k];
  }

  // ---- what a unit sees; a box is [[first row, last + 1], columns, channels] ----

  const boxOf = (place) => place.map((i) => [i, i + 1]);
  const SEES = {
    grouped(step, [rows, cols, [first, last]], source) {
      const through = ([low, high], { kernel, stride, dilation, before }) => [floored(low * stride) - before, floored((high - 1) * stride) - before + (kernel - 1) * dilation + 1];
      const [filters, width] = [step.shape[2] / step.groups, step.before[source][2] / step.groups];
      return [through(rows, step.axes[0]), through(cols, step.axes[1]), [Math.floor(first / filters) * width, (Math.floor((last - 1) / filters) + 1) * width]];
    },
    stacked(step, [rows, cols, channels], source) {
      const start = startOf(step, source);
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
    const smooth = Number(!["linear", "relu"].includes(step.function.name));
    return { ...seen, activation: value, tolerance: Math.max(Math.abs(low - value), Math.abs(high - value)) + rounding(step, Math.abs(value) + smooth) };
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
    const said = [`${named(e)}:`];
    if (e.products) said.push(`${e.products.length} products sum to ${short(e.sum)};`);
    if (e.winner) said.push(`the largest of ${e.padded.filter((p) => !p).length} values;`);
    if (e.bias !== null) said.push(`${short(e.sum)} + bias ${short(e.bias)} = ${short(e.pre_activation)};`);
    return [...said, e.function === "linear" ? "" : `${e.function} gives`, short(e.activation)].filter(Boolean).join(" ");
  }

  // ---- backward: by how much the target changes with every number before it ----
  // A target is { of: "score" or "loss", index }: what the last layer has for this class before its softmax or sigmoid,
  // or the cross-entropy if this class were right.

  const squashes = (step) => ["softmax", "sigmoid"].includes(step.function.call);
  const lastOf = (network) => [...network.values()].at(-1);

  /** { name: { output, sum } }: the gradient by what a layer gives, and by what its function got; the same without one. */
  function backward(network, values, target) {
    const found = {};
    for (const step of network.values()) found[step.name] = { output: new Float32Array(product(step.shape)) };
    seed(lastOf(network), values, target, found);
    for (const step of [...network.values()].reverse()) {
      const [own, y] = [found[step.name], values[step.name]];
      own.sum ??= straightened(step, own.output, y, received(step, values));
      step.sources.forEach((name, number) => PULLS[step.rule](step, own.sum, found[name].output, number, values[name], y));
    }
    return found;
  }

  function seed(last, values, { of, index }, found) {
    const [own, y] = [found[last.name].output, values[last.name]];
    if (squashes(last)) found[last.name].sum = own;
    if (of === "score") { own[index] = 1; return; }
    own.set(y); // p, and at the right one p - 1 without the rounding of a p near 1
    if (index < y.length) own[index] = last.slope ? -sigmoid(-received(last, values)[index]) : -y.reduce((sum, p, k) => sum + (k === index ? 0 : p), 0);
  }

  const received = (step, values) => (step.rule === "bend" ? values[step.sources[0]] : step.kept); // by its function

  /** The gradient by what a layer's function got, from that by what it gave, y. */
  function straightened(step, gradient, y, x) {
    const { slope, shape: [, , channels] } = step;
    if (step.rule === "pass" || slope === SLOPES.linear) return gradient;
    const out = new Float32Array(y.length);
    if (slope) for (let i = 0; i < out.length; i++) out[i] = gradient[i] * slope(y[i], x?.[i]);
    else for (let start = 0; start < out.length; start += channels) {
      let mean = 0;
      for (let k = start; k < start + channels; k++) mean += gradient[k] * y[k];
      for (let k = start; k < start + channels; k++) out[k] = y[k] * (gradient[k] - mean);
    }
    return out;
  }

  function collect(into, d) {
    for (let i = 0; i < d.length; i++) into[i] += d[i];
  }

  const PULLS = { // d: what arrives at the sums of a layer; into: where what it sends to this source is added up
    pass: (step, d, into, number) => STRETCHES[step.sees](step, number, (to, from, count) => { for (let k = 0; k < count; k++) into[from + k] += d[to + k]; }),
    bend: (step, d, into) => collect(into, d),
    total: (step, d, into) => collect(into, d),
    max: route,
    sum: (step, d, into) => (!step.kernel ? spread(step, d, into) : step.filterShape[2] === 1 ? aloneBack(step, d, into) : mixedBack(step, d, into)),
  };

  /** To the winner of each window, the first of equals; a global pool's share it, as in TensorFlow. */
  function route(step, d, into, number, x, y) {
    const [channels, ties, sent] = [step.shape[2], new Uint32Array(d.length), new Uint8Array(d.length)];
    if (step.ties) eachTap(step, (to, from) => { for (let k = 0; k < channels; k++) if (step.round(x[from + k]) === y[to + k]) ties[to + k]++; });
    eachTap(step, (to, from) => {
      for (let k = 0; k < channels; k++) {
        if (sent[to + k] || step.round(x[from + k]) !== y[to + k]) continue;
        into[from + k] += step.ties ? d[to + k] / ties[to + k] : d[to + k];
        sent[to + k] = step.ties ? 0 : 1;
      }
    });
  }

  function spread(step, d, into) {
    const [channels, some] = [step.shape[2], shared(step, d.slice())];
    eachTap(step, (to, from) => { for (let k = 0; k < channels; k++) into[from + k] += some[to + k]; });
  }

  function aloneBack(step, d, into) {
    const [kernel, filters, channels] = [rounded(step), step.shape[2], step.before[0][2]];
    eachTap(step, (to, from, tap) => { for (let k = 0; k < filters; k++) into[from + Math.floor((k * channels) / filters)] += d[to + k] * kernel[tap * filters + k]; });
  }

  /** Cell by cell of the window: each channel of a pixel gets the sum, over the filters, of what arrived times the weight. */
  function mixedBack(step, d, into) {
    const [filters, depth, taps] = [step.shape[2], step.filterShape[2], step.filterShape[0] * step.filterShape[1]];
    const [own, kernel] = [filters / step.groups, rounded(step)];
    step.packedBack ??= range(taps).map((tap) => range(step.groups).map((group) =>
      mill.pack(depth, own, (i, k) => kernel[(tap * depth + i) * filters + group * own + k])));
    const pixels = range(taps).map(() => []); // where it arrived, where it goes
    eachTap(step, (to, from, tap) => { if (!isBlank(d, to, filters)) pixels[tap].push([to, from]); });
    pixels.forEach((all, tap) => step.packedBack[tap].forEach((packed, group) => {
      for (let first = 0; first < all.length; first += BLOCK) {
        const some = all.slice(first, first + BLOCK);
        const rows = mill.rows(own);
        some.forEach(([to], p) => copy(rows, p * own, d, to + group * own, own));
        mill.multiply(packed, depth, own, into, some.map(([, from]) => from + group * depth));
      }
    }));
  }

  /** Behind a closed ReLU, or a window that was not won. */
  function isBlank(d, first, count) {
    for (let k = first; k < first + count; k++) if (d[k] !== 0) return false;
    return true;
  }

  /** Where the gradient of a unit comes from: what each layer that reads it sends back, product by product. */
  function blame(network, values, gradients, target, layer, unit = null, channel = null) {
    const step = network.get(layer);
    const last = lastOf(network);
    const place = unit === null ? mostActive(step, gradients[layer].output.map(Math.abs)) : step.vector ? [0, 0, unit[0]] : [...unit, channel];
    const index = indexOf(place, step.shape);
    const readers = [...network.values()].flatMap((later) => later.sources.flatMap((name, number) => (name === layer ? [{ later, number }] : [])));
    const parts = readers.map(({ later, number }) => part(network, values, gradients, step, place, later, number));
    const output = gradients[layer].output[index];
    const own = step === last ? { y: values[layer][index], squashed: squashes(step) } : null;
    const sum = own ? output : parts.reduce((total, { sum }) => total + sum, 0);
    const sizes = parts.reduce((total, { products }) => total + products.reduce((all, x) => all + Math.abs(x), 0), 0);
    const found = { layer, parts, own, right: index === target.index, output, sum, tolerance: 1e-5 * sizes + 2 ** -126, gate: own?.squashed ? null : gateOf(network, step, values, gradients, place),
      unit: step.vector ? [place[2]] : place.slice(0, 2), channel: step.vector ? null : place[2] };
    return { ...found, text: told(found, target, last) };
  }

  /** The function behind a sum: its slope, and what passes it; softmax has no slope of its own. */
  function gateOf(network, step, values, gradients, place) {
    if (["pass", "bend"].includes(step.rule) || step.function.call === "linear") return null;
    const index = indexOf(place, step.shape);
    const found = { function: step.function.name, passed: gradients[step.name].sum[index], slope: null };
    if (!step.slope) return found;
    const x = numbers(network, { ...step, shows: "" }, step.sources.map((name) => values[name]), place).pre_activation;
    return { ...found, pre_activation: x, slope: step.slope(values[step.name][index], x) };
  }

  /** What one layer sends back to a unit: what arrived at its own numbers that saw the unit, and by which weight each saw it. */
  function part(network, values, gradients, step, place, later, number) {
    const seeded = later.rule === "bend" && later === lastOf(network) && squashes(later); // the target stands before it
    const { cells, channels, shape } = seeded ? alongside(place) : readersOf(step, place, later, number);
    const bends = later.rule === "bend" && !seeded;
    const d = gradients[later.name][bends ? "output" : "sum"];
    const weigh = weightOf(later, step, values, place, bends);
    const places = cells.flatMap(({ at, tap }) => range(shape[2]).map((i) => [...at, channels[0] + i, tap]));
    const patch = Float64Array.from(places, (at) => d[indexOf(at, later.shape)]);
    const kernel = Float64Array.from(places, weigh);
    const products = patch.map((value, i) => value * kernel[i]);
    const along = (axis) => (cells.length ? [cells[0].at[axis], cells.at(-1).at[axis] + 1] : [0, 0]);
    const order = range(products.length).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]) || a - b).slice(0, 10);
    return { layer: later.name, rule: seeded ? "seeded" : later.rule, shows: later.shows, function: later.function.name, filters: Boolean(later.kernel), patch, kernel, products, shape,
      sum: products.reduce((total, x) => total + x, 0), won: kernel.reduce((won, weight) => won + Number(weight > 0), 0), padded: cells.map(() => false), window: [along(0), along(1), channels],
      top: order.map((i) => [places[i].slice(0, 3), patch[i], kernel[i], products[i]]) };
  }

  const alongside = ([row, col, channel]) => ({ cells: [{ at: [row, col], tap: 0 }], channels: [channel, channel + 1], shape: [1, 1, 1] });

  /** The places of a layer whose windows hold this unit, which cell of the window it is for each, and the channels that see it. */
  function readersOf(step, place, later, number) {
    const [row, col, channel] = place;
    if (later.sees === "reshaped") return alongside(placeOf(indexOf(place, step.shape), later.shape));
    if (later.sees === "stacked") return alongside([row, col, startOf(later, number) + channel]);
    const along = (axis, at) => met(later)[axis].flatMap((cells, place) => cells.filter(([, i]) => i === at).map(([k]) => [k, place]));
    const [down, across] = [along(0, row), along(1, col)];
    const cells = down.flatMap(([i, r]) => across.map(([j, c]) => ({ at: [r, c], tap: i * later.axes[1].kernel + j })));
    const [width, own] = later.f || later.rule !== "bend" ? [step.shape[2] / later.groups, later.shape[2] / later.groups] : [step.shape[2], later.shape[2]]; // softmax: all see all
    const first = Math.floor(channel / width) * own;
    return { cells, channels: [first, first + own], shape: [down.length, across.length, own] };
  }

  /** By which weight a unit counted at [row, column, channel] of a layer that reads it, as this cell of its window. */
  function weightOf(later, step, values, [row, col, channel], bends) {
    const [x, y] = [values[step.name], values[later.name]];
    if (later.rule === "max") {
      return ([r, c, k]) => {
        const cells = met(later)[0][r].flatMap(([, i]) => met(later)[1][c].map(([, j]) => [i, j]));
        const best = cells.filter(([i, j]) => later.round(x[indexOf([i, j, k], step.shape)]) === y[indexOf([r, c, k], later.shape)]);
        const [winners, share] = later.ties ? [best, 1 / best.length] : [best.slice(0, 1), 1];
        return winners.some(([i, j]) => i === row && j === col) ? share : 0;
      };
    }
    if (later.rule === "sum" && !later.kernel) return ([r, c]) => 1 / (met(later)[0][r].length * met(later)[1][c].length);
    if (later.rule === "sum") {
      const [kernel, depth] = [rounded(later), later.filterShape[2]];
      return ([, , k, tap]) => kernel[(tap * depth + (channel % depth)) * later.shape[2] + k];
    }
    if (!bends) return () => 1;
    const i = indexOf([row, col, channel], step.shape);
    return later.slope ? () => later.slope(y[i], x[i]) : ([r, c, k]) => y[indexOf([r, c, k], later.shape)] * (Number(k === channel) - y[i]);
  }

  const short = (x) => String(Number(x.toPrecision(4)));
  const named = ({ layer, unit, channel }) => `${layer}, ${channel === null ? `unit ${unit[0]}` : `(${unit.join(", ")}) of channel ${channel}`}`;

  function told(found, { of, index }, last) {
    const [, cols, channels] = last.shape;
    const pixel = Math.floor(index / channels);
    const unit = { layer: last.name, unit: [Math.floor(pixel / cols), pixel % cols], channel: index % channels };
    const from = found.parts.map(({ layer, products, sum }) => `${products.length} ${products.length === 1 ? "product" : "products"} from ${layer} sum to ${short(sum)};`);
    return [`${named(found)}:`, ...from, `gradient of the ${of} of ${last.vector ? index : named(unit)} is ${short(found.output)}`].join(" ");
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

  /** Answers one question after the other: the network first, then images, and what to send back through it. */
  function server() {
    let network, numbers;
    return ({ layers, arrays, image, probe, target }) => {
      if (layers) [network, numbers] = [open(layers, arrays), arrays];
      const wrong = probe && disagreements(network, numbers, probe);
      const values = image && forward(network, image);
      if (!layers) return { wrong, values, target, gradients: target && values && backward(network, values, target) };
    };
  }

  return { open, forward, explain, backward, blame, server };
}
