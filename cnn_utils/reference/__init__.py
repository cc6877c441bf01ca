"""The layers of the course in NumPy: what each one computes, and how a gradient flows back through it.

Images are (batch, height, width, channels), kernels (height, width, in_channels, filters), as Keras stores
them. ``stride``, ``dilation`` and ``pool`` are an int or a pair (rows, columns). ``padding`` is ``"valid"``,
``"same"`` (TensorFlow's rule), an int, or ``((top, bottom), (left, right))``.

Arrays are never changed in place. float32 stays float32 and float64 stays float64; of several arrays NumPy's
``result_type`` decides; what is not floating point by then (pixels stored as integers) becomes float64.

The batch is worked through in chunks: beside its inputs (copied if their type must change) and its result, a
layer needs at most about ``windows.CHUNK_BYTES`` of memory, or what one image needs if that is more. A size or
shape that makes no sense raises a ``ValueError`` that names the argument, its value and the rule.
"""

# ruff: noqa: F401

from cnn_utils.reference.convolution import conv2d, conv2d_gradients, conv2d_transpose
from cnn_utils.reference.pooling import (
    average_pool2d,
    average_pool2d_gradient,
    distance_weights,
    lp_pool2d,
    lp_pool2d_gradient,
    max_pool2d,
    max_pool2d_gradient,
    weighted_pool2d,
    weighted_pool2d_gradient,
)
