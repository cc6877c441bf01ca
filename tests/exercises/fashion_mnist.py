"""Answers to the exercises of notebook 8."""

from fractions import Fraction

import numpy as np

from cnn_utils import keras, reference, tf


def channel_by_channel(x, epsilon):
    result = np.zeros_like(x)
    for channel in range(x.shape[-1]):
        values = x[..., channel]
        result[..., channel] = (values - values.mean()) / np.sqrt(values.var() + epsilon)
    return result


def by_keras(x, epsilon):
    return keras.layers.BatchNormalization(epsilon=epsilon)(x, training=True)


def by_keras_at_inference(x, epsilon):
    return keras.layers.BatchNormalization(epsilon=epsilon)(x)


def step_by_step(means, momentum):
    average = np.zeros(means.shape[1])
    for mean in means:
        average += (1 - momentum) * (mean - average)
    return average


def weighted(means, momentum):
    ages = np.arange(len(means))[::-1]
    return (1 - momentum) * momentum**ages @ means


def by_layer(means, momentum):
    layer = keras.layers.BatchNormalization(momentum=momentum)
    for mean in means:
        layer(mean[None].astype("float32"), training=True)
    return layer.moving_mean


RIGHT = {
    "8.1": [1.9, Fraction(19, 10), tf.constant(1.9, tf.float64), 10 * (1 - 0.9**2)],
    "8.2": [(1.5, -1), np.array([1.5, -1]), [Fraction(3, 2), tf.constant(-1)]],
    "8.3": [
        channel_by_channel,
        by_keras,
        lambda x, epsilon: reference.batch_norm(
            x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), epsilon=epsilon
        ),
        lambda x, epsilon: tf.nn.batch_normalization(x, *tf.nn.moments(x, (0, 1, 2)), None, None, epsilon),
    ],
    "8.4": [step_by_step, weighted, by_layer],
    "8.5": [(10, 10, 10), [6, 7, 6.5], np.array([1e300, 1e300, 1e300]), tf.constant([8.0, 9.0, 8.5])],
}

WRONG = {
    "8.1": [
        (1, "after one batch"),
        (2, "nine tenths"),
        (9.9, "PyTorch"),
        (8.1, "still missing"),
        (10, "at once"),
        (0.19, "share of the way"),
        (5, "0.9 of the old"),
    ],
    "8.2": [
        ((0.375, 0.5), "root of 16"),
        ((1.5, 3), "its part in the bias"),
        ((1.5, 1), "mean is missing"),
        ((1.5, -2), "β is missing"),
        ((1.5, -3), "scaled too before"),
        ((3, -1), "kernel is scaled"),
        ((0.75, 0), "γ is missing"),
        ((-1, 1.5), "then the bias"),
        ((0, 0), "which bias"),
        (1.5, "two numbers"),
    ],
    "8.3": [
        (lambda x, epsilon: (x - x.mean(0)) / np.sqrt(x.var(0) + epsilon), "all places belong together"),
        (
            lambda x, epsilon: keras.layers.GroupNormalization(x.shape[-1], epsilon=epsilon)(x),
            "instance normalisation",
        ),
        (lambda x, epsilon: keras.layers.LayerNormalization(epsilon=epsilon)(x), "keep channels apart"),
        (lambda x, epsilon: (x - x.mean()) / np.sqrt(x.var() + epsilon), "each needs its own"),
        (
            lambda x, epsilon: (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2), ddof=1) + epsilon),
            "not by one less",
        ),
        (lambda x, epsilon: (x - x.mean((0, 1, 2))) / (x.std((0, 1, 2)) + epsilon), "before the root"),
        (lambda x, epsilon: (x - x.mean((0, 1, 2))) / (x.var((0, 1, 2)) + epsilon), "take its root"),
        (lambda x, epsilon: x / np.sqrt(x.var((0, 1, 2)) + epsilon), "not taken away"),
        (by_keras_at_inference, "over all images and places"),
    ],
    "8.4": [
        (lambda means, momentum: weighted(means, 1 - momentum), "share of the old"),
        (lambda means, momentum: means.mean(0), "plain mean"),
        (
            lambda means, momentum: weighted(means, momentum) + momentum ** len(means) * means[0],
            "starts at 0",
        ),
        (lambda means, momentum: weighted(means[::-1], momentum), "from the last"),
        (lambda means, momentum: weighted(means, momentum) / (1 - momentum ** len(means)), "as Adam does"),
        (lambda means, momentum: means[-1], "after each batch"),
    ],
    "8.5": [
        ((5, 5, 5), "all four are alike"),
        ((1, 2, 3), "not below"),
        ((5, 5, 6), "spread"),
        ((5, 5, 1), "not below"),
    ],
}
