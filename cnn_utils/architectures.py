"""Architectures that made the field, LeNet-5 to DenseNet, each as a short Keras function.

Each takes an image's (height, width, channels) and a number of classes, and returns a model from images to logits:
compile it with a loss that has ``from_logits=True``. Raises ValueError if a number is not whole and positive, or the
image smaller than 32x32 (AlexNet 63x63, ZFNet 53x53, GoogLeNet with auxiliary heads 65x65). Left out are the papers'
initial values, and response normalisation across channels (AlexNet, ZFNet, GoogLeNet): it has no weights, and section
4.1 of the VGG paper measures no gain from it. Batch normalisation has the epsilon of `keras.applications`.
"""

import numpy as np

from cnn_utils import keras
from cnn_utils.arithmetic import whole_number
from cnn_utils.models import image_shape

layers = keras.layers
LENET5_TABLE = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"


def lenet5_1998(input_shape=(32, 32, 1), classes=10):
    """LeNet-5 as published: c1, s2, c3, s4, c5, f6, output; 60,000 trained weights and 840 fixed ones.

    Maps of 28x28 (6), 14x14, 10x10 (16), 5x5, then 120, 84 and ``classes`` numbers. The maps of c1 and s2 are layers
    of their own, so that each filter of c3 can take those that Table I names, `LENET5_TABLE`. s2 and s4 weight the
    mean of 2x2 pixels (in the paper the sum, with a quarter of the weight). The output is f6 times a fixed code of 84
    signs for each class, drawn at random (in the paper a bitmap of the digit): minus half the paper's squared distance,
    but for a number that all classes share. Source: LeCun et al., "Gradient-based learning applied ..." (1998), II.B.

    >>> sum(weight.numpy().size for weight in lenet5_1998().trainable_weights)
    60000
    """
    image, classes = _begin(input_shape, classes)
    maps = [layers.Conv2D(1, 5, activation=scaled_tanh, name=f"c1_map{n}")(image) for n in range(6)]
    maps = [_subsample(x, f"s2_map{n}") for n, x in enumerate(maps)]
    rows = [[maps[int(digit)] for digit in row] for row in LENET5_TABLE.split()]
    seen = [layers.Concatenate(name=f"c3_map{n}_input")(row) for n, row in enumerate(rows)]
    c3 = [layers.Conv2D(1, 5, activation=scaled_tanh, name=f"c3_map{n}")(x) for n, x in enumerate(seen)]
    x = _subsample(layers.Concatenate(name="c3")(c3), "s4")
    x = layers.Conv2D(120, 5, activation=scaled_tanh, name="c5")(x)
    x = layers.Dense(84, activation=scaled_tanh, name="f6")(layers.Flatten(name="flatten")(x))
    codes = keras.initializers.Constant(np.random.default_rng(1998).choice([-1.0, 1.0], (84, classes)))
    output = layers.Dense(classes, use_bias=False, kernel_initializer=codes, trainable=False, name="output")
    return keras.Model(image, output(x), name="lenet5_1998")


def alexnet(input_shape=(224, 224, 3), classes=1000):
    """AlexNet: five convolutions, three of them in two groups, and three dense layers; 60,965,224 weights.

    Maps of 55x55 (96), 27x27 (256), 13x13 (384, 384, 256), 6x6. From 224 pixels to 55 it takes a padding that is not in
    the paper. Source: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks" (2012), 3.5.
    """
    image, classes = _begin(input_shape, classes, smallest=63)
    x = layers.MaxPooling2D(3, 2, name="pool1")(_conv(image, 96, 11, "conv1", stride=4, padding=2))
    x = layers.MaxPooling2D(3, 2, name="pool2")(_conv(x, 256, 5, "conv2", groups=2))
    x = _conv(x, 384, 3, "conv3")
    x = _conv(x, 384, 3, "conv4", groups=2)
    x = layers.MaxPooling2D(3, 2, name="pool5")(_conv(x, 256, 3, "conv5", groups=2))
    return keras.Model(image, _dense_head(x, classes), name="alexnet")


def zfnet(input_shape=(224, 224, 3), classes=1000):
    """ZFNet: AlexNet without groups and with a finer start, 7x7 at stride 2; 62,357,608 weights.

    Maps of 110x110 (96), 55x55, 26x26 (256), 13x13 (384, 384, 256), 6x6; the padding is what gives these sizes.
    Source: Zeiler & Fergus, "Visualizing and understanding convolutional networks" (arXiv:1311.2901), figure 3.
    """
    image, classes = _begin(input_shape, classes, smallest=53)
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(_conv(image, 96, 7, "conv1", stride=2, padding=1))
    x = layers.MaxPooling2D(3, 2, "same", name="pool2")(_conv(x, 256, 5, "conv2", stride=2, padding=0))
    x = _conv(x, 384, 3, "conv3")
    x = _conv(x, 384, 3, "conv4")
    x = layers.MaxPooling2D(3, 2, name="pool5")(_conv(x, 256, 3, "conv5"))
    return keras.Model(image, _dense_head(x, classes), name="zfnet")


def vgg16(input_shape=(224, 224, 3), classes=1000):
    """VGG-16: thirteen 3x3 convolutions in five stages, and three dense layers; 138,357,544 weights.

    Maps of 224x224 (64), 112x112 (128), 56x56 (256), 28x28 (512), 14x14 (512), 7x7. Source: Simonyan & Zisserman,
    "Very deep convolutional networks for large-scale image recognition" (arXiv:1409.1556), section 2, column D.
    """
    image, classes = _begin(input_shape, classes)
    x = image
    for stage, (depth, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        for number in range(1, depth + 1):
            x = _conv(x, filters, 3, f"stage{stage}_conv{number}")
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return keras.Model(image, _dense_head(x, classes), name="vgg16")


def googlenet(input_shape=(224, 224, 3), classes=1000, *, auxiliary=False):
    """GoogLeNet: three convolutions, nine Inception modules, one dense layer; 6,998,552 weights.

    Maps of 112x112 (64), 56x56 (192), 28x28 (to 480), 14x14 (to 832), 7x7 (to 1024). With ``auxiliary``, for training,
    13,378,280 weights and three outputs: "logits", "auxiliary1" (from module 4a), "auxiliary2" (from 4d).
    Source: Szegedy et al., "Going deeper with convolutions" (arXiv:1409.4842), section 5 and Table 1.
    """
    image, classes = _begin(input_shape, classes, smallest=65 if auxiliary else 32)
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(_conv(image, 64, 7, "conv1", stride=2))
    x = _conv(x, 64, 1, "conv2_reduce")
    x = layers.MaxPooling2D(3, 2, "same", name="pool2")(_conv(x, 192, 3, "conv2"))
    x = _inception(x, "inception3a", 64, 96, 128, 16, 32, 32)
    x = _inception(x, "inception3b", 128, 128, 192, 32, 96, 64)
    x = layers.MaxPooling2D(3, 2, "same", name="pool3")(x)
    x = x4a = _inception(x, "inception4a", 192, 96, 208, 16, 48, 64)
    x = _inception(x, "inception4b", 160, 112, 224, 24, 64, 64)
    x = _inception(x, "inception4c", 128, 128, 256, 24, 64, 64)
    x = x4d = _inception(x, "inception4d", 112, 144, 288, 32, 64, 64)
    x = _inception(x, "inception4e", 256, 160, 320, 32, 128, 128)
    x = layers.MaxPooling2D(3, 2, "same", name="pool4")(x)
    x = _inception(x, "inception5a", 256, 160, 320, 32, 128, 128)
    x = _inception(x, "inception5b", 384, 192, 384, 48, 128, 128)
    outputs = _average_head(x, classes, dropout=0.4)
    if auxiliary:
        outputs = [outputs, _auxiliary_head(x4a, classes, 1), _auxiliary_head(x4d, classes, 2)]
    return keras.Model(image, outputs, name="googlenet")


def resnet18(input_shape=(224, 224, 3), classes=1000):
    """ResNet-18: a convolution, eight residual blocks of two, one dense layer; 11,689,512 trained weights.

    Maps of 112x112 (64), 56x56 (64), 28x28 (128), 14x14 (256), 7x7 (512). Shortcuts across shapes are 1x1 convolutions
    (option B, as in the paper's deeper networks; its 18 layers have option A, zeros). Source: as `resnet50`.
    """
    return _resnet("resnet18", input_shape, classes, depths=(2, 2, 2, 2), block=((3, 1), (3, 1)))


def resnet50(input_shape=(224, 224, 3), classes=1000):
    """ResNet-50: a convolution, sixteen residual blocks of three, one dense layer; 25,557,032 trained weights.

    Maps of 112x112 (64), 56x56 (256), 28x28 (512), 14x14 (1024), 7x7 (2048). The first 1x1 convolution of a stage has
    the stride (the 3x3 in torchvision); no convolution has a bias, which batch normalisation would take out again.
    Source: He et al., "Deep residual learning for image recognition" (arXiv:1512.03385), Table 1.
    """
    return _resnet("resnet50", input_shape, classes, depths=(3, 4, 6, 3), block=((1, 1), (3, 1), (1, 4)))


def densenet121(input_shape=(224, 224, 3), classes=1000):
    """DenseNet-121: four blocks in which each layer sees all those before it; 7,978,856 trained weights.

    Maps of 112x112 (64), 56x56 (to 256), 28x28 (to 512), 14x14 (to 1024), 7x7 (to 1024). A layer adds 32 channels, by
    way of 128. Source: Huang et al., "Densely connected convolutional networks" (arXiv:1608.06993), Table 1.
    """
    image, classes = _begin(input_shape, classes)
    x = _stem(image)
    for block, depth in enumerate((6, 12, 24, 16), start=1):
        for number in range(1, depth + 1):
            name = f"block{block}_layer{number}"
            y = _conv(_norm(x, f"{name}_conv1"), 128, 1, f"{name}_conv1", bare=True)
            y = _conv(_norm(y, f"{name}_conv2"), 32, 3, f"{name}_conv2", bare=True)
            x = layers.Concatenate(name=f"{name}_join")([x, y])
        if block < 4:
            x = _conv(_norm(x, f"transition{block}"), x.shape[-1] // 2, 1, f"transition{block}", bare=True)
            x = layers.AveragePooling2D(2, name=f"transition{block}_pool")(x)
    return keras.Model(image, _average_head(_norm(x, "last"), classes), name="densenet121")


@keras.saving.register_keras_serializable("cnn_utils")
def scaled_tanh(x):
    """LeNet-5's activation (appendix A): 1 stays 1, where it bends most. Import it before loading a saved LeNet-5."""
    return 1.7159 * keras.ops.tanh(2 * x / 3)


def _begin(input_shape, classes, smallest=32):
    return keras.Input(image_shape(input_shape, smallest), name="image"), whole_number("classes", classes)


def _subsample(x, name):
    mean = layers.AveragePooling2D(2, name=f"{name}_mean")(x)
    return layers.DepthwiseConv2D(1, activation=scaled_tanh, name=name)(mean)


def _conv(x, filters, kernel, name, stride=1, *, padding=None, groups=1, bare=False):
    """Pad each side by half the kernel unless ``padding`` says otherwise. ``bare``: no bias, no ReLU."""
    padding = kernel // 2 if padding is None else padding
    if stride > 1 and padding:  # "same" would put one pixel less before than after
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    options = {"use_bias": False} if bare else {"activation": "relu"}
    options["padding"] = "same" if stride == 1 else "valid"
    return layers.Conv2D(filters, kernel, stride, groups=groups, name=name, **options)(x)


def _norm(x, name, relu=True):
    x = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _dense_head(x, classes):
    x = layers.Flatten(name="flatten")(x)
    for name in ("dense1", "dense2"):
        x = layers.Dropout(0.5, name=f"{name}_dropout")(layers.Dense(4096, activation="relu", name=name)(x))
    return layers.Dense(classes, name="logits")(x)


def _average_head(x, classes, dropout=0):
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(dropout, name="dropout")(x) if dropout else x
    return layers.Dense(classes, name="logits")(x)


def _auxiliary_head(x, classes, number):
    name = f"auxiliary{number}"
    x = _conv(layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x), 128, 1, f"{name}_conv")
    x = layers.Dense(1024, activation="relu", name=f"{name}_dense")(layers.Flatten(name=f"{name}_flatten")(x))
    return layers.Dense(classes, name=name)(layers.Dropout(0.7, name=f"{name}_dropout")(x))


def _inception(x, name, one, reduce3, three, reduce5, five, projection):
    branch1 = _conv(x, one, 1, f"{name}_1x1")
    branch3 = _conv(_conv(x, reduce3, 1, f"{name}_3x3_reduce"), three, 3, f"{name}_3x3")
    branch5 = _conv(_conv(x, reduce5, 1, f"{name}_5x5_reduce"), five, 5, f"{name}_5x5")
    pooled = layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x)
    pooled = _conv(pooled, projection, 1, f"{name}_pool_projection")
    return layers.Concatenate(name=f"{name}_join")([branch1, branch3, branch5, pooled])


def _stem(image):
    x = _norm(_conv(image, 64, 7, "conv1", stride=2, bare=True), "conv1")
    return layers.MaxPooling2D(3, 2, name="pool1")(layers.ZeroPadding2D(1, name="pool1_pad")(x))


def _resnet(name, input_shape, classes, depths, block):
    image, classes = _begin(input_shape, classes)
    x = _stem(image)
    for stage, depth in enumerate(depths, start=2):
        for number in range(1, depth + 1):
            stride = 2 if stage > 2 and number == 1 else 1
            x = _residual_block(x, block, 2 ** (stage + 4), stride, f"stage{stage}_block{number}")
    return keras.Model(image, _average_head(x, classes), name=name)


def _residual_block(x, block, filters, stride, name):
    """Convolutions, of which ``block`` has (kernel, width), and what went in, brought to their shape if need be."""
    y = x
    for number, (kernel, width) in enumerate(block, start=1):
        y = _conv(y, width * filters, kernel, f"{name}_conv{number}", stride if number == 1 else 1, bare=True)
        y = _norm(y, f"{name}_conv{number}", relu=number < len(block))
    if x.shape != y.shape:
        x = _norm(_conv(x, y.shape[-1], 1, f"{name}_shortcut", stride, bare=True), f"{name}_shortcut", False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
