// The sliders of notebook 2 without a kernel: one axis of a convolution, or of a transposed one, drawn as `plots.windows` does.
const COLORS = { input: "#0072B2", kernel: "#E69F00", output: "#009E73", highlight: "#D55E00", neutral: "#6B6B6B" };
const KNOBS = { size: [1, 12, 6], kernel: [1, 5, 3], stride: [1, 4, 2], padding: [0, 3, 0], dilation: [1, 3, 1] };

// As cnn_utils.arithmetic: how many windows fit, and for a transposed convolution how long its output is.
function placed({ size, kernel, stride, padding, dilation, transposed }) {
  const span = dilation * (kernel - 1) + 1;
  const length = transposed ? (size - 1) * stride + span - 2 * padding : size;
  if (length < 1) return { error: `padding=${padding} takes away too much: the result would be ${length} wide` };
  if (span > length + 2 * padding) {
    return { error: `kernel=${kernel} does not fit: it spans ${span}, the input is ${length} wide, ${length + 2 * padding} with padding` };
  }
  return { length, span, outputs: Math.floor((length + 2 * padding - span) / stride) + 1 };
}

function drawing(knobs) {
  const { kernel, stride, padding, dilation, transposed } = knobs;
  const { length, span, outputs, error } = placed(knobs);
  if (error) return { text: error, svg: "" };
  const [strip, tapped] = transposed ? ["output", "input"] : ["input", "output"];
  const starts = Array.from({ length: outputs }, (_, o) => o * stride - padding);
  const met = new Set(starts.flatMap((start) => Array.from({ length: kernel }, (_, tap) => start + tap * dilation)));
  const unit = 34, left = (pixel) => (pixel + padding) * unit;
  const parts = [];
  for (let pixel = -padding; pixel < length + padding; pixel++) {
    const real = pixel >= 0 && pixel < length, read = met.has(pixel);
    const edge = COLORS[real && !read ? "highlight" : "neutral"];
    const fill = real && read ? COLORS[strip] : real ? "white" : "url(#padding)";
    parts.push(`<rect x="${left(pixel) + 2}" y="2" width="30" height="26" fill="${fill}" stroke="${edge}" stroke-width="${read ? 1 : 2}"/>`);
    if (real) parts.push(`<text x="${left(pixel) + 17}" y="20" text-anchor="middle" fill="${read ? "white" : edge}">${pixel}</text>`);
  }
  starts.forEach((start, number) => {
    const y = 36 + 26 * number;
    parts.push(`<line x1="${left(start) + 17}" x2="${left(start + span - 1) + 17}" y1="${y + 8}" y2="${y + 8}" stroke="${COLORS.kernel}"/>`);
    for (let tap = 0; tap < kernel; tap++) {
      parts.push(`<rect x="${left(start + tap * dilation) + 2}" y="${y}" width="30" height="17" fill="${COLORS.kernel}"/>`);
    }
    parts.push(`<text x="${left(length + padding) + 8}" y="${y + 14}" fill="${COLORS[tapped]}">${tapped} ${number}</text>`);
  });
  const width = (length + 2 * padding) * unit + 90, height = 40 + 26 * outputs;
  const text = transposed ? `${outputs} pixels become ${length}` : `${length} pixels become ${outputs}`;
  const hatch = `<pattern id="padding" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" stroke="${COLORS.neutral}"/></pattern>`;
  return { text, svg: `<svg viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${text}" font-size="14"><defs>${hatch}</defs>${parts.join("")}</svg>` };
}

for (const place of document.querySelectorAll(".windows")) {
  const inputs = Object.entries(KNOBS).map(([name, [low, high, value]]) =>
    `<label>${name} <input type="range" name="${name}" min="${low}" max="${high}" value="${value}"> <output>${value}</output></label>`);
  place.innerHTML = `${inputs.join("")}<label><input type="checkbox" name="transposed"> transposed</label><p aria-live="polite"></p><div></div>`;
  const update = () => {
    const knobs = { transposed: place.querySelector("[name=transposed]").checked };
    for (const input of place.querySelectorAll("[type=range]")) {
      knobs[input.name] = Number(input.value);
      input.nextElementSibling.textContent = input.value;
    }
    const { text, svg } = drawing(knobs);
    place.querySelector("p").textContent = text;
    place.querySelector("div").innerHTML = svg;
  };
  place.addEventListener("input", update);
  update();
}
