"""Answers to the exercises of notebook 0."""

import numpy as np

from cnn_utils import keras, tf

RIGHT = {
    "0.1": [
        [32, 160, 224, 3],
        tf.TensorShape((32, 160, 224, 3)),
        np.zeros((32, 160, 224, 3), np.uint8).shape,
    ],
    "0.2": [np.uint8(4), 4.0, (np.array([250], np.uint8) + np.array([10], np.uint8))[0]],
    "0.3": [(2, 0, -1, 2), [2, -160, 223, -1], np.array([2, 0, 223, 2])],
    "0.4": [
        lambda images: images / np.float32(255),
        lambda images: keras.layers.Rescaling(1 / 255)(images),
        lambda images: np.interp(images, (0, 255), (0, 1)),
    ],
    "0.5": [
        lambda batch: batch.transpose(0, 2, 3, 1),
        lambda batch: np.stack(list(np.swapaxes(batch, 0, 1)), axis=-1),
        lambda batch: tf.transpose(batch, (0, 2, 3, 1)),
        lambda batch: np.einsum("nchw->nhwc", batch),
    ],
    "0.6": [(128, 128), [128.0, 128.0], np.full(2, 128, np.uint8)],
}

WRONG = {
    "0.1": [
        ((32, 224, 160, 3), "swapped"),
        ((32, 3, 160, 224), "NCHW"),
        ((160, 224, 3, 32), "comes first"),
        ((32, 160, 224, 1), "one channel"),
        ((1, 2, 3, 4), "how many of each"),
        ((160, 224, 3), "four numbers"),
    ],
    "0.2": [
        (260, "ends at 255"),
        (255, "starts again"),
        (5, "zero is one of them"),
        (-6, "never negative"),
        (44, "count on"),
    ],
    "0.3": [
        ((3, 0, 223, 2), "photograph number 4"),
        ((2, 0, 224, 2), "224 places, 0 to 223"),
        ((2, 0, 0, 2), "top left"),
        ((2, -1, -1, 2), "bottom"),
        ((2, 223, 0, 2), "160 places"),
        ((2, 100, 223, 2), "not the top right"),
        ((2, 0, 223, 0), "is red"),
        ((2, 0, 223.5, 2), "whole numbers"),
    ],
    "0.4": [
        (lambda images: images / 256, "should become one"),
        (lambda images: images // 255, "drops"),
        (lambda images: images.astype("float32"), "up to 255"),
        (lambda images: images / images.max(), "dark picture"),
        (lambda images: images / 127.5 - 1, "−1 to 1"),
        (lambda images: (images / 255) ** 2, "0 should become 0"),
    ],
    "0.5": [
        (lambda batch: batch.reshape(len(batch), *batch.shape[2:], batch.shape[1]), "scrambled"),
        (lambda batch: batch.T, "shape"),
        (lambda batch: batch.transpose(0, 3, 2, 1), "mirrored"),
        (lambda batch: np.moveaxis(batch, -1, 1), "other way"),
        (lambda batch: batch, "where they were"),
        (lambda batch: batch[0].transpose(1, 2, 0), "shape"),
    ],
    "0.6": [
        ((200, 100), "not equal"),
        ((0, 0), "two zeros"),
        ((100, 100), "half of that is 100"),
        ((255, 255), "leaves 254"),
        ((256, 256), "0 to 255"),
        ((-128, -128), "0 to 255"),
        ((128.5, 128.5), "whole number"),
    ],
}
