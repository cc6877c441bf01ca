"""The course's networks: shapes and counts as `arithmetic` predicts, weights that survive saving, the right Keras."""

import numpy as np
import pytest

import cnn_utils
from cnn_utils import keras, models
from cnn_utils.arithmetic import conv_output_size, conv_parameters, dense_parameters, pool_output_size

NAMES = ["conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]


@pytest.mark.parametrize(
    ("shape", "classes", "filters", "units"),
    [
        ((28, 28, 1), 10, (6, 16), (120, 84)),
        ((12, 15, 3), 2, (16, 32), (7, 5)),
        ((33, 20, 2), 4, (1, 3), (2, 9)),
    ],
)
def test_lenet5_has_the_shapes_and_parameters_that_arithmetic_predicts(shape, classes, filters, units):
    model = models.lenet5(shape, classes, filters=filters, units=units)
    conv1 = [conv_output_size(size, 5, padding="same") for size in shape[:2]]
    pool1 = [pool_output_size(size, 2) for size in conv1]
    conv2 = [conv_output_size(size, 5) for size in pool1]
    pool2 = [pool_output_size(size, 2) for size in conv2]
    flat = pool2[0] * pool2[1] * filters[1]
    expected = [
        ((*conv1, filters[0]), conv_parameters(5, shape[2], filters[0])),
        ((*pool1, filters[0]), 0),
        ((*conv2, filters[1]), conv_parameters(5, filters[0], filters[1])),
        ((*pool2, filters[1]), 0),
        ((flat,), 0),
        ((units[0],), dense_parameters(flat, units[0])),
        ((units[1],), dense_parameters(units[0], units[1])),
        ((classes,), dense_parameters(units[1], classes)),
    ]
    assert [layer.name for layer in model.layers] == NAMES
    assert [(layer.output.shape[1:], layer.count_params()) for layer in model.layers] == expected


def test_lenet5_keeps_the_sizes_of_the_paper_by_default():
    # LeCun et al. 1998, section II.B: 6@28x28, 6@14x14, 16@10x10, 16@5x5, 120, 84, 10
    shapes = [layer.output.shape[1:] for layer in models.lenet5().layers]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (400,), (120,), (84,), (10,)]


def test_lenet5_without_padding_takes_the_images_of_the_paper():
    model = models.lenet5((32, 32, 1), padding="valid")
    assert [layer.output.shape[1:] for layer in model.layers] == [
        layer.output.shape[1:] if layer.name != "image" else (32, 32, 1) for layer in models.lenet5().layers
    ]
    assert models.lenet5((16, 16, 1), padding="valid").get_layer("pool2").output.shape == (None, 1, 1, 16)
    with pytest.raises(ValueError, match="padding"):
        models.lenet5(padding="full")
    with pytest.raises(ValueError, match="16"):
        models.lenet5((15, 16, 1), padding="valid")


def test_lenet5_returns_logits_and_rectifies_all_before_them():
    keras.utils.set_random_seed(0)
    model = models.lenet5()
    x = np.random.default_rng(0).random((4, 28, 28, 1), dtype="float32")
    logits = model(x).numpy()
    assert logits.min() < 0 and not np.allclose(logits.sum(axis=1), 1)
    hidden = keras.Model(model.inputs[0], [model.get_layer(name).output for name in NAMES[:-1]])
    outputs = dict(zip(NAMES, hidden(x), strict=False))
    assert all(outputs[name].numpy().min() == 0 for name in ("conv1", "conv2", "dense1", "dense2"))


def test_lenet5_predicts_the_same_after_saving_and_loading(tmp_path):
    model = models.lenet5()
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(1).random((3, 28, 28, 1), dtype="float32")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "net.keras")(x), model(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (28, 28)}, r"input_shape=\(28, 28\) must be \(height, width, channels\)"),
        ({"input_shape": 28}, r"input_shape=28 must be \(height, width, channels\)"),
        ({"input_shape": (11, 28, 1)}, r"input_shape=\(11, 28\) must be 12 high and wide, or more"),
        ({"input_shape": (28, 11, 1)}, r"input_shape=\(28, 11\) must be 12 high and wide, or more"),
        ({"input_shape": (28, 28, 0)}, "input_shape channels=0 must be"),
        ({"classes": 0}, "classes=0 must be"),
        ({"filters": (6, 0)}, r"filters=\(6, 0\) must be"),
        ({"units": (120, 84.5)}, r"units=\(120, 84.5\) must be"),
    ],
)
def test_lenet5_names_what_it_cannot_build(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.lenet5(**arguments)


def test_the_smallest_image_that_lenet5_takes_leaves_one_pixel():
    assert models.lenet5((12, 12, 1)).get_layer("pool2").output.shape == (None, 1, 1, 16)


def test_quicknet_has_the_parameters_that_arithmetic_predicts():
    model = models.quicknet((30, 21, 3), 7, filters=(4, 5), units=6)
    size = [pool_output_size(conv_output_size(one, 5), 2) for one in (30, 21)]
    size = [pool_output_size(conv_output_size(one, 5), 2) for one in size]
    flat = size[0] * size[1] * 5
    expected = conv_parameters(5, 3, 4) + conv_parameters(5, 4, 5)
    expected += dense_parameters(flat, 6) + dense_parameters(6, 7)
    assert model.count_params() == expected
    assert model.get_layer("flatten").output.shape == (None, flat)


def test_quicknet_keeps_weights_and_logits_in_float32_whatever_it_computes_with():
    model = models.quicknet(dtype="mixed_bfloat16")
    assert model.get_layer("conv2").output.dtype == "bfloat16"
    assert model.get_layer("logits").output.dtype == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_the_smallest_image_that_quicknet_takes_leaves_one_pixel():
    assert models.quicknet((16, 16, 1)).get_layer("pool2").output.shape == (None, 1, 1, 32)
    with pytest.raises(ValueError, match=r"input_shape=\(15, 16\) must be 16 high and wide, or more"):
        models.quicknet((15, 16, 1))


class TestKerasSetUpOtherwise:
    def test_another_image_format_is_named_until_it_is_set_right(self):
        keras.config.set_image_data_format("channels_first")
        try:
            with pytest.raises(
                ImportError, match="^Keras' image_data_format must be 'channels_last' in the"
            ) as problem:
                cnn_utils._import_quietly("keras")
        finally:
            keras.config.set_image_data_format("channels_last")
        assert str(problem.value).endswith(", or keras.config.set_image_data_format('channels_last')")
        assert cnn_utils._import_quietly("keras") is keras

    def test_another_backend_imported_before_is_named(self, monkeypatch):
        monkeypatch.setattr(keras.config, "backend", lambda: "torch")
        with pytest.raises(ImportError, match="^Keras runs on 'torch' already: restart, and import it from"):
            cnn_utils._import_quietly("keras")
