"""The checkers of notebook 10."""

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value


def suppress(scores, overlaps, most):
    return _suppress(scores, overlaps, most)


def _suppress(scores, overlaps, most, order=-1, equal=True, struck_out_count=False):
    kept = np.zeros(len(scores), bool)
    seen = []
    for box in np.argsort(order * scores):
        others = overlaps[box, seen if struck_out_count else kept]
        kept[box] = (others <= most).all() if equal else (others < most).all()
        seen.append(box)
    return kept


def in_the_given_order(scores, overlaps, most):
    return _suppress(-np.arange(len(scores)), overlaps, most)


def with_itself(scores, overlaps, most):
    return (overlaps <= most).all(axis=1)


def without_any_neighbour(scores, overlaps, most):
    return (overlaps - np.eye(len(scores)) <= most).all(axis=1)


def the_best_only(scores, overlaps, most):
    return scores == scores.max()


def the_others(scores, overlaps, most):
    return ~_suppress(scores, overlaps, most)


def mean_iou_of(answers, labels, count):
    return _mean(_parts(answers, labels, count))


def _parts(answers, labels, count):
    """For each label: pixels that have it in both maps, in the answers, in the labels."""
    pairs = [(answers == label, labels == label) for label in range(count)]
    return np.array([((a & b).sum(), a.sum(), b.sum()) for a, b in pairs], float)


def _mean(parts, below=lambda both, answers, labels: answers + labels - both, absent=None):
    both, answers, labels = parts[parts[:, 1:].any(axis=1)].T
    shares = both / np.where(below(both, answers, labels) > 0, below(both, answers, labels), 1)
    absent_ones = len(parts) - len(shares)
    return shares.mean() if absent is None else (shares.sum() + absent * absent_ones) / len(parts)


def summed_first(answers, labels, count):
    both, answered, labelled = _parts(answers, labels, count).sum(axis=0)
    return both / (answered + labelled - both)


def mild(kernel_and_stride):
    kernel, stride = kernel_and_stride
    if kernel % 1 or stride % 1 or min(kernel, stride) < 1 or max(kernel, stride) > 12:
        raise Hint("both must be whole numbers from 1 to 12.")
    fewest, left = divmod(kernel, stride)
    if not left:
        raise Hint("the stride divides the kernel's size: each inner pixel gets equally many stamps.")
    if not fewest:
        raise Hint("the stride is larger than the kernel: some pixels get no stamp at all.")
    ratio = ((fewest + 1) / fewest) ** 2
    if ratio > 1.5:
        along = f"along an axis {fewest:.0f} or {fewest + 1:.0f} stamps"
        raise Hint(f"{along}, in the plane {ratio:.2f} times as many at one pixel as at another.")


random = np.random.default_rng(10)


def _overlaps(count):
    """IoUs of random frames of 28×28 on a small canvas."""
    places = random.integers(0, 40, (count, 1, 2))
    shared = np.maximum(28 - np.abs(places - places[:, 0]), 0).prod(axis=-1)
    return shared / (2 * 28**2 - shared)


CHAIN = np.array([[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]])  # each overlaps the next
MAP, OTHER = random.integers(0, 4, (2, 6, 5))

CHECKERS = {
    "10.1": Value(
        right=(19, 9),
        wanted="two whole numbers, rows and columns",
        hints={
            (9, 19): "rows first: they go with the height.",
            (18, 8): "the first window stands at 0; count it too.",
            (25, 15): "a window must fit into the canvas as a whole.",
            (73, 33): "those are windows one pixel apart.",
            (72, 32): "those are pixels that a window can move; it moves several at once.",
            (14, 14): "that is the map of a canvas of 80×80.",
        },
        otherwise="how many windows of 28 pixels, 4 apart, fit along each side?",
    ),
    "10.2": Value(
        right=0.25,
        hints={
            0.4: "that is the share of one box; divide by what both cover.",
            0.2: "what is shared is counted twice in the area of both.",
            40: "that is what they share, in pixels.",
            160: "that is what they cover, in pixels.",
            0.5: "multiply the shared rows by the shared columns.",
            10 / 190: "what is shared has as many rows and columns as the boxes are *not* moved.",
            4: "the other way round: shared by covered.",
        },
        otherwise="how many rows and how many columns do both boxes have in common?",
        tolerance=1e-4,
    ),
    "10.3": Value(
        right=0.625,
        hints={
            (1 + 2 / 3 + 3 / 4)
            / 4: "two digits can be found at a better precision than 2/3: take more boxes.",
            2.5 / 3: "the digit that no box finds counts too: its precision is 0.",
            (1 + 2 / 3 + 3 / 4)
            / 3: "for four digits there are four numbers; and two can be found at more than 2/3.",
            0.75: "that is the precision of all boxes, or the recall.",
            (1 + 1 / 2 + 2 / 3 + 3 / 4)
            / 4: "that is the mean over boxes; take one number for each digit to be found.",
            (1 + 3 / 4 + 3 / 4 + 3 / 4) / 4: "no threshold finds all four digits.",
        },
        otherwise="for one, two, three, four digits found: the best precision at which a threshold finds so many.",
        tolerance=1e-3,
    ),
    "10.4": Function(
        right=suppress,
        cases=[
            (np.array([0.9, 0.8, 0.7]), CHAIN, 0.3),
            (np.array([0.4, 0.6, 0.5]), CHAIN, 0.5),
            (random.random(9), _overlaps(9), 0.3),
            (random.random(7), _overlaps(7), 0.2),
        ],
        mistakes={
            "a box is compared with the ones already struck out, too: only kept ones count.": (
                lambda scores, overlaps, most: _suppress(scores, overlaps, most, struck_out_count=True)
            ),
            "the worst box goes first: argsort sorts upwards.": lambda scores, overlaps, most: _suppress(
                scores, overlaps, most, order=1
            ),
            "the boxes are taken in the given order: take the best score first.": in_the_given_order,
            "an overlap of exactly `most` is still allowed.": lambda scores, overlaps, most: _suppress(
                scores, overlaps, most, equal=False
            ),
            "each box overlaps itself by 1: compare it with the others only.": with_itself,
            "of boxes that overlap each other the best one stays.": without_any_neighbour,
            "only one box is left: go on with the best of the rest.": the_best_only,
            "those are the boxes that go; 1 is for those that stay.": the_others,
        },
        otherwise="From the best score down: keep a box if no kept one overlaps it by more than `most`.",
    ),
    "10.5": Function(
        right=mean_iou_of,
        cases=[
            (MAP, OTHER, 4),
            (MAP, MAP, 6),
            (MAP % 3, OTHER, 5),
            (np.zeros((3, 3), int), np.ones((3, 3), int), 2),
        ],
        mistakes={
            "that is the share of pixels that agree: one number for each label, then the mean.": (
                lambda answers, labels, count: np.mean(answers == labels)
            ),
            "a label that stands in neither map must not count; here it counts as 0.": (
                lambda answers, labels, count: _mean(_parts(answers, labels, count), absent=0)
            ),
            "a label that stands in neither map must not count; here it counts as 1.": (
                lambda answers, labels, count: _mean(_parts(answers, labels, count), absent=1)
            ),
            "divided by the pixels that have the label in `labels`: those of `answers` belong below, too.": (
                lambda answers, labels, count: _mean(_parts(answers, labels, count), lambda both, a, b: b)
            ),
            "divided by the pixels that have the label in `answers`: those of `labels` belong below, too.": (
                lambda answers, labels, count: _mean(_parts(answers, labels, count), lambda both, a, b: a)
            ),
            "pixels with the label in both maps are counted twice below.": (
                lambda answers, labels, count: _mean(_parts(answers, labels, count), lambda both, a, b: a + b)
            ),
            "shared and covered pixels are summed over the labels first: divide for each label, then take the mean.": (
                summed_first
            ),
        },
        otherwise="For each label: pixels that have it in both maps, by pixels that have it in either.",
    ),
    "10.6": Example("a kernel's size and a stride", (2,), mild),
}
