"""The layers of the course in NumPy: what each one computes, and how a gradient flows back through it.

Images are (batch, height, width, channels), kernels (height, width, in_channels, filters), as Keras stores
them. ``stride``, ``dilation`` and ``pool`` are an int or a pair (rows, columns). ``padding`` is ``"valid"``,
``"same"`` (TensorFlow's rule), an int, or ``((top, bottom), (left, right))``. What makes no sense raises a
``ValueError`` that names the argument, its value and the rule.

Arrays are never changed in place. NumPy's ``result_type`` decides the type; what is not floating point by then
(pixels as integers) becomes float64. Windows are laid out for a chunk of the batch at a time: beside its inputs
and result, a layer needs at most about ``windows.CHUNK_BYTES`` of memory, or what one image needs if more.
"""

# ruff: noqa: F401

from cnn_utils.reference.convolution import conv2d, conv2d_gradients, conv2d_transpose
from cnn_utils.reference.normalisation import batch_norm, batch_norm_gradients
from cnn_utils.reference.pooling import (
    average_pool2d,
    average_pool2d_gradient,
    lp_pool2d,
    max_pool2d,
    max_pool2d_gradient,
)
