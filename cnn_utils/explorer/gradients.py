"""What the page sends backward, by TensorFlow: for the still picture, for readers' code, and to check the page by."""

from __future__ import annotations

import numpy as np

from cnn_utils import inspection


def has_shares(step):
    """Whether this step turns the scores of classes into shares."""
    return step.vector and _squashes(step)


def _squashes(step):
    return step.function.name in ("softmax", "sigmoid")


def of_target(model, image, of, index) -> dict[str, np.ndarray]:
    """The slopes of a target by what every layer gives for one image: {layer name: array, shaped as its output}.

    The target is the "score" that the model's last layer has at `index` of its output, in reading order, before
    its softmax or sigmoid; or the "loss", the cross-entropy if this were right. Of the layer that turns scores into
    shares, the slopes by its scores are given.
    """
    from cnn_utils import keras, tf

    steps = inspection.steps(model)
    squash, values = steps[-1] if _squashes(steps[-1]) else None, {}
    image = tf.constant(inspection.as_images(image, steps[0])[:1])
    with tf.GradientTape() as tape:
        tape.watch(image)
        for step in steps:
            if not step.sources:
                values[step.name] = image
            elif step is not squash:
                values[step.name] = step.output(values)
            elif step.kind.rule == "bend":
                values[step.name] = tf.identity(values[step.sources[0]])
            else:
                values[step.name] = _scores(step, values, keras)
        scores = tf.cast(
            tf.reshape(values[steps[-1].name], [1, -1]), tf.float64
        )  # for 1 - p where p is near 1
        target = scores[0, index] if of == "score" else _loss(squash, scores, index, tf)
    found = tape.gradient(target, values, unconnected_gradients="zero")
    return {name: tf.cast(slopes[0], tf.float32).numpy() for name, slopes in found.items()}


def _scores(step, values, keras):
    """What a layer has before its activation."""
    activation, step.layer.activation = step.layer.activation, keras.activations.linear
    try:
        return step.output(values)
    finally:
        step.layer.activation = activation


def _loss(squash, scores, index, tf):
    if squash.function.name == "softmax":
        return tf.nn.sparse_softmax_cross_entropy_with_logits([index], scores)
    right = tf.one_hot(
        [index], scores.shape[1], dtype=scores.dtype
    )  # each output is a question of its own; none may be right
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(right, scores))
