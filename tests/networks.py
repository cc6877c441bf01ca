"""Networks that together hold every kind of layer the inspection explains."""

import functools

import numpy as np

from cnn_utils import keras

L = keras.layers


def randomised(model, seed=0, positive=False):
    """Give every weight, and the statistics of batch normalisation, a random value."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        values = rng.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(values) + 0.1 if positive or "variance" in weight.path else values)
    return model


@functools.cache
def branching(dtype="float32"):
    """Maps, with branches that are added and concatenated; ends in a softmax."""
    x = image = L.Input((12, 12, 2), name="image")
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="conv", dtype=dtype)(x)
    y = L.BatchNormalization(name="batch_norm", dtype=dtype)(x)
    y = L.LeakyReLU(negative_slope=0.1, name="leaky", dtype=dtype)(y)
    x = L.Add(name="add", dtype=dtype)([x, y])
    y = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise", dtype=dtype)(x)
    x = L.Concatenate(name="concatenate", dtype=dtype)([y, x])
    x = L.MaxPooling2D(3, strides=2, padding="same", name="max_pool", dtype=dtype)(x)
    x = L.ReLU(max_value=1.5, name="relu", dtype=dtype)(x)
    x = L.ZeroPadding2D(((1, 0), (0, 2)), name="zero_padding", dtype=dtype)(x)
    x = L.Conv2D(6, 2, dilation_rate=2, groups=2, name="dilated", dtype=dtype)(x)
    x = L.AveragePooling2D(2, strides=1, padding="same", name="average_pool", dtype=dtype)(x)
    x = L.Softmax(name="share", dtype=dtype)(x)
    x = L.Activation("tanh", name="tanh", dtype=dtype)(x)
    x = L.Concatenate(name="pools", dtype=dtype)(
        [
            L.GlobalAveragePooling2D(name="global_average", dtype=dtype)(x),
            L.GlobalMaxPooling2D(name="global_max", dtype=dtype)(x),
        ]
    )
    x = L.Dropout(0.5, name="dropout", dtype=dtype)(x)
    return randomised(keras.Model(image, L.Dense(5, "softmax", name="scores")(x), name="branching"))


@functools.cache
def dense_only(dtype="float32"):
    """Vectors from the first layer to the last."""
    layers = [L.Dense(24, "relu", dtype=dtype, name="hidden"), L.Dense(4, name="logits")]
    return randomised(keras.Sequential([L.Input((49,), name="image"), *layers], name="dense_only"))


@functools.cache
def reshaping(dtype="float32"):
    """An image without channels, which gets them from a Reshape; ends in one probability."""
    layers = [
        L.Input((8, 8), name="image"),
        L.Reshape((8, 8, 1), name="reshape"),
        L.Conv2D(3, 3, strides=2, activation=L.LeakyReLU(0.2), dtype=dtype, name="conv"),
        L.Flatten(name="flatten"),
        L.Dense(1, "sigmoid", dtype=dtype, name="probability"),
    ]
    return randomised(keras.Sequential(layers, name="reshaping"))


EVERY_KIND = (branching, dense_only, reshaping)
