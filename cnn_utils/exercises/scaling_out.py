"""The checkers of notebook 11."""

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value


def whole(means, rows):
    return rows @ means / rows.sum()


def seconds(workers, batch, compute, gradient, delay, bandwidth):
    return compute * batch / workers + 2 * (workers - 1) * (delay + gradient / workers / bandwidth)


def _step(passes=lambda n: 2 * (n - 1), pieces=lambda n: n, delays=None, shares=lambda n: n):
    """The seconds of a step with something wrong in it."""

    def take(workers, batch, compute, gradient, delay, bandwidth):
        wait = (delays or passes)(workers) * delay
        return (
            compute * batch / shares(workers)
            + wait
            + passes(workers) * gradient / pieces(workers) / bandwidth
        )

    return take


def times_bandwidth(workers, batch, compute, gradient, delay, bandwidth):
    return seconds(workers, batch, compute, gradient, delay, 1 / bandwidth)


def first_of_four(values):
    values = values / (np.abs(values).max() or 1)
    here = values[:2]
    if here[0] == here[1]:
        raise Hint("the first two are alike: their variance is 0, and both become 0.")
    if here[0] > here[1]:
        raise Hint("on its own worker the first comes out at 1: of two, it must be the smaller one.")
    value = (values[0] - values.mean()) / values.std()
    if value <= 0.5:
        raise Hint(
            f"over all four the first comes out at {value:.2f}: let the other worker pull the mean down."
        )


random = np.random.default_rng(11)
CHECKERS = {
    "11.1": Value(
        right=1_600_000,
        hints={
            800_000: "that is half of the way: the finished sums have to go round as well.",
            2_000_000: "that is the limit for very many workers: count the passes of five, and what each sends.",
            1_000_000: "that is right for two workers.",
            1_500_000: "that is right for four workers.",
            4_000_000: "that is what it takes to send the whole gradient to each of the others.",
            8_000_000: "that is what all workers send together, or one that collects all.",
            200_000: "that is one piece; how many passes are there?",
        },
        otherwise="as many pieces as workers; in each pass a worker sends one; one pass fewer than pieces, twice.",
    ),
    "11.2": Value(
        right=(3, 3.75),
        wanted="two numbers, the right gradient and the wrong one",
        hints={
            (3.75, 3): "the other way round: first that of the whole batch.",
            (3, 3): "the second worker has one example, so its mean is 6.",
            (9, 7.5): "those are sums: divide by the number of examples, and of workers.",
            (3, 7.5): "the workers' means are added there: average them.",
            (9, 3.75): "the first is a sum: divide it by the number of examples.",
        },
        otherwise="first the mean of three numbers, then the mean of two means.",
    ),
    "11.3": Function(
        right=whole,
        cases=[
            (random.normal(size=(3, 4)), np.array([5, 1, 2])),
            (random.normal(size=(2, 3)), np.array([96, 32])),
        ],
        mistakes={
            "that is the mean of the means: a short share counts too much.": lambda means, rows: means.mean(
                0
            ),
            "that is the sum over all examples: divide by how many they are.": lambda means, rows: (
                rows @ means
            ),
            "divided by the number of workers: divide by that of all examples.": lambda means, rows: (
                rows @ means / len(rows)
            ),
            "the means are added as they are: how much does each weigh?": lambda means, rows: means.sum(0),
            "it is the large shares that weigh more: multiply by rows, do not divide.": lambda means, rows: (
                (1 / rows) @ means / (1 / rows).sum()
            ),
            "each worker's gradient is still alone: add them up.": lambda means, rows: (
                rows[:, None] * means / rows.sum()
            ),
        },
        otherwise="Each mean times its rows is a sum; add these, and divide by all rows.",
    ),
    "11.4": Function(
        right=seconds,
        cases=[(4, 16, 0.5, 800, 3, 100), (2, 12, 0.25, 500, 1, 50), (1, 8, 0.5, 800, 3, 100)],
        mistakes={
            "there are two rounds of passes: sums that grow, and finished sums.": _step(lambda n: n - 1),
            "a round has one pass fewer than workers.": _step(lambda n: 2 * n),
            "a pass sends one piece of the gradient, not all of it.": _step(pieces=lambda n: 1),
            "the delay comes with every pass, not once in a step.": _step(delays=lambda n: min(n - 1, 1)),
            "the delays are missing.": _step(delays=lambda n: 0),
            "the batch is shared: each worker computes a part of it.": _step(shares=lambda n: 1),
            "divide the bytes by the bandwidth: more of it takes less time.": times_bandwidth,
            "that is the computing alone.": _step(lambda n: 0),
        },
        otherwise="Computing a share, and 2 (workers - 1) passes: each a delay, and one piece over the bandwidth.",
    ),
    "11.5": Example("four numbers", (4,), first_of_four),
    "11.6": Value(
        right=1050,
        hints={
            1000: "some steps are computed twice: those behind the last checkpoint.",
            800: "those are the steps after the restart; the ones before it were computed, too.",
            1250: "it goes on from the last checkpoint, not from the first step.",
            1051: "the step in which the worker died was not finished.",
            1100: "not all hundred steps behind the checkpoint had been taken.",
            50: "that is what is lost; how many are computed in all?",
        },
        otherwise="count the steps up to the death, and those from the last checkpoint to the end.",
    ),
}
