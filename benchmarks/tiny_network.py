"""How well can fewer than 8,000 parameters read digits, after at most ten minutes of training on two cores?

``python -m benchmarks.tiny_network [--seeds 3] [--quick]``

Full MNIST, official test set, looked at once, after training. What helps: 3x3 convolutions with batch normalisation;
in place of a dense layer on all pixels a weight for each place of each map, then ten sums; training images turned,
stretched and shifted a little, anew each time; a rate that climbs once and falls.
"""

import math
import time

import numpy as np

from benchmarks import measure

EPOCHS, BATCH, PEAK, SMOOTHING = 30, 256, 0.02, 0.03
GOAL = 0.994


def main(arguments=None):
    given = measure.options(__doc__, arguments, seeds=3)
    data, runs = measure.full_mnist(given.quick), []
    for seed in range(1 if given.quick else given.seeds):
        runs.append(train(data, seed, 1 if given.quick else EPOCHS))
        print(f"seed {seed}: {runs[-1][1]:.2%} after {runs[-1][0] / 60:.1f} minutes", flush=True)
    seconds, accuracies, mistakes = zip(*runs, strict=True)
    results = {
        "parameters": build().count_params(),
        "goal": GOAL,
        "epochs": EPOCHS,
        "minutes": measure.spread([one / 60 for one in seconds]),
        "accuracy": measure.spread(accuracies),
        "accuracies": accuracies,
    }
    results = measure.rounded(results)
    print(report(results))
    middle = sorted(mistakes, key=len)[len(runs) // 2]
    measure.save(given.results, "tiny_network", results, figure(data, middle[: 6 if given.quick else 96]))


def report(results):
    row = (
        f"{results['parameters']:,}",
        measure.shown({key: 100 * value for key, value in results["accuracy"].items()}, 2, " %"),
        measure.shown(results["minutes"], unit=" minutes"),
    )
    return measure.table(("parameters", "test accuracy", "training"), [row])


def build():
    """7,806 parameters. Without padding, maps shrink: 28, 26, 24, pool 12, 10, 8, pool 4."""
    from cnn_utils import keras

    layers = keras.layers

    def conv(filters, padding="valid"):
        return (
            layers.Conv2D(filters, 3, padding=padding, use_bias=False),
            layers.BatchNormalization(momentum=0.95),
            layers.ReLU(),
        )

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(*conv(8), *conv(16), layers.MaxPooling2D(2)),
            *(*conv(16), *conv(16), layers.MaxPooling2D(2)),
            *conv(10, padding="same"),
            layers.DepthwiseConv2D(4, use_bias=False),  # each map in one number: a weight for each place
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def train(data, seed, epochs):
    """Train one network: seconds, accuracy on the test set, and which test digits it misreads, as what."""
    from cnn_utils import keras, tf, training

    keras.utils.set_random_seed(seed)
    model, steps = build(), len(data.x_train) // BATCH
    model.compile(
        keras.optimizers.Adam(training.one_cycle(PEAK, epochs * steps, warmup=0.2), beta_2=0.99),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
        steps_per_execution=steps,
    )
    images, labels = tf.constant(data.x_train / np.float32(255)), tf.constant(data.y_train)

    def batch(numbers):
        return moved(tf.gather(images, numbers)), tf.one_hot(tf.gather(labels, numbers), 10)

    numbers = tf.data.Dataset.range(len(labels)).shuffle(len(labels), seed=seed)
    began = time.perf_counter()
    batches = numbers.batch(BATCH, drop_remainder=True).map(batch).prefetch(2)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    seconds = time.perf_counter() - began
    answers = model.predict(data.x_test / np.float32(255), batch_size=1000, verbose=0).argmax(axis=1)
    wrong = np.flatnonzero(answers != data.y_test)
    return seconds, 1 - len(wrong) / len(answers), [(int(i), int(answers[i])) for i in wrong]


def moved(images, turn=8, stretch=0.08, slant=0.08, shift=1.5):
    """Each image turned (up to so many degrees), stretched, slanted and shifted (in pixels) at random."""
    from cnn_utils import tf

    def random(limit):
        return tf.random.uniform(tf.shape(images)[:1], -limit, limit)

    angle = random(math.radians(turn))
    across, down = 1 + random(stretch), 1 + random(stretch)
    a, b = (
        tf.cos(angle) * across,
        (random(slant) - tf.sin(angle)) * down,
    )  # x of the source is a x + b y + left
    c, d = tf.sin(angle) * across, tf.cos(angle) * down
    centre, zero = (images.shape[1] - 1) / 2, tf.zeros_like(angle)
    left, top = random(shift) + centre * (1 - a - b), random(shift) + centre * (1 - c - d)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, left, c, d, top, zero, zero], axis=1),
        output_shape=images.shape[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def figure(data, mistakes):
    """The test digits that one network misreads."""
    from cnn_utils import plots

    return plots.images(
        [data.x_test[place] for place, _ in mistakes],
        [f"{data.y_test[place]} read as {answer}" for place, answer in mistakes],
        columns=12,
        scale=0.95,
        title=f"All that a network of {build().count_params():,} numbers misreads",
    ).figure


if __name__ == "__main__":
    main()
