"""What the tests of several rooms share: the settings they sweep, TensorFlow's padding, and bad input."""

import pytest

SIZES, KERNELS, STRIDES, DILATIONS = range(1, 13), range(1, 6), range(1, 4), range(1, 4)


def tf_padding(rows, columns=None):
    """A word, an int or (before, after) for each axis, as TensorFlow takes it; ``columns`` as the rows unless given."""
    if isinstance(rows, str):
        return rows.upper()
    axes = [rows, rows if columns is None else columns]
    return [[0, 0], *([side, side] if isinstance(side, int) else list(side) for side in axes), [0, 0]]


def room_for(size, padding):
    """Pixels along an axis that a window may span."""
    return {"valid": size, "same": 99}.get(padding) or size + sum(padding)


def bad_input_is_named(cases):
    """A test that each call of ``cases``, (call, message), raises a `ValueError` that holds the message."""

    @pytest.mark.parametrize(("call", "message"), cases, ids=[message[:50] for _, message in cases])
    def test(call, message):
        with pytest.raises(ValueError) as error:
            call()
        assert message in str(error.value), error.value

    return test


W_NODES = [  # of notebook 1's formula, as `graphs.nodes` lists them
    ("w1", "Placeholder", ()),
    ("w2", "Placeholder", ()),
    ("w3", "Cos", ("w1",)),
    ("w4", "Sin", ("w1",)),
    ("w5", "Mul", ("w3", "w4")),
    ("w6", "RealDiv", ("w1", "w2")),
    ("w7", "AddV2", ("w5", "w6")),
]
