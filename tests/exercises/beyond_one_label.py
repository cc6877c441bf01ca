"""Answers to the exercises of notebook 10."""

from fractions import Fraction

import numpy as np

from cnn_utils import keras, tf


def by_tensorflow(scores, overlaps, most):
    chosen = tf.image.non_max_suppression_overlaps(overlaps, scores, len(scores), most)
    return tf.reduce_any(tf.range(len(scores)) == chosen[:, None], axis=0)


def striking_out(scores, overlaps, most):
    left, kept = list(range(len(scores))), [0] * len(scores)
    while left:
        best = max(left, key=lambda box: scores[box])
        kept[best] = 1
        left = [box for box in left if box != best and overlaps[best, box] <= most]
    return kept


def ascending(scores, overlaps, most):
    kept = []
    for box in np.argsort(scores):
        if all(overlaps[box, other] <= most for other in kept):
            kept.append(box)
    return np.isin(np.arange(len(scores)), kept)


def in_order(scores, overlaps, most):
    return ascending(np.arange(len(scores)), overlaps, most)


def no_better_one(scores, overlaps, most):
    better = scores[None] > scores[:, None]
    return ~(better & (overlaps > most)).any(axis=1)


def by_confusion(answers, labels, count):
    table = np.zeros((count, count))
    np.add.at(table, (np.ravel(answers).astype(int), np.ravel(labels).astype(int)), 1)
    covered = table.sum(axis=0) + table.sum(axis=1) - np.diag(table)
    return np.nanmean(np.diag(table) / covered)


def by_sets(answers, labels, count):
    shares = []
    for label in range(count):
        a, b = ({*np.flatnonzero(part == label)} for part in (answers, labels))
        if a | b:
            shares.append(Fraction(len(a & b), len(a | b)))
    return sum(shares) / len(shares)


def by_keras(answers, labels, count):
    measure = keras.metrics.MeanIoU(count)
    measure.update_state(labels, answers)
    return measure.result()


def shares(answers, labels, count, below, absent=np.nan):
    found = []
    for label in range(count):
        a, b = answers == label, labels == label
        found.append((a & b).sum() / max(below(a, b), 1) if (a | b).any() else absent)
    return np.nanmean(found)


RIGHT = {
    "10.1": [(19, 9), np.array([19, 9]), [tf.constant(19), tf.constant(9.0)]],
    "10.2": [0.25, Fraction(1, 4), 40 / 160, tf.constant(0.25)],
    "10.3": [0.625, Fraction(5, 8), 2.5 / 4],
    "10.4": [
        striking_out,
        by_tensorflow,
        lambda scores, overlaps, most: np.array(striking_out(scores, overlaps, most), bool),
    ],
    "10.5": [by_confusion, by_sets, by_keras],
    "10.6": [(11, 2), np.array([11, 2.0]), [tf.constant(11), Fraction(2)]],
}

WRONG = {
    "10.1": [
        ((9, 19), "rows first"),
        ((18, 8), "count it too"),
        ((25, 15), "as a whole"),
        ((73, 33), "one pixel apart"),
        ((72, 32), "several at once"),
        ((14, 14), "80×80"),
        ((20, 10), "along each side"),
        (19, "rows and columns"),
    ],
    "10.2": [
        (0.4, "share of one box"),
        (0.2, "counted twice"),
        (40, "share, in pixels"),
        (160, "cover, in pixels"),
        (0.5, "multiply"),
        (10 / 190, "*not* moved"),
        (4, "other way round"),
        (0.3, "in common"),
    ],
    "10.3": [
        ((1 + 2 / 3 + 3 / 4) / 4, "better precision"),
        (2.5 / 3, "no box finds"),
        ((1 + 2 / 3 + 3 / 4) / 3, "four numbers"),
        (0.75, "all boxes"),
        ((1 + 1 / 2 + 2 / 3 + 3 / 4) / 4, "mean over boxes"),
        ((1 + 9 / 4) / 4, "finds all four"),
        (1, "best precision"),
    ],
    "10.4": [
        (no_better_one, "already struck out"),
        (ascending, "worst box"),
        (in_order, "given order"),
        (lambda scores, overlaps, most: striking_out(scores, overlaps, most - 1e-9), "exactly"),
        (lambda scores, overlaps, most: [max(row) <= most for row in overlaps], "overlaps itself"),
        (
            lambda scores, overlaps, most: ((overlaps > most).sum(axis=1) == 1).astype(int),
            "the best one stays",
        ),
        (lambda scores, overlaps, most: np.arange(len(scores)) == np.argmax(scores), "best of the rest"),
        (lambda scores, overlaps, most: 1 - np.array(striking_out(scores, overlaps, most)), "that go"),
        (lambda scores, overlaps, most: np.ones(len(scores)), "From the best score"),
        (lambda scores, overlaps, most: np.flatnonzero(striking_out(scores, overlaps, most)), "a right one"),
    ],
    "10.5": [
        (lambda answers, labels, count: (answers == labels).mean(), "pixels that agree"),
        (
            lambda answers, labels, count: shares(answers, labels, count, lambda a, b: (a | b).sum(), 0),
            "as 0",
        ),
        (
            lambda answers, labels, count: shares(answers, labels, count, lambda a, b: (a | b).sum(), 1),
            "as 1",
        ),
        (
            lambda answers, labels, count: shares(answers, labels, count, lambda a, b: b.sum()),
            "those of `answers`",
        ),
        (
            lambda answers, labels, count: shares(answers, labels, count, lambda a, b: a.sum()),
            "those of `labels`",
        ),
        (
            lambda answers, labels, count: shares(answers, labels, count, lambda a, b: a.sum() + b.sum()),
            "counted twice",
        ),
        (
            lambda answers, labels, count: (
                (same := np.sum((answers == labels) & (labels < count))) / (2 * np.size(labels) - same)
            ),
            "summed over",
        ),
        (lambda answers, labels, count: 1.0, "in either"),
    ],
    "10.6": [
        ((3, 2), "4.00 times"),
        ((9, 2), "1.56 times"),
        ((12, 2), "stride divides"),
        ((3, 5), "no stamp"),
        ((13, 2), "from 1 to 12"),
        ((10.5, 2), "from 1 to 12"),
        ((11, 1), "stride divides"),
        (11, "a kernel's size"),
    ],
}
