"""From notebook 6's training to the quick recipe, step by step: what each step brings in time and accuracy.

``python -m benchmarks.ladder [--seeds 5] [--quick]``

Each rung keeps the changes of those before it. Time is counted as in `benchmarks.time_to_accuracy`; training
stops at the first epoch's end with 99 % of the official test set, or after the rung's number of epochs. The rungs
take turns. What was measured, the table and the sentences under it, is then written into notebook 6.
"""

import re
from itertools import pairwise

import numpy as np

from benchmarks import measure
from benchmarks.time_to_accuracy import GOAL, Stopwatch

START = {
    "network": "lenet5",
    "dtype": "float32",
    "batch": 64,
    "peak": None,  # None: Adam's own constant rate, 0.001
    "betas": (0.9, 0.999),
    "smoothing": 0.0,
    "epochs": 10,
    "metrics": ["accuracy"],
    "steps per call": 1,
}
CYCLE = "the rate in one cycle, peak 0.005"
BFLOAT16 = "bfloat16"
RUNGS = {
    "LeNet-5, Adam at its defaults": {},
    CYCLE: {"peak": 0.005, "epochs": 2},
    # five changes that only count together: one by one, their ranges overlap
    "the quick recipe, one pass": {
        "network": "quicknet",
        "smoothing": 0.1,
        "batch": 128,
        "peak": 0.015,
        "betas": (0.7, 0.9),
        "epochs": 1,
    },
    "no metrics, 50 steps for one call": {"metrics": None, "steps per call": 50},
    BFLOAT16: {"dtype": "mixed_bfloat16"},
}
HEADER = ("each row keeps the changes above", "time", "epochs", "test accuracy")
BLOCK = re.compile(rf"^\| {HEADER[0]} \|.*?\n\n.*?$", re.MULTILINE | re.DOTALL)  # table and one paragraph
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}


def main(arguments=None):
    given = measure.options(__doc__, arguments, seeds=5)
    data, skipped = measure.full_mnist(given.quick), set()
    if not measure.has_bfloat16():
        skipped = {BFLOAT16}  # without instructions for it, it is slower
    runs = {name: [] for name in RUNGS if name not in skipped}
    for seed in range(1 if given.quick else given.seeds):
        settings = dict(START)
        for name in runs:
            settings |= RUNGS[name]
            runs[name].append(climb(data, {**settings, "epochs": 1} if given.quick else settings, seed))
            print(f"seed {seed}, {name}: {runs[name][-1][0]:.1f} s, {runs[name][-1][2]:.2%}", flush=True)
    results = {"rungs": {name: summary(many) for name, many in runs.items()}}
    results = measure.rounded(results)
    print(report(results))
    measure.save(given.results, "ladder", results, figure(results))
    if not given.quick and given.results == measure.RESULTS:
        write_into_notebook(block(results))


def summary(runs):
    seconds, epochs, accuracies = zip(*runs, strict=True)
    return {
        "seconds": measure.spread(seconds),
        "epochs": measure.spread(epochs),
        "accuracy": measure.spread(accuracies),
        "reached": sum(accuracy >= GOAL for accuracy in accuracies),
        "seeds": len(runs),
    }


def report(results):
    rows = [
        (
            name,
            measure.shown(one["seconds"], unit=" s"),
            f"{one['epochs']['median']:g}",
            measure.shown({key: 100 * value for key, value in one["accuracy"].items()}, 2, " %"),
        )
        for name, one in results["rungs"].items()
    ]
    return measure.table(HEADER, rows)


def block(results):
    """The Markdown of notebook 6: the table, and under it what it shows."""
    return f"{report(results)}\n\n{sentences(results)}"


def sentences(results):
    """What the table shows, in words and with its numbers.

    Raises ValueError where what was measured no longer bears a sentence out: then the ladder needs other rungs, or
    the sentence other words.
    """
    rungs = results["rungs"]
    seconds = {name: one["seconds"] for name, one in rungs.items()}
    for name, one in rungs.items():
        _require(one["reached"] == one["seeds"], f"{name}: {one['reached']} of {one['seeds']} reached 99 %")
    saved = {}
    for before, after in pairwise(seconds):
        text = f"{after}: up to {seconds[after]['high']} s, {before}: from {seconds[before]['low']} s"
        _require(seconds[after]["high"] < seconds[before]["low"], f"their ranges overlap: {text}")
        saved[after] = seconds[before]["median"] - seconds[after]["median"]
    _require(max(saved, key=saved.get) == CYCLE, f"the learning rate does not save the most: {saved}")
    first, last = list(seconds.values())[0], list(seconds.values())[-1]
    seeds = {one["seeds"] for one in rungs.values()}.pop()
    lowest = min(one["accuracy"]["low"] for one in rungs.values())
    said = [
        f"Medians and ranges of {NUMBERS.get(seeds, seeds)} seeds: in each row the slowest seed was quicker than the "
        "quickest of the row above.",
        f"One line, the learning rate, saves {saved[CYCLE]:.0f} of the {sum(saved.values()):.0f} seconds.",
        f"The end is {first['median'] / last['median']:.0f} times quicker than the start,",
        f"and no seed stopped below {100 * lowest:.2f} %.",
    ]
    return " ".join(said)


def _require(holds, complaint):
    if not holds:
        raise ValueError(f"{complaint}: notebook 6 says otherwise, so change the rungs or its sentences")


def write_into_notebook(text):
    """Put the table and the sentences in the place of those that stand in notebook 6."""
    from tools import notebooks

    path = next(path for path in notebooks.paths() if path.name.startswith("06"))
    notebook = notebooks.read(path)
    [cell] = [cell for cell in notebook.cells if BLOCK.search(cell.source)]
    cell.source = BLOCK.sub(lambda _: text, cell.source)
    notebooks.write(notebook, path)


def figure(results):
    """Seconds of each rung, from the top down, its accuracy beside it."""
    from cnn_utils import plots

    names = list(results["rungs"])[::-1]
    drawing = plots.curves(
        {"": ([results["rungs"][name]["seconds"]["median"] for name in names], range(len(names)))},
        styles={"": {"marker": "o", "lw": 0, "color": plots.COLORS["highlight"]}},
        title="Seconds to train, one step at a time",
        xlabel="seconds, with the test accuracy",
        size=(8, 0.4 * len(names) + 1),
    )
    axes = drawing.axes
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.25 * max(one["seconds"]["median"] for one in results["rungs"].values()))
    for place, name in enumerate(names):
        one = results["rungs"][name]
        label = f"{one['seconds']['median']:.1f} s, {one['accuracy']['median']:.2%}"
        axes.annotate(
            label, (one["seconds"]["median"], place), (9, -3), textcoords="offset points", fontsize=9
        )
    return drawing.figure


def climb(data, settings, seed):
    """Train as the settings say: seconds, epochs, and the accuracy on the test set."""
    from cnn_utils import keras, models, training

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    x_train, x_test = (images / np.float32(255) for images in (data.x_train, data.x_test))
    batch, epochs, watch = settings["batch"], settings["epochs"], Stopwatch(data.y_test)
    steps = epochs * -(-len(x_train) // batch)
    rate = training.one_cycle(settings["peak"], steps) if settings["peak"] else 0.001
    first, second = settings["betas"]
    quick = settings["network"] == "quicknet"
    model = models.quicknet(dtype=settings["dtype"]) if quick else models.lenet5(filters=(16, 32))
    model.compile(
        keras.optimizers.Adam(rate, beta_1=first, beta_2=second),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings["smoothing"]),
        metrics=settings["metrics"],
        steps_per_execution=min(settings["steps per call"], steps // epochs),
    )
    targets = keras.utils.to_categorical(data.y_train, 10)
    watch.start()
    model.fit(
        x_train, targets, batch_size=batch, epochs=epochs, verbose=0, callbacks=[watch.callback(x_test)]
    )
    return watch.seconds, len(watch.accuracies), watch.accuracies[-1]


if __name__ == "__main__":
    main()
