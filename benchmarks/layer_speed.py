"""How fast are the layers in NumPy, beside TensorFlow, a naive im2col and SciPy? Is their cost linear in the batch?

``python -m benchmarks.layer_speed [--rounds 15] [--quick]``

Forward, and forward with all gradients, of the layers of LeNet-5 and of the Fashion-MNIST network, in float32, from
NumPy arrays to NumPy arrays. At batch 128 all take turns; over batches 1 to 512 `reference` is measured alone, for
time and for the peak of memory beyond its arguments.
"""

import time
import tracemalloc

import numpy as np

from benchmarks import measure
from cnn_utils import reference

LAYERS = {  # size, channels, filters (None: 2x2 max pooling), padding
    "LeNet conv1": (28, 1, 6, "same"),
    "LeNet pool1": (28, 6, None, "valid"),
    "LeNet conv2": (14, 6, 16, "valid"),
    "LeNet pool2": (10, 16, None, "valid"),
    "Fashion conv1": (28, 1, 16, "same"),
    "Fashion pool1": (28, 16, None, "valid"),
    "Fashion conv2": (14, 16, 32, "same"),
    "Fashion pool2": (14, 32, None, "valid"),
}
NAMES = {"reference": "cnn_utils", "tensorflow": "TensorFlow", "im2col": "naive im2col", "scipy": "SciPy"}


def main(arguments=None):
    given = measure.options(__doc__, arguments, rounds=15)
    rounds, batch = (1, 2) if given.quick else (given.rounds, 128)
    batches = (1, 2) if given.quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    layers = {}
    for name in list(LAYERS)[: 2 if given.quick else None]:
        layers[name] = {
            "side by side": side_by_side(name, batch, rounds),
            "by batch": by_batch(name, batches, rounds),
        }
        print(f"{name}: done", flush=True)
    results = {"batch": batch, "layers": layers}
    results = measure.rounded(results)
    print(report(results))
    measure.save(given.results, "layer_speed", results, figure(results))
    memory = figure(results, "memory", "peak megabytes", "memory grows with what goes in and out")
    measure.save(given.results, "layer_memory", None, memory)


def side_by_side(name, batch, rounds):
    """Milliseconds of each way, and how many times as long as TensorFlow `reference` takes, round by round."""
    seconds = {}
    for work in ("forward", "forward and backward"):
        ways = {way: make(name, batch, work) for way, make in WAYS.items()}
        slow = {"scipy": ways.pop("scipy")} if ways["scipy"] else {}  # hundreds of times slower: few rounds
        ways = {way: run for way, run in ways.items() if run}
        seconds[work] = measure.interleaved(ways, rounds) | measure.interleaved(slow, min(rounds, 2))
    return {
        work: {
            "milliseconds": {
                way: measure.spread([1000 * one for one in many]) for way, many in seconds[work].items()
            },
            "times TensorFlow": measure.ratios(seconds[work]["reference"], seconds[work]["tensorflow"]),
        }
        for work in seconds
    }


def by_batch(name, batches, rounds):
    """Time and peak memory of `reference` for each batch, each with the line that fits it best."""
    runs = {batch: ours(name, batch, "forward and backward") for batch in batches}
    seconds = measure.interleaved(runs, min(rounds, 7))
    milliseconds = [1000 * measure.spread(seconds[batch])["median"] for batch in batches]
    megabytes = [peak_memory(runs[batch]) / 1e6 for batch in batches]
    return {
        "batches": batches,
        "time": {"milliseconds": milliseconds, **line(batches, milliseconds)},
        "memory": {"peak megabytes": megabytes, **line(batches, megabytes)},
    }


def line(batches, values):
    """Least squares of the relative errors: value = fixed + batch * slope; how far the worst value is off it.

    Only batches from 32 up (if there are two): smaller ones fit into one chunk, whose patches grow with the batch.
    """
    large = [place for place, batch in enumerate(batches) if batch >= 32]
    some = slice(large[0], None) if len(large) > 1 else slice(None)
    batches, values = np.array(batches[some]), np.array(values[some])
    slope, fixed = np.polyfit(batches, values, 1, w=1 / values)
    return {
        "fixed": fixed,
        "slope": slope,
        "off by at most": np.abs((fixed + slope * batches) / values - 1).max(),
    }


def peak_memory(run):
    """Bytes that a call needs at most, its results among them; NumPy reports its arrays to tracemalloc."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def report(results):
    rows = []
    for name, one in results["layers"].items():
        for work, sides in one["side by side"].items():
            cells = [sides["milliseconds"].get(way) for way in NAMES]
            times = [f"{cell['median']:.2f}" if cell else "" for cell in cells]
            rows.append((name, work, *times, measure.shown(sides["times TensorFlow"], 2)))
    header = ("layer", "", *(f"{way}, ms" for way in NAMES.values()), "cnn_utils / TensorFlow")
    growth = []
    for name, one in results["layers"].items():
        time_line, memory = one["by batch"]["time"], one["by batch"]["memory"]
        growth.append(
            (
                name,
                f"{time_line['fixed']:.2f} ms + {1000 * time_line['slope']:.1f} µs for each image",
                f"{time_line['off by at most']:.0%}",
                f"{memory['fixed']:.1f} MB + {1000 * memory['slope']:.1f} kB for each image",
                f"{memory['off by at most']:.0%}",
            )
        )
    header_of_lines = (
        "forward and backward, from batch 32",
        "time",
        "off by at most",
        "peak memory",
        "off by at most",
    )
    return f"{measure.table(header, rows)}\n\n{measure.table(header_of_lines, growth)}"


def figure(results, what="time", values="milliseconds", title="twice the batch, twice the time"):
    from cnn_utils import plots

    lines = {
        name: (one["by batch"]["batches"], one["by batch"][what][values])
        for name, one in results["layers"].items()
        if "conv" in name
    }
    drawing = plots.curves(
        lines,
        styles={name: {"marker": "o"} for name in lines},
        log=True,
        title=f"NumPy layers, forward and backward: {title}",
        xlabel="batch (logarithmic)",
        ylabel=f"{values} (logarithmic)",
    )
    drawing.axes.set_xscale("log", base=2)
    drawing.axes.xaxis.set_major_formatter("{x:g}")
    drawing.axes.yaxis.set_major_formatter("{x:g}")
    return drawing.figure


def arrays(name, batch):
    """Images, kernel, bias and the output's gradient for a layer; pools have neither kernel nor bias."""
    size, channels, filters, padding = LAYERS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, channels), dtype=np.float32)
    if filters is None:
        return x, None, None, rng.standard_normal((batch, size // 2, size // 2, channels), dtype=np.float32)
    kernel = rng.standard_normal((5, 5, channels, filters), dtype=np.float32)
    bias = np.zeros(filters, np.float32)
    output = size if padding == "same" else size - 4
    return x, kernel, bias, rng.standard_normal((batch, output, output, filters), dtype=np.float32)


def ours(name, batch, work):
    (x, kernel, bias, gradient), padding = arrays(name, batch), LAYERS[name][3]

    def conv():
        output = reference.conv2d(x, kernel, bias, padding=padding)
        if work == "forward":
            return output
        return output, reference.conv2d_gradients(x, kernel, gradient, padding=padding)

    def pool():
        output = reference.max_pool2d(x)
        return output if work == "forward" else (output, reference.max_pool2d_gradient(x, gradient))

    return pool if kernel is None else conv


def tensorflows(name, batch, work):
    """Operation by operation (eager), from constants made beforehand to NumPy arrays."""
    from cnn_utils import tf

    padding = LAYERS[name][3].upper()
    given = [None if array is None else tf.constant(array) for array in arrays(name, batch)]
    x, kernel, bias, gradient = given
    sources = [array for array in given[:3] if array is not None]

    def layer():
        return (
            tf.nn.max_pool2d(x, 2, 2, "VALID")
            if kernel is None
            else tf.nn.conv2d(x, kernel, 1, padding) + bias
        )

    def both():
        with tf.GradientTape() as tape:
            tape.watch(sources)
            output = layer()
        return output.numpy(), [one.numpy() for one in tape.gradient(output, sources, gradient)]

    return (lambda: layer().numpy()) if work == "forward" else both


def im2cols(name, batch, work):
    """The textbook's im2col: loops over the places of the kernel, patches of the whole batch at once."""
    (x, kernel, bias, gradient), padding = arrays(name, batch), LAYERS[name][3]
    if kernel is None:
        return None
    side, channels, filters = kernel.shape[0], *kernel.shape[2:]
    margin = side // 2 if padding == "same" else 0
    rows, columns = gradient.shape[1:3]

    def run():
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        patches = np.zeros((batch, rows, columns, side, side, channels), np.float32)
        for i in range(side):
            for j in range(side):
                patches[:, :, :, i, j] = padded[:, i : i + rows, j : j + columns]
        matrix, weights = patches.reshape(-1, side * side * channels), kernel.reshape(-1, filters)
        output = (matrix @ weights + bias).reshape(gradient.shape)
        if work == "forward":
            return output
        gradient_matrix = gradient.reshape(-1, filters)
        back = (gradient_matrix @ weights.T).reshape(patches.shape)
        dx = np.zeros_like(padded)
        for i in range(side):
            for j in range(side):
                dx[:, i : i + rows, j : j + columns] += back[:, :, :, i, j]
        dx = dx[:, margin : margin + x.shape[1], margin : margin + x.shape[2]]
        return output, dx, (matrix.T @ gradient_matrix).reshape(kernel.shape), gradient_matrix.sum(axis=0)

    return run


def scipys(name, batch, work):
    """One call for each image and filter: SciPy knows no channels. Forward only, on a sixteenth of the batch."""
    from scipy.signal import correlate

    (x, kernel, bias, _), padding = arrays(name, max(1, batch // 16)), LAYERS[name][3]
    if kernel is None or work != "forward":
        return None
    margin = 2 if padding == "same" else 0
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))

    def run():
        began = time.perf_counter()
        for image in padded:
            for number in range(kernel.shape[-1]):
                correlate(image, kernel[..., number], mode="valid", method="direct") + bias[number]
        return (time.perf_counter() - began) * batch / len(x)

    return run


WAYS = {"reference": ours, "tensorflow": tensorflows, "im2col": im2cols, "scipy": scipys}

if __name__ == "__main__":
    main()
