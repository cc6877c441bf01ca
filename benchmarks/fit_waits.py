"""What does `fit` wait for that is no training, and how much of it is spared?

``python -m benchmarks.fit_waits [--rounds 3] [--quick]``

Two trainings like those of notebook 6: forty epochs of three hundred digits, and two of the full MNIST. On arrays, as usual;
the same with an optimizer that is built before, so that the step is traced once, not twice; and then on `training.batches`,
too. They take turns, from the same start; the network is compiled before the clock runs. On arrays an epoch may also have
to wait until the tuner of its pipeline wakes: whether a run meets that is chance, and its range shows it.
"""

import time

import numpy as np

from benchmarks import measure

WAYS = {"arrays": "highlight", "arrays, built": "kernel", "batches, built": "output"}
TRAININGS = {"300 digits, 40 epochs": (300, 40, 32), "60,000 digits, 2 epochs": (60_000, 2, 50)}


def main(arguments=None):
    given = measure.options(__doc__, arguments, rounds=3)
    data, found = measure.full_mnist(given.quick), {}
    x, y = data.x_train / np.float32(255), data.y_train
    for name, (count, epochs, batch) in list(TRAININGS.items())[: 1 if given.quick else None]:
        settings = x[:count], y[:count], 2 if given.quick else epochs, batch
        seconds = {way: [] for way in WAYS}
        for turn in range(1 if given.quick else given.rounds):
            for way, many in seconds.items():
                many.append(train(way, *settings))
                print(f"{name}, round {turn + 1}, {way}: {many[-1]:.1f} s", flush=True)
        found[name] = {way: measure.spread(many) for way, many in seconds.items()}
        plain, built, batches = seconds.values()
        found[name]["times longer, not built"] = measure.ratios(plain, built)
        found[name]["times longer, arrays"] = measure.ratios(built, batches)
    results = measure.rounded({"trainings": found})
    print(report(results))
    measure.save(given.results, "fit_waits", results, figure(results))


def train(way, x, y, epochs, batch):
    """The seconds of one training."""
    from cnn_utils import keras, models, training

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model, adam = models.lenet5(filters=(16, 32)), keras.optimizers.Adam(0.002)
    if "built" in way:
        adam.build(model.trainable_variables)
    model.compile(adam, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    began = time.perf_counter()
    if "batches" in way:
        model.fit(training.batches(x, y, batch), epochs=epochs, shuffle=False, verbose=0)
    else:
        model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return time.perf_counter() - began


def report(results):
    rows = [
        (
            name,
            *(measure.shown(one[key], 1 if key in WAYS else 2, " s" if key in WAYS else "×") for key in one),
        )
        for name, one in results["trainings"].items()
    ]
    return measure.table(("training", *next(iter(results["trainings"].values()))), rows)


def figure(results):
    """Seconds of each training, median and range, each way."""
    from cnn_utils import plots

    rows = [(one, way) for one in results["trainings"] for way in WAYS][::-1]  # the first on top
    found = [results["trainings"][one][way] for one, way in rows]
    with plots.style():
        drawing = plots.curves(
            {"median": ([one["median"] for one in found], range(len(rows)))},
            styles={"median": {"lw": 0}},
            title="The same two trainings by fit, three ways",
            xlabel="seconds, median and range",
            size=(8, 2.8),
        )
        for place, (one, (_, way)) in enumerate(zip(found, rows, strict=True)):
            ink = plots.COLORS[WAYS[way]]
            drawing.axes.plot([one["low"], one["high"]], [place] * 2, color=ink)
            drawing.axes.plot(one["median"], place, "o", color=ink)
    drawing.axes.set_yticks(range(len(rows)), [": ".join(row) for row in rows])
    drawing.axes.set(xlim=(0, None), ylim=(-0.6, len(rows) - 0.4))
    return drawing.figure


if __name__ == "__main__":
    main()
