"""How much longer does the LeNet of notebook 5, NumPy alone, train than the same network in Keras?

``python -m benchmarks.numpy_training [--rounds 3] [--quick]``

One pass over the full MNIST in batches of 128, momentum SGD with one cycle of the rate, from the same start on the
same batches. The two take turns. The NumPy side is the notebook's own code: its cells are run up to the training.
"""

import ast
import time

import numpy as np

from benchmarks import measure
from tools import notebooks

BATCH, PEAK = 128, 0.1


def main(arguments=None):
    given = measure.options(__doc__, arguments, rounds=3)
    data, page = measure.full_mnist(given.quick), notebook()
    count = 2 * BATCH if given.quick else len(data.x_train)
    x, y = data.x_train[:count] / np.float32(255), data.y_train[:count]
    x_test, runs = data.x_test / np.float32(255), {"NumPy": [], "Keras": []}
    for seed in range(1 if given.quick else given.rounds):
        start = [weight.value for weight in page["initialise"](seed)]
        order = np.random.default_rng(seed).permutation(count)
        for name, train in (("NumPy", in_numpy), ("Keras", in_keras)):
            seconds, scores = train(page, start, x[order], y[order], x_test)
            runs[name].append((seconds, np.mean(scores.argmax(axis=1) == data.y_test)))
            print(f"seed {seed}, {name}: {seconds:.1f} s, {runs[name][-1][1]:.2%}", flush=True)
    seconds = {name: [one[0] for one in many] for name, many in runs.items()}
    results = {
        "seconds": {name: measure.spread(many) for name, many in seconds.items()},
        "accuracy": {name: measure.spread([one[1] for one in many]) for name, many in runs.items()},
        "times Keras": measure.ratios(seconds["NumPy"], seconds["Keras"]),
        "milliseconds": layers(page, start, x[:BATCH], y[:BATCH]),
    }
    results = measure.rounded(results)
    print(report(results))
    measure.save(given.results, "numpy_training", results, figure(results))


def notebook():
    """What the cells of notebook 5 import and define, up to the training loop; what they compute is left out."""
    path, names = next(path for path in notebooks.paths() if path.name.startswith("05")), {}
    kinds = ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef
    for cell in notebooks.code_cells(notebooks.read(path)):
        tree = ast.parse(cell.source)
        tree.body = [
            one for one in tree.body if isinstance(one, kinds) or ast.unparse(one).startswith("SHAPES =")
        ]
        exec(compile(tree, path.name, "exec"), names)
        if "train" in names:
            return names
    raise LookupError(f"{path.name} defines no function train")


def rates(page, x):
    return page["one_cycle"](PEAK, -(-len(x) // BATCH))


def in_numpy(page, start, x, y, x_test):
    weights = [page["Node"](value.copy()) for value in start]
    began = time.perf_counter()
    page["train"](weights, x, y, np.arange(len(x)), rates(page, x), BATCH, report=False)
    seconds = time.perf_counter() - began
    scores = [page["lenet"](some, weights).value for some in np.array_split(x_test, 20)]
    return seconds, np.concatenate(scores)


def in_keras(page, start, x, y, x_test):
    """Two batches first, from which nothing stays but the traced step."""
    from cnn_utils import keras, models, training

    model = models.lenet5()
    model.compile(
        keras.optimizers.SGD(training.one_cycle(PEAK, len(rates(page, x))), momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x[: 2 * BATCH], y[: 2 * BATCH], batch_size=BATCH, verbose=0)
    model.set_weights(start)
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    began = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    return time.perf_counter() - began, model.predict(x_test, verbose=0)


def layers(page, start, x, y):
    """Milliseconds of each operation's way back, for one batch, with the shape that it gave forward."""
    error = page["cross_entropy"](page["lenet"](x, [page["Node"](value) for value in start]), y)
    page["backward"](error)
    nodes = {f"{n.operation} to {n.value.shape}": n for n in page["in_order"](error) if n.parents}
    seconds = measure.interleaved({name: lambda n=n: n.back(n.gradient) for name, n in nodes.items()}, 5)
    return {name: 1000 * measure.spread(many)["median"] for name, many in seconds.items()}


def report(results):
    rows = [
        (
            name,
            measure.shown(results["seconds"][name], unit=" s"),
            measure.shown({key: 100 * value for key, value in results["accuracy"][name].items()}, 2, " %"),
        )
        for name in results["seconds"]
    ]
    slowest = sorted(results["milliseconds"].items(), key=lambda one: -one[1])[:4]
    return "\n\n".join(
        (
            measure.table(("one pass, the same steps", "time", "test accuracy"), rows),
            f"NumPy takes {measure.shown(results['times Keras'])} times as long as Keras.",
            measure.table(("slowest ways back", "ms"), [(name, f"{ms:.1f}") for name, ms in slowest]),
        )
    )


def figure(results):
    """Milliseconds of each way back, from the images at the top to the loss."""
    from cnn_utils import plots

    names = list(results["milliseconds"])[::-1]
    drawing = plots.curves(
        {"": ([results["milliseconds"][name] for name in names], range(len(names)))},
        styles={"": {"marker": "o", "lw": 0, "color": plots.COLORS["gradient"]}},
        title="LeNet in NumPy: what each way back takes",
        xlabel=f"milliseconds for a batch of {BATCH}",
        size=(8, 0.3 * len(names) + 1),
    )
    drawing.axes.set_yticks(range(len(names)), names)
    return drawing.figure


if __name__ == "__main__":
    main()
