"""Batch normalisation in training and at inference, and its gradients."""

import numpy as np

from cnn_utils.reference.windows import arrays, is_number


def batch_norm(x, gamma, beta, *, mean=None, variance=None, epsilon=1e-3):
    """Each channel of ``x``: (x - mean) / deviation * gamma + beta, where deviation² = variance + epsilon.

    ``x`` is (batch, ..., channels): images, or (batch, units). All else holds one number for each channel. In
    training, mean and variance are the batch's, of images ``x.mean((0, 1, 2))`` and ``x.var((0, 1, 2))``; at
    inference they are given, as moving averages. A channel of one value has variance 0 and becomes ``beta``.
    Source: Ioffe & Szegedy (arXiv:1502.03167), algorithm 1; section 3.1 for inference.

    >>> batch_norm([[1], [3]], [10], [1], epsilon=3).ravel()
    array([-4.,  6.])
    """
    given = {} if mean is None and variance is None else {"mean": mean, "variance": variance}
    x, gamma, beta, *given = _arrays(epsilon, x=x, gamma=gamma, beta=beta, **given)
    output, deviation = _centred(x, epsilon, *given)
    output *= gamma / deviation
    output += beta
    return output


def batch_norm_gradients(x, gamma, output_gradient, *, epsilon=1e-3):
    """Gradients ``(dx, dgamma, dbeta)`` of a loss, from its gradient with respect to `batch_norm` in training.

    Forward, output = normal * gamma + beta. So dbeta is the sum of output_gradient, dgamma that of
    output_gradient * normal. Each of a channel's values moves mean and deviation too, so that dx = gamma /
    deviation * (output_gradient - dbeta / values - normal * dgamma / values). Source: as above, section 3.

    >>> [gradient.ravel().tolist() for gradient in batch_norm_gradients([[1], [3]], [10], [[1], [0]], epsilon=3)]
    [[1.875, -1.875], [-0.5], [1.0]]
    """
    x, gamma, arriving = _arrays(epsilon, x=x, gamma=gamma, output_gradient=output_gradient)
    dx, deviation = _centred(x, epsilon)
    dgamma, dbeta, values = _sum(dx, arriving) / deviation, _sum(arriving), x.size // x.shape[-1] or 1
    dx *= -dgamma / (deviation * values)  # the terms in brackets from the last to the first, in place
    dx -= dbeta / values
    dx += arriving
    dx *= gamma / deviation
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def _centred(x, epsilon, mean=None, variance=None):
    """``x`` minus the mean of each channel, and the deviation; those of the batch unless they are given."""
    values = x.size // x.shape[-1] or 1  # in an empty batch, sums of nothing are divided by 1
    mean = _sum(x) / values if mean is None else mean
    centred = np.subtract(x, mean, out=np.empty(x.shape, x.dtype), casting="same_kind")
    variance = _sum(centred, centred) / values if variance is None else variance
    return centred, np.sqrt(variance + np.float64(epsilon))  # no epsilon is lost in float16


def _sum(*factors):
    """The sum of their product over all axes but the last, in float64; the product is never laid out."""
    axes = list(range(factors[0].ndim))
    return np.einsum(*(item for factor in factors for item in (factor, axes)), axes[-1:], dtype=np.float64)


def _arrays(epsilon, **given):
    """The arrays in one type, once it is known that they fit ``x``, the first one."""
    if not is_number(epsilon) or epsilon <= 0:
        raise ValueError(f"epsilon={epsilon!r} must be a finite number above 0")
    x, *others = found = arrays(**given)
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ValueError(f"x has shape {x.shape}: it must have two axes or more, none of them empty")
    for name, array in zip(list(given)[1:], others, strict=True):
        rule = x.shape if name == "output_gradient" else x.shape[-1:]
        if array.shape != rule:
            raise ValueError(f"{name} has shape {array.shape}: it must be {rule}, as x is {x.shape}")
        if name == "variance" and not all(0 <= value < np.inf for value in array):
            raise ValueError(f"variance={array} must hold finite numbers, 0 or more")
    return found
