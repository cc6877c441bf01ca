"""The networks of the course, each a short Keras function.

They return logits: compile them with a loss that has ``from_logits=True``. ``input_shape`` is (height, width,
channels). A number that is not whole and positive, or an image too small, raises a ValueError.
"""

from cnn_utils import keras
from cnn_utils.arithmetic import pair, whole_number


def lenet5(input_shape=(28, 28, 1), classes=10, *, filters=(6, 16), units=(120, 84), padding="same"):
    """Build a LeNet-5-like network: conv1, pool1, conv2, pool2, flatten, dense1, dense2, logits.

    As in LeNet-5: two 5x5 convolutions, each followed by 2x2 pooling, then three dense layers. Unlike it:
    ReLU for the scaled tanh, max pooling for trained averages, each filter of conv2 sees every map, and conv1
    pads 28x28 images by 2. LeNet-5 took 32x32: give that shape with ``padding="valid"``. Source: LeCun, Bottou,
    Bengio & Haffner, "Gradient-based learning applied to document recognition" (1998), section II.B.

    ``filters`` and ``units`` are pairs, of the convolutions and of the two dense layers before the last. Images are
    at least 12 pixels high and wide (16 without padding); ``padding`` is "same" or "valid", else a ValueError.

    >>> lenet5().count_params()
    61706
    """
    first, second = pair("filters", filters)
    wide, narrow = pair("units", units)
    layers = keras.layers
    stack = [
        keras.Input(image_shape(input_shape, 16 if padding == "valid" else 12), name="image"),
        layers.Conv2D(first, 5, padding=padding, activation="relu", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Conv2D(second, 5, activation="relu", name="conv2"),
        layers.MaxPooling2D(2, name="pool2"),
        layers.Flatten(name="flatten"),
        layers.Dense(wide, activation="relu", name="dense1"),
        layers.Dense(narrow, activation="relu", name="dense2"),
        layers.Dense(whole_number("classes", classes), name="logits"),
    ]
    return keras.Sequential(stack, name="lenet5")


def quicknet(input_shape=(28, 28, 1), classes=10, *, filters=(16, 32), units=128, dtype="float32"):
    """Build a LeNet made for a short wait: conv1, pool1, relu1, conv2, pool2, relu2, flatten, dense1, logits.

    ReLU stands after the pooling: the largest of the rectified values is the rectified largest value, so the
    result is the same and ReLU has a quarter of the work. One dense layer is gone, and conv1 does not pad.
    With ``dtype="mixed_bfloat16"`` the layers compute with half the bits; that is only faster on processors
    with instructions for it. Weights and logits are float32 either way. Train it with `training.quick_fit`.

    ``filters`` are a pair; ``units`` is the size of the dense layer before the last; ``dtype`` is what the layers
    compute with, as Keras names it. Images are at least 16 pixels high and wide.

    >>> quicknet().count_params()
    80202
    """
    first, second = pair("filters", filters)
    layers = keras.layers
    stack = [
        keras.Input(image_shape(input_shape, 16), name="image"),
        layers.Conv2D(first, 5, dtype=dtype, name="conv1"),
        layers.MaxPooling2D(2, dtype=dtype, name="pool1"),
        layers.ReLU(dtype=dtype, name="relu1"),
        layers.Conv2D(second, 5, dtype=dtype, name="conv2"),
        layers.MaxPooling2D(2, dtype=dtype, name="pool2"),
        layers.ReLU(dtype=dtype, name="relu2"),
        layers.Flatten(dtype=dtype, name="flatten"),
        layers.Dense(whole_number("units", units), activation="relu", dtype=dtype, name="dense1"),
        layers.Dense(whole_number("classes", classes), dtype="float32", name="logits"),
    ]
    return keras.Sequential(stack, name="quicknet")


def image_shape(input_shape, smallest):
    """The shape as three checked numbers, or a ValueError that names the one that does not fit.

    >>> image_shape([32, 48, 3], smallest=32)
    (32, 48, 3)
    """
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(f"input_shape={input_shape!r} must be (height, width, channels)")
    rule = f"must be {smallest} high and wide, or more: the maps shrink from layer to layer"
    sides = pair("input_shape", input_shape[:2], smallest, rule)
    return *sides, whole_number("input_shape channels", input_shape[2])
