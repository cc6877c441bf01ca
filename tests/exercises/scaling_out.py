"""Answers to the exercises of notebook 11."""

from fractions import Fraction

import numpy as np

from cnn_utils import tf


def worker_by_worker(means, rows):
    total = np.zeros(means.shape[1])
    for mean, count in zip(means, rows, strict=True):
        total += count * mean
    return total / sum(rows)


def pass_by_pass(workers, batch, compute, gradient, delay, bandwidth):
    time = batch / workers * compute
    for _ in range(2):
        for _ in range(workers - 1):
            time += delay + gradient / (workers * bandwidth)
    return time


def wrong(**changes):
    """The right formula with another number in one place, by name."""

    def take(workers, batch, compute, gradient, delay, bandwidth):
        n = workers
        use = {"passes": 2 * (n - 1), "waits": 2 * (n - 1), "pieces": n, "shares": n, "wire": bandwidth}
        use |= {name: change(n, bandwidth) for name, change in changes.items()}
        return (
            compute * batch / use["shares"]
            + use["waits"] * delay
            + use["passes"] * gradient / use["pieces"] / use["wire"]
        )

    return take


RIGHT = {
    "11.1": [1_600_000, 1.6e6, Fraction(8_000_000, 5), tf.constant(1_600_000)],
    "11.2": [(3, 3.75), np.array([3, 3.75]), [Fraction(9, 3), tf.constant(3.75)]],
    "11.3": [
        worker_by_worker,
        lambda means, rows: np.average(means, axis=0, weights=rows),
        lambda means, rows: np.repeat(means, rows, axis=0).mean(axis=0),
        lambda means, rows: tf.linalg.matvec(means, rows / rows.sum(), transpose_a=True),
    ],
    "11.4": [
        pass_by_pass,
        wrong(),
        lambda n, b, c, g, d, w: c * b / n + 2 * (n - 1) * d + 2 * (g - g / n) / w,
    ],
    "11.5": [
        (9, 10, 0, 0),
        [1, 2, -5, -7],
        np.array([9e300, 1e301, 0, 0]),
        tf.constant([-1.0, -0.9, -4, -3]),
    ],
    "11.6": [1050, 250 + 800, Fraction(1050), np.float32(1050)],
}

WRONG = {
    "11.1": [
        (800_000, "have to go round"),
        (2_000_000, "very many workers"),
        (1_000_000, "two workers"),
        (1_500_000, "four workers"),
        (4_000_000, "each of the others"),
        (8_000_000, "all workers send together"),
        (200_000, "one piece"),
        (1.6, "as many pieces as workers"),
    ],
    "11.2": [
        ((3.75, 3), "other way round"),
        ((3, 3), "its mean is 6"),
        ((9, 7.5), "those are sums"),
        ((3, 7.5), "average them"),
        ((9, 3.75), "the first is a sum"),
        ((4.5, 3), "mean of two means"),
        (3, "two numbers"),
    ],
    "11.3": [
        (lambda means, rows: sum(means) / len(means), "mean of the means"),
        (
            lambda means, rows: sum(mean * count for mean, count in zip(means, rows, strict=True)),
            "sum over all",
        ),
        (lambda means, rows: rows @ means / rows.size, "number of workers"),
        (lambda means, rows: sum(means), "added as they are"),
        (lambda means, rows: np.average(means, axis=0, weights=1 / rows), "do not divide"),
        (lambda means, rows: means * (rows / rows.sum())[:, None], "still alone"),
        (lambda means, rows: means[0], "divide by all rows"),
    ],
    "11.4": [
        (wrong(passes=lambda n, w: n - 1, waits=lambda n, w: n - 1), "two rounds"),
        (wrong(passes=lambda n, w: 2 * n, waits=lambda n, w: 2 * n), "one pass fewer"),
        (wrong(pieces=lambda n, w: 1), "one piece of the gradient"),
        (wrong(waits=lambda n, w: n > 1), "every pass"),
        (wrong(waits=lambda n, w: 0), "delays are missing"),
        (wrong(shares=lambda n, w: 1), "batch is shared"),
        (wrong(wire=lambda n, w: 1 / w), "bytes by the bandwidth"),
        (lambda workers, batch, compute, *_: compute * batch / workers, "computing alone"),
        (lambda *_: 1, "Computing a share"),
    ],
    "11.5": [
        ((1, 1, 5, 6), "first two are alike"),
        ((0, 0, 0, 0), "first two are alike"),
        ((10, 9, 0, 0), "the smaller one"),
        ((1, 2, 3, 4), "pull the mean down"),
        ((1, 100, 0, 0), "pull the mean down"),
    ],
    "11.6": [
        (1000, "computed twice"),
        (800, "after the restart"),
        (1250, "not from the first step"),
        (1051, "was not finished"),
        (1100, "not all hundred"),
        (50, "what is lost"),
        (750, "up to the death"),
    ],
}
