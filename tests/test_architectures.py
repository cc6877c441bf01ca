"""The architectures against their papers, `keras.applications`, and the counts that other libraries publish."""

import functools
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

from cnn_utils import architectures, graphs, inspection, keras, models, reference, tf
from cnn_utils.arithmetic import conv_multiply_adds, conv_output_size, conv_parameters, pool_output_size
from cnn_utils.explorer import LayerExplorer
from tests.oracles import bad_input_is_named

NAMES = ["lenet5_1998", "alexnet", "zfnet", "vgg16", "googlenet", "resnet18", "resnet50", "densenet121"]
SMALLEST = dict.fromkeys(NAMES, 32) | {"alexnet": 63, "zfnet": 53}


class Layer(NamedTuple):
    kind: str
    sources: tuple[str, ...]
    input: Any  # shapes without the batch
    output: tuple[int, ...]
    config: dict
    weights: dict[str, tuple[int, ...]]  # kernel, bias, gamma, ...: their shapes

    @property
    def parameters(self):
        return sum(map(np.prod, self.weights.values()))


@functools.cache
def full_size(name):
    """The layers of a network as its paper has it. No weight has a value: none is drawn."""
    with keras.StatelessScope(initialize_variables=False):
        auxiliary = {"auxiliary": True} if name == "googlenet with heads" else {}
        model = getattr(architectures, name.split()[0])(**auxiliary)
    keras.utils.clear_session(free_memory=False)  # or Keras draws them when the next one is built
    found = {}
    for layer_name, kind, sources in graphs.nodes(graphs.model_graph(model)):
        layer = model.get_layer(layer_name)
        given = [tensor.shape[1:] for tensor in keras.tree.flatten(layer.input)]
        weights = {weight.name: tuple(weight.shape) for weight in layer.weights if weight.dtype == "float32"}
        found[layer_name] = Layer(
            kind, sources, given, tuple(layer.output.shape[1:]), layer.get_config(), weights
        )
    return found


@functools.cache
def small(name):
    """A network with random weights for the smallest images it takes."""
    keras.utils.set_random_seed(1)
    shape = (SMALLEST[name], SMALLEST[name] + 2, 1 if name == "lenet5_1998" else 3)
    return getattr(architectures, name)(shape, 7)


def images(model, count=2, seed=0):
    return np.random.default_rng(seed).random((count, *model.input_shape[1:]), dtype="float32")


def parameters(name):
    """(trained weights, moving averages and fixed codes) of the whole network."""
    layers = full_size(name).values()
    fixed = sum(np.prod(s) for layer in layers for key, s in layer.weights.items() if "moving" in key)
    fixed += sum(layer.parameters for layer in layers if not layer.config.get("trainable", True))
    return sum(layer.parameters for layer in layers) - fixed, fixed


def multiply_adds(name):
    total = 0
    for layer in full_size(name).values():
        if "kernel" in layer.weights:
            places = layer.output[:2] if layer.kind == "Conv2D" else (1, 1)
            *window, channels, filters = (1, 1, *layer.weights["kernel"])[-4:]
            total += conv_multiply_adds(places, tuple(window), channels, filters)
    return total


# Counts.


@pytest.mark.parametrize(
    ("name", "trained", "fixed", "paper"),
    [
        ("lenet5_1998", 60_000, 840, 60_000),  # section II.B; the codes of the output are not counted there
        ("alexnet", 60_965_224, 0, 60e6),  # Caffe's bvlc_alexnet; the abstract
        ("zfnet", 62_357_608, 0, None),
        ("vgg16", 138_357_544, 0, 138e6),  # keras.applications, torchvision; Table 2
        ("googlenet", 6_998_552, 0, 6.8e6 * 1.024),  # Caffe's bvlc_googlenet; Table 1 added up (see below)
        ("googlenet with heads", 13_378_280, 0, None),  # the same as it is trained
        ("resnet18", 11_689_512, 9_600, None),  # torchvision, which does not count moving averages
        ("resnet50", 25_557_032, 53_120, None),  # torchvision
        ("densenet121", 7_978_856, 83_648, None),  # torchvision; keras.applications
    ],
)
def test_weights_are_counted_as_published(name, trained, fixed, paper):
    assert parameters(name) == (trained, fixed)
    assert paper is None or abs(trained / paper - 1) < 0.02


LENET5 = {  # parameters and connections, section II.B; F6 is fully connected, the output has 84 inputs for each class
    "c1": (156, 122_304),
    "s2": (12, 5_880),
    "c3": (1_516, 151_600),
    "s4": (32, 2_000),
    "c5": (48_120, 48_120),
    "f6": (10_164, 10_164),
    "output": (840, 840),
}


def test_lenet5_has_the_parameters_and_connections_of_each_layer_in_the_paper():
    found = dict.fromkeys(LENET5, (0, 0))
    for name, layer in full_size("lenet5_1998").items():
        if layer.weights:
            weights, places = int(layer.parameters), np.prod(layer.output[:-1], dtype=int)
            a_place = weights + 3 * layer.output[-1] * (
                layer.kind == "DepthwiseConv2D"
            )  # four pixels share one
            before = found[name.split("_")[0]]
            found[name.split("_")[0]] = before[0] + weights, before[1] + int(places) * a_place
    assert found == LENET5
    assert sum(connections for _, connections in found.values()) == 340_908


def test_the_lenet5_of_today_differs_in_three_places():
    every_map = conv_parameters(5, 6, 16) - 1_516
    assert models.lenet5().count_params() == 60_000 + every_map - (12 + 32) + 850 == 61_706


def test_alexnet_in_one_tower_has_other_counts():
    layers = full_size("alexnet")
    convolutions = sum(layer.parameters for layer in layers.values() if layer.kind == "Conv2D")
    channels = (3, 64, 192, 384, 256, 256)  # torchvision, from Krizhevsky's "One weird trick" (2014)
    kernels = (11, 5, 3, 3, 3)
    tower = sum(map(conv_parameters, kernels, channels, channels[1:]))
    assert parameters("alexnet")[0] - convolutions + tower == 61_100_840
    channels = (3, 96, 256, 384, 384, 256)  # the paper's filters, each of which sees all channels
    whole = sum(map(conv_parameters, kernels, channels, channels[1:]))
    assert parameters("alexnet")[0] - convolutions + whole == 62_378_344


@pytest.mark.parametrize(("name", "theirs"), [("googlenet", 6_624_904), ("googlenet with heads", 13_004_888)])
def test_torchvisions_googlenet_has_other_counts(name, theirs):
    """3x3 for 5x5 (its issue 906), and a scale and a shift of batch normalisation for each bias."""
    ours, layers = parameters(name)[0], full_size(name)
    fives = [layer.weights["kernel"] for key, layer in layers.items() if key.endswith("_5x5")]
    filters = sum(layer.output[-1] for layer in layers.values() if layer.kind == "Conv2D")
    assert ours - sum((25 - 9) * np.prod(shape[2:]) for shape in fives) + filters == theirs


INCEPTION = "3a 159 3b 380 4a 364 4b 437 4c 463 4d 580 4e 840 5a 1072 5b 1388"  # Table 1, in K


def test_googlenet_has_the_weights_of_its_table_to_8_percent():
    """The paper counts 1,024 as K, and no biases. Its 2.7K for conv1 is far from 7 * 7 * 3 * 64."""
    rows = {"conv2": 112, "logits": 1000}
    rows |= {f"inception{module}": int(k) for module, k in re.findall(r"(\S+) (\d+)", INCEPTION)}
    found = dict.fromkeys(rows, 0)
    for name, layer in full_size("googlenet").items():
        if "kernel" in layer.weights and name != "conv1":
            found[name.split("_")[0]] += np.prod(layer.weights["kernel"]) / 1024
    assert all(abs(found[row] / k - 1) < 0.08 for row, k in rows.items()), found
    assert abs(sum(found.values()) / sum(rows.values()) - 1) < 0.005
    assert (
        sum(rows.values()) * 1024 > 60e6 / 9
    )  # so it is not "12 times fewer" than AlexNet's, as section 1 says


@pytest.mark.parametrize(
    ("name", "paper", "tolerance"),
    [
        ("vgg16", 15.3e9, 0.02),  # He et al., section 3.3
        ("resnet18", 1.8e9, 0.02),  # He et al., Table 1
        ("resnet50", 3.8e9, 0.02),
        ("googlenet", 1.5e9, 0.06),  # a budget: Szegedy et al., section 1
        ("densenet121", 2.834e9, 0.0003),  # torchvision; as it counts these two, too
        ("resnet18", 1.814e9, 0.0003),
        ("vgg16", 15.47e9, 0.0003),
    ],
)
def test_multiply_adds_are_those_of_the_papers(name, paper, tolerance):
    assert abs(multiply_adds(name) / paper - 1) < tolerance


def test_torchvision_has_other_multiply_adds():
    """Its ResNet-50 has the stride one convolution later, its GoogLeNet 3x3 for 5x5."""
    layers = full_size("resnet50")
    moved = [layers[f"stage{stage}_block1_conv1"] for stage in (3, 4, 5)]
    more = sum(3 * np.prod(layer.output) * layer.weights["kernel"][2] for layer in moved)
    assert round((multiply_adds("resnet50") + more) / 1e9, 3) == 4.089
    fives = [layer for key, layer in full_size("googlenet").items() if key.endswith("_5x5")]
    less = sum(16 * np.prod(layer.output) * layer.weights["kernel"][2] for layer in fives)
    assert round((multiply_adds("googlenet") - less) / 1e9, 3) == 1.498


@pytest.mark.parametrize(
    ("name", "depth"),
    list(zip(NAMES, (7, 8, 8, 16, 22, 18, 50, 121), strict=True)),
)
def test_the_longest_way_through_has_as_many_weight_layers_as_the_name_says(name, depth):
    depths = {}
    for layer_name, layer in full_size(name).items():
        weighs = any(weight in layer.weights for weight in ("kernel", "depthwise_kernel"))
        depths[layer_name] = weighs + max((depths[source] for source in layer.sources), default=0)
    assert depths["output" if name == "lenet5_1998" else "logits"] == depth


# Sizes.

SIZES = {  # rows, columns and channels, as the papers' tables and figures give them
    "lenet5_1998": {"c3": (10, 10, 16), "s4": (5, 5, 16), "c5": (1, 1, 120), "f6": (84,), "output": (10,)},
    "alexnet": {"conv1": (55, 55, 96), "conv2": (27, 27, 256), "conv3": (13, 13, 384), "conv4": (13, 13, 384)}
    | {"conv5": (13, 13, 256), "pool5": (6, 6, 256), "dense1": (4096,), "dense2": (4096,), "logits": (1000,)},
    "zfnet": {"conv1": (110, 110, 96), "pool1": (55, 55, 96), "conv2": (26, 26, 256), "pool2": (13, 13, 256)}
    | {"conv3": (13, 13, 384), "conv4": (13, 13, 384), "conv5": (13, 13, 256), "pool5": (6, 6, 256)},
    "vgg16": {"stage1_conv2": (224, 224, 64), "stage2_conv2": (112, 112, 128), "stage3_conv3": (56, 56, 256)}
    | {"stage4_conv3": (28, 28, 512), "stage5_conv3": (14, 14, 512), "stage5_pool": (7, 7, 512)},
    "googlenet with heads": {"conv1": (112, 112, 64), "pool1": (56, 56, 64), "conv2": (56, 56, 192)}
    | {"pool2": (28, 28, 192), "inception3a_join": (28, 28, 256), "inception3b_join": (28, 28, 480)}
    | {"pool3": (14, 14, 480), "inception4a_join": (14, 14, 512), "inception4d_join": (14, 14, 528)}
    | {"pool4": (7, 7, 832), "inception5a_join": (7, 7, 832), "inception5b_join": (7, 7, 1024)}
    | {"auxiliary1_pool": (4, 4, 512), "auxiliary2_pool": (4, 4, 528), "average": (1024,)},
    "resnet18": {
        "conv1": (112, 112, 64),
        "stage2_block2_relu": (56, 56, 64),
        "stage3_block2_relu": (28, 28, 128),
    }
    | {"stage4_block2_relu": (14, 14, 256), "stage5_block2_relu": (7, 7, 512), "average": (512,)},
    "resnet50": {
        "conv1": (112, 112, 64),
        "stage2_block3_relu": (56, 56, 256),
        "stage3_block4_relu": (28, 28, 512),
    }
    | {"stage4_block6_relu": (14, 14, 1024), "stage5_block3_relu": (7, 7, 2048), "average": (2048,)},
    "densenet121": {"conv1": (112, 112, 64), "pool1": (56, 56, 64), "transition1_pool": (28, 28, 128)}
    | {"block1_layer6_join": (56, 56, 256), "block2_layer12_join": (28, 28, 512), "average": (1024,)}
    | {"block3_layer24_join": (14, 14, 1024), "block4_layer16_join": (7, 7, 1024)},
}


@pytest.mark.parametrize("name", SIZES)
def test_maps_have_the_sizes_of_the_paper(name):
    layers = full_size(name)
    assert {layer: layers[layer].output for layer in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize("name", SIZES)
def test_maps_have_the_sizes_that_arithmetic_predicts(name):
    windows = 0
    for layer in full_size(name).values():
        config = layer.config
        if "strides" in config:
            rule = pool_output_size if "pool_size" in config else conv_output_size
            sides = zip(layer.input[0], config.get("pool_size", config.get("kernel_size")), strict=False)
            sizes = [
                rule(size, window, stride=config["strides"][0], padding=config["padding"])
                for size, window in sides
            ]
            assert layer.output[:2] == tuple(sizes)
            windows += 1
        elif layer.kind == "Concatenate":
            assert layer.output[-1] == sum(shape[-1] for shape in layer.input)
    assert windows > 7


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_image_leaves_one_pixel_and_a_smaller_one_is_refused(name):
    model = small(name)
    before = {"alexnet": "pool5", "zfnet": "pool5", "vgg16": "stage5_pool", "lenet5_1998": "c5"}
    last = model.get_layer(before[name]) if name in before else model.get_layer("average")
    assert (last.input if last.name == "average" else last.output).shape[1] == 1
    for shape in [(SMALLEST[name] - 1, 90, 3), (90, SMALLEST[name] - 1, 3)]:
        rule = rf"input_shape=\({shape[0]}, {shape[1]}\) must be {SMALLEST[name]} high and wide, or more"
        with pytest.raises(ValueError, match=rule):
            getattr(architectures, name)(shape)


test_bad_arguments_are_named = bad_input_is_named(
    [
        (
            lambda: architectures.googlenet((64, 65, 3), auxiliary=True),
            "input_shape=(64, 65) must be 65 high",
        ),
        *(
            (functools.partial(getattr(architectures, name), classes=0), "classes=0 must be")
            for name in NAMES
        ),
        (lambda: architectures.vgg16(classes=10.0), "classes=10.0 must be a whole number, 1 or more"),
        (lambda: architectures.resnet18((64, 64)), "input_shape=(64, 64) must be (height, width, channels)"),
        (lambda: architectures.resnet50(64), "input_shape=64 must be (height, width, channels)"),
        (lambda: architectures.alexnet((64, 64, 0)), "input_shape channels=0 must be"),
        (lambda: architectures.zfnet((64.5, 64, 3)), "input_shape=(64.5, 64) must be 53 high and wide"),
    ]
)


# Outputs.


def in_keras(name):
    name = re.sub(r"stage(\d_block\d)_(conv|shortcut)(\d?)", lambda m: f"conv{m[1]}_{m[3] or 0}", name)
    name = name.replace("logits", "predictions")
    return re.sub(r"^(conv1|.*_\d)$", r"\1_conv", name).replace("_norm", "_bn")


def test_resnet50_gives_the_outputs_of_keras_applications():
    """Its biases there, in front of normalisations, go into the means that these subtract. Notebook 9: the other two."""
    ours, rng = small("resnet50"), np.random.default_rng(1)
    options = {"weights": None, "classes": 7, "classifier_activation": None}
    theirs = keras.applications.ResNet50(input_shape=ours.input_shape[1:], **options)
    for weight in theirs.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    copied, biases = 0, {}
    for layer in ours.layers:
        if not layer.weights:
            continue
        values = [weight.numpy() for weight in theirs.get_layer(in_keras(layer.name)).weights]
        copied += sum(value.size for value in values)
        if len(values) > len(layer.weights):
            *values, biases[layer.name] = values
        elif layer.name.endswith("_norm"):
            gamma, beta, mean, variance = values
            values = gamma, beta, mean - biases[layer.name.removesuffix("_norm")], variance
        layer.set_weights(values)
    assert copied == theirs.count_params()
    x = images(ours, count=4) * np.reshape([0.1, 0.5, 1, 5], (4, 1, 1, 1))
    expected, found = theirs(x).numpy(), ours(x).numpy()
    assert np.ptp(expected, axis=0).max() > 0.1  # the images are not all the same to it
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_alexnets_groups_see_one_half_of_the_channels():
    model = small("alexnet")
    for conv, before in [("conv2", "pool1"), ("conv4", "conv3"), ("conv5", "conv4")]:
        layer = model.get_layer(conv)
        x, y = keras.Model(model.input, [model.get_layer(before).output, layer.output])(images(model))
        kernels = tf.split(layer.kernel, 2, axis=-1)
        halves = zip(tf.split(x, 2, axis=-1), kernels, strict=True)
        expected = tf.concat([tf.nn.conv2d(half, kernel, 1, "SAME") for half, kernel in halves], axis=-1)
        np.testing.assert_allclose(y, tf.nn.relu(expected + layer.bias), atol=1e-5)


class TestLenet5:
    TABLE = [  # Table I: a row for each map of S2, a column for each of C3
        "X   XXX  XXXX XX",
        "XX   XXX  XXXX X",
        "XXX   XXX  X XXX",
        " XXX  XXXX  X XX",
        "  XXX  XXXX XX X",
        "   XXX  XXXX XXX",
    ]

    def test_filters_of_c3_see_the_maps_of_table_1(self):
        layers = full_size("lenet5_1998")
        for number in range(16):
            sees = [row[number] == "X" for row in self.TABLE]
            sources = layers[f"c3_map{number}_input"].sources
            assert sources == tuple(f"s2_map{source}" for source in range(6) if sees[source])
            assert layers[f"c3_map{number}"].sources == (f"c3_map{number}_input",)
        assert layers["c3"].sources == tuple(f"c3_map{number}" for number in range(16))

    def test_it_computes_what_the_paper_writes(self):
        model, squash = small("lenet5_1998"), lambda a: 1.7159 * np.tanh(2 / 3 * a)
        x = images(model) * 2 - 1

        def conv(x, *names):
            weights = [model.get_layer(name).get_weights() for name in names]
            kernel, bias = (np.concatenate(parts, axis=-1) for parts in zip(*weights, strict=True))
            return squash(reference.conv2d(x, kernel, bias))

        def subsample(x, *names):
            weights = [model.get_layer(name).get_weights() for name in names]
            weight, bias = (np.concatenate([part.ravel() for part in w]) for w in zip(*weights, strict=True))
            return squash(reference.average_pool2d(x) * 4 * (weight / 4) + bias)  # of the sum of four pixels

        s2 = subsample(conv(x, *(f"c1_map{n}" for n in range(6))), *(f"s2_map{n}" for n in range(6)))
        rows = [[n for n in range(6) if self.TABLE[n][column] == "X"] for column in range(16)]
        c3 = [conv(s2[..., row], f"c3_map{column}") for column, row in enumerate(rows)]
        c5 = conv(subsample(np.concatenate(c3, axis=-1), "s4"), "c5").reshape(len(x), -1)
        weights, bias = model.get_layer("f6").get_weights()
        f6 = squash(c5 @ weights + bias)
        distances = ((f6[:, :, None] - model.get_layer("output").get_weights()[0]) ** 2).sum(axis=1)
        shares = keras.ops.softmax(-distances / 2)
        np.testing.assert_allclose(keras.ops.softmax(model(x)), shares, rtol=1e-3)
        assert np.ptp(shares, axis=0).max() > 1e-4  # the images differ

    def test_codes_are_signs_that_stay_the_same(self):
        codes = [small("lenet5_1998").get_layer("output"), architectures.lenet5_1998().get_layer("output")]
        assert not codes[0].trainable and set(codes[0].kernel.numpy().ravel()) == {-1, 1}
        ten = codes[1].kernel.numpy()
        np.testing.assert_array_equal(ten, architectures.lenet5_1998().get_layer("output").kernel)
        assert (
            abs(ten.T @ ten - 84 * np.eye(10)).max() < 42
        )  # any two differ in a quarter of their signs or more

    def test_every_trained_weight_gets_a_gradient(self):
        model = small("lenet5_1998")
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images(model)) ** 2)
        gradients = tape.gradient(loss, model.trainable_weights)
        assert sum(np.count_nonzero(gradient) for gradient in gradients) == sum(
            np.prod(weight.shape) for weight in model.trainable_weights
        )

    def test_scaled_tanh_keeps_one_and_bends_most_there(self):
        a = np.linspace(0, 3, 3001)
        values = architectures.scaled_tanh(tf.constant(a)).numpy()
        assert abs(values[1000] - 1) < 1e-4
        assert abs(a[np.argmin(np.diff(values, 2)) + 1] - 1) < 0.02


def test_googlenets_auxiliary_heads_share_its_layers():
    model = architectures.googlenet((65, 66, 3), 3, auxiliary=True)
    assert model.output_names == ["logits", "auxiliary1", "auxiliary2"]
    assert [output.shape for output in model.output] == [(None, 3)] * 3
    heads = full_size("googlenet with heads")
    assert heads["auxiliary1_pool"].sources == ("inception4a_join",)
    assert heads["auxiliary2_pool"].sources == ("inception4d_join",)
    assert {name: layer for name, layer in heads.items() if "auxiliary" not in name} == full_size("googlenet")


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_logits_for_each_image(name):
    model = small(name)
    logits = model(images(model)).numpy()
    assert logits.shape == (2, 7) and logits.min() < 0 and not np.allclose(logits.sum(axis=1), 1)
    assert model.name == name


# What else opens them.


@pytest.mark.parametrize("name", ["lenet5_1998", "resnet18"])  # an activation of its own; moving averages
def test_it_predicts_the_same_after_saving_and_loading(name, tmp_path):
    model = small(name)
    model.save(tmp_path / "net.keras")
    x = images(model)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "net.keras")(x), model(x))


@pytest.mark.parametrize("name", NAMES)
def test_inspection_knows_every_kind_of_layer(name):
    steps = inspection.steps(small(name))
    assert len(steps) == len(small(name).layers) + 1  # and the softmax
    assert steps[-1].name == "softmax"


def test_inspection_refuses_three_outputs():
    with pytest.raises(ValueError, match="1 inputs and 3 outputs"):
        inspection.steps(architectures.googlenet((65, 65, 3), 3, auxiliary=True))


@pytest.mark.parametrize(
    ("name", "layer"),
    [("lenet5_1998", "s2_map3"), ("lenet5_1998", "c3_map7"), ("lenet5_1998", "output"), ("alexnet", "conv4")]
    + [("resnet18", "stage3_block1_add"), ("resnet18", "stage3_block1_shortcut")],
)
def test_inspection_explains_units(name, layer):
    model = small(name)
    said = inspection.explain(model, images(model, count=1)[0], layer)  # raises ValueError if it disagrees
    assert abs(said.activation - said.output) <= said.tolerance


@pytest.mark.parametrize("name", NAMES)
def test_the_explorer_opens_it(name):
    model = small(name)
    steps = [step.name for step in inspection.steps(model)]
    chosen = [steps[1], steps[len(steps) // 2], steps[-2]]
    explorer = LayerExplorer(model, images(model, count=1)[0], layers=chosen)
    for layer in chosen:
        explorer.select(layer)  # raises ValueError if the arithmetic does not give what the model gives
    assert explorer.explain().layer == chosen[-1]
