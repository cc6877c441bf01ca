"""How long until a network reads 99 % of MNIST's official test digits?

``python -m benchmarks.time_to_accuracy [--seeds 5] [--quick]``

The clock starts when training is called for, on a network that is built and data that is loaded, so preparing
(tracing the network into a graph) counts: the reader waits for it. It stands still during evaluations, and stops
after the first one, at an epoch's end, that finds the goal. Every run is a process of its own; the contenders
take turns. None is told anything about the test set but that it may stop.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time

import numpy as np

from benchmarks import measure

GOAL = 0.99
NAMES = {
    "keras": "stock Keras convnet",
    "pytorch": "PyTorch's example",
    "lenet5": "the course's LeNet-5",
    "quicknet": "the course's quick recipe",
}


def main(arguments=None):
    given = measure.options(__doc__, arguments, seeds=5)
    if not given.quick:
        measure.full_mnist()
    contenders = [name for name in NAMES if name != "pytorch" or importlib.util.find_spec("torch")]
    runs = {name: [] for name in contenders}
    for seed in range(1 if given.quick else given.seeds):
        for name in contenders:
            if name == "pytorch" and seed >= 3:
                continue  # minutes each time, and not what the others are compared with
            runs[name].append(in_own_process(name, seed, given.quick))
            last = runs[name][-1]
            reached = f"{last['seconds']:.1f} s" if last["seconds"] else "not reached"
            print(f"seed {seed}, {NAMES[name]}: {reached}, {last['accuracies'][-1]:.2%}", flush=True)
    results = {"goal": GOAL, "contenders": summary(runs)}
    results = measure.rounded(results)
    print(report(results))
    measure.save(given.results, "time_to_accuracy", results, figure(results))


def summary(runs):
    """For each contender: seconds, the share of seeds that got there, and how it compares with the stock network."""
    seconds = {name: [run["seconds"] for run in many] for name, many in runs.items()}
    return {
        name: {
            "seconds": measure.spread(seconds[name]),
            "reached": sum(value is not None for value in seconds[name]),
            "seeds": len(many),
            "epochs": measure.spread([len(run["accuracies"]) for run in many]),
            "final accuracy": measure.spread([run["accuracies"][-1] for run in many]),
            "times faster than stock Keras": measure.ratios(seconds["keras"], seconds[name]),
            "runs": many,
        }
        for name, many in runs.items()
    }


def report(results):
    rows = [
        (
            NAMES[name],
            measure.shown(one["seconds"], unit=" s"),
            f"{one['epochs']['median']:g}",
            f"{one['reached']} of {one['seeds']}",
            measure.shown({key: 100 * value for key, value in one["final accuracy"].items()}, 2, " %"),
            measure.shown(one["times faster than stock Keras"]) + ("×" if one["reached"] else ""),
        )
        for name, one in results["contenders"].items()
    ]
    header = ("", "time to 99 %", "epochs", "seeds that made it", "accuracy at the end", "times faster")
    return measure.table(header, rows)


def figure(results):
    """Test accuracy against seconds of training, one line for each contender: the seed of median time."""
    from cnn_utils import plots

    lines, styles = {}, {}
    colors = {"keras": "neutral", "pytorch": "gradient", "lenet5": "input", "quicknet": "highlight"}
    for name, one in results["contenders"].items():
        run = sorted(one["runs"], key=lambda run: run["seconds"] or 1e9)[len(one["runs"]) // 2]
        lines[NAMES[name]] = run["times"], [100 * accuracy for accuracy in run["accuracies"]]
        styles[NAMES[name]] = {"color": plots.COLORS[colors[name]], "marker": "o"}
    drawing = plots.curves(
        lines,
        styles=styles,
        title=f"{100 * GOAL:g} % of MNIST's test digits: how long it takes on {measure.machine()['cores']}",
        xlabel="seconds of training (logarithmic)",
        ylabel="test accuracy, %",
    )
    drawing.axes.axhline(100 * GOAL, color=plots.COLORS["neutral"], lw=1, ls="--")
    drawing.axes.set_xscale("log")
    drawing.axes.set_xticks([1, 2, 5, 10, 20, 50, 100], [1, 2, 5, 10, 20, 50, 100])
    return drawing.figure


def in_own_process(name, seed, quick=False):
    """Train one contender in a fresh Python: `train`'s answer."""
    command = [sys.executable, "-m", "benchmarks.time_to_accuracy", "--train", name, "--seed", str(seed)]
    done = subprocess.run([*command, *["--quick"][: int(quick)]], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}, seed {seed} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def train(name, seed, quick=False):
    """Train one contender until `GOAL` or its last epoch: seconds (None if it missed), and what each epoch brought."""
    data = measure.full_mnist(quick)
    watch = Stopwatch(data.y_test)
    x_train, x_test = (images / np.float32(255) for images in (data.x_train, data.x_test))
    {"keras": stock, "pytorch": pytorch, "lenet5": lenet5, "quicknet": quicknet}[name](
        x_train, data.y_train, x_test, watch, seed, 1 if quick else None
    )
    return {
        "seconds": watch.seconds if watch.accuracies[-1] >= GOAL else None,
        "times": watch.times,
        "accuracies": watch.accuracies,
    }


class Stopwatch:
    """Counts the seconds between `start` and `stop`, not those that evaluations take."""

    def __init__(self, labels):
        self.labels, self.seconds, self.times, self.accuracies = labels, 0.0, [], []

    def start(self):
        self.began = time.perf_counter()

    def evaluate(self, predict):
        """Stand still, evaluate, go on: whether the goal is reached."""
        self.seconds += time.perf_counter() - self.began
        self.times.append(self.seconds)
        self.accuracies.append(float((predict().argmax(axis=1) == self.labels).mean()))
        self.start()
        return self.accuracies[-1] >= GOAL

    def callback(self, x_test):
        """The same at the end of every Keras epoch; training stops at the goal."""
        from cnn_utils import keras

        def evaluate(epoch, logs):
            network = callback.model
            network.stop_training = self.evaluate(lambda: network.predict(x_test, batch_size=1000, verbose=0))

        callback = keras.callbacks.LambdaCallback(on_epoch_end=evaluate)
        return callback


def stock(x, y, x_test, watch, seed, epochs):
    """Keras' example "Simple MNIST convnet": keras.io/examples/vision/mnist_convnet.

    Its last tenth is held out for validation, as there; validating would take more time, and is left out.
    """
    from cnn_utils import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    kept = len(x) - len(x) // 10
    targets = keras.utils.to_categorical(y, 10)
    callbacks = [watch.callback(x_test)]
    watch.start()
    model.fit(x[:kept], targets[:kept], batch_size=128, epochs=epochs or 15, verbose=0, callbacks=callbacks)


def lenet5(x, y, x_test, watch, seed, epochs):
    """The network of notebook 6 and its learning rate, on all training images, given as arrays."""
    from cnn_utils import keras, models, training

    keras.utils.set_random_seed(seed)
    epochs = epochs or 2
    model = models.lenet5(filters=(16, 32))
    model.compile(
        keras.optimizers.Adam(training.one_cycle(0.005, epochs * -(-len(x) // 64))),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    watch.start()
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0, callbacks=[watch.callback(x_test)])


def quicknet(x, y, x_test, watch, seed, epochs):
    """The course's quick recipe: one pass."""
    from cnn_utils import keras, models, training

    keras.utils.set_random_seed(seed)
    model = models.quicknet(dtype=measure.precision())
    watch.start()
    training.quick_fit(model, x, y, callbacks=[watch.callback(x_test)])


def pytorch(x, y, x_test, watch, seed, epochs):
    """PyTorch's example: github.com/pytorch/examples/blob/main/mnist/main.py, network and settings.

    Its images come one by one through a loader; here whole batches are cut from an array, which is quicker.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    x, x_test = (
        torch.from_numpy((images - 0.1307) / 0.3081).permute(0, 3, 1, 2).contiguous()
        for images in (x, x_test)
    )
    y = torch.from_numpy(y.astype(np.int64))
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(
            nn.Flatten(),
            nn.Linear(9216, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
            nn.LogSoftmax(1),
        ),
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    @torch.no_grad()
    def predict():
        model.eval()
        return torch.cat([model(part) for part in x_test.split(1000)]).numpy()

    watch.start()
    for _ in range(epochs or 14):
        model.train()
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.nll_loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
        schedule.step()
        if watch.evaluate(predict):
            break


if __name__ == "__main__":
    single = argparse.ArgumentParser(add_help=False)
    for flag in ("--train", "--seed"):
        single.add_argument(flag)
    one, _ = single.parse_known_args()
    if one.train:
        print(json.dumps(train(one.train, int(one.seed), "--quick" in sys.argv)))
    else:
        main()
