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


def random_network(seed):
    """Layers of every kind on a map of random size, one after the other."""
    rng = np.random.default_rng(seed)
    x = inputs = L.Input((int(rng.integers(9, 16)), int(rng.integers(9, 16)), int(rng.integers(1, 4))))
    functions = ["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "softplus", "selu", "mish", "hard_silu"]
    for _ in range(6):
        kernel, function = tuple(int(k) for k in rng.integers(1, 4, size=2)), str(rng.choice(functions))
        stride, dilation = [(1, 1), (2, 1), (1, 2)][rng.integers(3)]
        padding = str(rng.choice(["same", "valid"])) if min(x.shape[1:3]) > 5 else "same"
        match rng.integers(13):
            case 0:
                x = L.Conv2D(4, kernel, strides=stride, dilation_rate=dilation, padding=padding)(x)
            case 1:
                x = L.DepthwiseConv2D(
                    kernel, depth_multiplier=int(rng.integers(1, 3)), dilation_rate=dilation, padding=padding
                )(x)
            case 2:
                x = L.MaxPooling2D(kernel, strides=stride, padding=padding)(x)
            case 3:
                x = L.AveragePooling2D(kernel, strides=stride, padding=padding)(x)
            case 4:
                x = L.Add()([x, L.BatchNormalization()(x), L.Activation(function)(x)])
            case 5:
                x = L.Concatenate()([x, L.Conv2D(2, 3, padding="same", activation=function)(x)])
            case 6:
                x = L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)(
                    L.ZeroPadding2D(((1, 0), (0, 2)))(x)
                )
            case 7:
                x = L.Conv2D(6, kernel, groups=2, padding="same")(L.Conv2D(4, 1)(x))
            case 8:
                x = L.Softmax()(L.Concatenate()([x, L.LeakyReLU()(x)]))
            case 9:
                x = L.Conv2D(5, 1, activation="softmax")(x)
            case 10:
                x = L.SeparableConv2D(
                    4, kernel, dilation_rate=dilation, padding=padding, activation=function
                )(x)
            case 11:
                x = L.Rescaling(0.7, 0.1)(L.UpSampling2D((1, 2))(L.MaxPooling2D(2, padding="same")(x)))
            case 12:
                inner = [L.Input(x.shape[1:]), L.Conv2D(3, 2, activation=function), L.BatchNormalization()]
                x = keras.Sequential(inner)(x)
    ends = [L.Flatten()(x), L.GlobalAveragePooling2D()(x), L.GlobalMaxPooling2D()(x)]
    x = L.Dense(6, activation="relu")(L.Dropout(0.3)(L.Concatenate()(ends)))
    return randomised(keras.Model(inputs, L.Dense(4)(x)), seed)


@functools.cache
def branching(dtype="float32"):
    """Maps, with branches that are added and concatenated; ends in a softmax."""
    x = image = L.Input((12, 12, 2), name="image")
    x = L.Rescaling(0.5, 0.1, name="rescaling", dtype=dtype)(x)
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
    x = L.UpSampling2D(2, name="upsampling", dtype=dtype)(x)
    x = L.SeparableConv2D(6, 3, strides=2, padding="same", name="separable", dtype=dtype)(x)
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
