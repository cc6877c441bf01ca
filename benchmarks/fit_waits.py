"""How long does `fit` wait on arrays for what is no training, and how much of it `training.batches` spares?

``python -m benchmarks.fit_waits [--rounds 3] [--quick]``

The two trainings of notebook 6: forty epochs of three hundred digits, and two of the full MNIST. Once with arrays given
to `fit` and an optimizer without variables, so that the first step is traced twice; once with `training.batches` and an
optimizer that is built. They take turns, from the same start; the network is compiled before the clock runs.

On arrays an epoch has, now and then, not ended before the tuner of its pipeline woke, 10, 20 or 41 seconds after it began
(23.7 seconds for 14.2 of training, 41 for 23): whether a run meets that is chance, and the ranges say whether this one did.
"""

import time

import numpy as np

from benchmarks import measure

WAYS = {"arrays": "highlight", "batches": "output"}
TRAININGS = {"300 digits, 40 epochs": (300, 40, 32), "60,000 digits, 2 epochs": (60_000, 2, 50)}


def main(arguments=None):
    given = measure.options(__doc__, arguments, rounds=3)
    data, found = measure.full_mnist(given.quick), {}
    x, y = data.x_train / np.float32(255), data.y_train
    for name, (count, epochs, batch) in TRAININGS.items():
        settings = x[:count], y[:count], 2 if given.quick else epochs, batch
        seconds = {way: [] for way in WAYS}
        for turn in range(1 if given.quick else given.rounds):
            for way, many in seconds.items():
                many.append(train(way, *settings))
                print(f"{name}, round {turn + 1}, {way}: {many[-1]:.1f} s", flush=True)
        found[name] = {way: measure.spread(many) for way, many in seconds.items()}
        found[name]["times longer"] = measure.ratios(*seconds.values())
    results = measure.rounded({"trainings": found})
    print(report(results))
    measure.save(given.results, "fit_waits", results, figure(results))


def train(way, x, y, epochs, batch):
    """The seconds of one training."""
    from cnn_utils import keras, models, training

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model, adam = models.lenet5(filters=(16, 32)), keras.optimizers.Adam(0.002)
    if way == "batches":
        adam.build(model.trainable_variables)
    model.compile(adam, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    began = time.perf_counter()
    if way == "batches":
        model.fit(training.batches(x, y, batch), epochs=epochs, shuffle=False, verbose=0)
    else:
        model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return time.perf_counter() - began


def report(results):
    rows = [
        (
            name,
            measure.shown(one["arrays"], unit=" s"),
            measure.shown(one["batches"], unit=" s"),
            measure.shown(one["times longer"], 2),
        )
        for name, one in results["trainings"].items()
    ]
    return measure.table(("training", "arrays", "batches, built", "times longer"), rows)


def figure(results):
    """Seconds of each training, median and range, both ways."""
    from cnn_utils import plots

    trainings = results["trainings"]
    with plots.style():
        drawing = plots.curves(
            {
                way: ([one[way]["median"] for one in trainings.values()], range(len(trainings)))
                for way in WAYS
            },
            styles={way: {"marker": "o", "lw": 0, "color": plots.COLORS[ink]} for way, ink in WAYS.items()},
            title="What fit waits for on arrays, beside training.batches",
            xlabel="seconds, median and range",
            size=(8, 2.2),
        )
        for way, ink in WAYS.items():
            for place, one in enumerate(trainings.values()):
                drawing.axes.plot([one[way]["low"], one[way]["high"]], [place] * 2, color=plots.COLORS[ink])
    drawing.axes.set_yticks(range(len(trainings)), trainings)
    drawing.axes.set(xlim=(0, None), ylim=(-0.6, len(trainings) - 0.4))
    return drawing.figure


if __name__ == "__main__":
    main()
