"""From notebook 6's training to the quick recipe, one change at a time: what each brings in time and accuracy.

``python -m benchmarks.ladder [--seeds 3] [--quick]``

Each rung keeps the changes of those before it. Time is counted as in `benchmarks.time_to_accuracy`; training
stops at the first epoch's end with 99 % of the official test set, or after the rung's number of epochs. The rungs
take turns.
"""

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
RUNGS = {
    "LeNet-5, Adam at its defaults": {},
    "the rate in one cycle, peak 0.005": {"peak": 0.005, "epochs": 2},
    "pool before ReLU": {"network": "pool first"},
    "one dense layer less, no padding": {"network": "quicknet"},
    "smoothed labels": {"smoothing": 0.1},
    "batch 128, peak 0.015": {"batch": 128, "peak": 0.015},
    "short memories in Adam": {"betas": (0.7, 0.9)},
    "one pass instead of two": {"epochs": 1},
    "no metrics, 50 steps for one call": {"metrics": None, "steps per call": 50},
    "bfloat16": {"dtype": "mixed_bfloat16"},
}


def main(arguments=None):
    given = measure.options(__doc__, arguments, seeds=3)
    data, skipped = measure.full_mnist(given.quick), set()
    if not measure.has_bfloat16():
        skipped = {"bfloat16"}  # without instructions for it, it is slower
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
    return measure.table(("each rung keeps those above", "time", "epochs", "test accuracy"), rows)


def figure(results):
    """Seconds of each rung, from the top down, its accuracy beside it."""
    from cnn_utils import plots

    names = list(results["rungs"])[::-1]
    drawing = plots.curves(
        {"": ([results["rungs"][name]["seconds"]["median"] for name in names], range(len(names)))},
        styles={"": {"marker": "o", "lw": 0, "color": plots.COLORS["highlight"]}},
        title="Seconds to train, one change at a time",
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
    from cnn_utils import keras, training

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    x_train, x_test = (images / np.float32(255) for images in (data.x_train, data.x_test))
    batch, epochs, watch = settings["batch"], settings["epochs"], Stopwatch(data.y_test)
    steps = epochs * -(-len(x_train) // batch)
    rate = training.one_cycle(settings["peak"], steps) if settings["peak"] else 0.001
    first, second = settings["betas"]
    model = network(settings["network"], settings["dtype"])
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


def network(name, dtype):
    """A fresh network: ``lenet5``, ``pool first`` (the same with ReLU behind the pools) or ``quicknet``."""
    from cnn_utils import keras, models

    if name != "pool first":
        return models.quicknet(dtype=dtype) if name == "quicknet" else models.lenet5(filters=(16, 32))
    layers = []
    for layer in models.lenet5(filters=(16, 32)).layers:
        config = layer.get_config()
        if layer.name.startswith("conv"):
            config["activation"] = None
        layers.append(type(layer).from_config(config))
        if layer.name.startswith("pool"):
            layers.append(keras.layers.ReLU())
    return keras.Sequential([keras.Input((28, 28, 1)), *layers])


if __name__ == "__main__":
    main()
