"""What training cells share: the learning rate, the quick recipe, and TensorBoard's logs."""

import math

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

from cnn_utils import datasets, graphs, keras, models, training


def data(count=48, size=12):
    rng = np.random.default_rng(0)
    return rng.random((count, size, size, 1), dtype="float32"), np.arange(count) % 3


def compiled(model, rate=0.01):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model


def small():
    keras.utils.set_random_seed(0)
    return compiled(models.lenet5((12, 12, 1), 3, filters=(3, 4), units=(16, 16)))


def tiny(size=12):
    """A network that is quickly made ready: most of a short training is TensorFlow's look at the model."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((size, size, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    return compiled(keras.Sequential(layers))


def fit(model, callback, **options):
    """Two epochs of three batches, validated on the same 48 images; returns what Keras recorded."""
    x, y = data()
    history = model.fit(
        x, y, batch_size=16, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback], **options
    )
    return history.history


class TestBatches:
    def rows(self, **options):
        """The labels of two epochs, batch by batch; every image belongs to its label."""
        keras.utils.set_random_seed(0)
        x, y = np.arange(10.0)[:, None], np.arange(10)
        given = training.batches(x, y, 4, **options)
        epochs = []
        for _ in range(2):
            pairs = [(image.numpy(), label.numpy()) for image, label in given]
            assert all((image[:, 0] == label).all() for image, label in pairs)
            epochs.append([label.tolist() for _, label in pairs])
        return epochs

    def test_every_epoch_has_each_example_once_in_another_order(self):
        first, second = self.rows(seed=1)
        assert [len(batch) for batch in first] == [4, 4, 2]
        assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(10))
        assert first != second and sum(first, []) != list(range(10))

    def test_the_seeds_say_which_order(self):
        assert self.rows(seed=1) == self.rows(seed=1) != self.rows(seed=2)
        assert self.rows() == self.rows()  # that of set_random_seed
        assert self.rows(shuffle=False) == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]] * 2

    def test_nothing_waits_for_a_tuner(self):
        assert training.batches([1.0], [1], 1).options().autotune.enabled is False

    def test_names_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"y has shape \(1,\), x has \(2,\): give one label for each"):
            training.batches([1.0, 2.0], [1], 1)
        with pytest.raises(ValueError, match="batch_size=0 must be a whole number"):
            training.batches([1.0], [1], 0)


class TestQuickFit:
    def test_reads_most_sample_digits_after_one_pass(self):
        mnist = datasets.load("mnist", source="sample")
        keras.utils.set_random_seed(0)
        model = models.quicknet()
        training.quick_fit(model, mnist.x_train[:2000] / np.float32(255), mnist.y_train[:2000])
        answers = model.predict(mnist.x_test / np.float32(255), verbose=0).argmax(axis=1)
        assert (answers == mnist.y_test).mean() > 0.75

    def test_the_rate_has_come_down_to_zero_after_the_last_step(self):
        x, y = data(20, size=16)
        model = tiny(16)
        training.quick_fit(model, x.tolist(), y.tolist(), epochs=2, batch_size=8)
        assert model.optimizer.iterations == 6  # 8, 8 and 4 images, twice
        assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)

    def test_its_step_is_traced_once(self, monkeypatch):
        traced, step = [], keras.Model.train_step
        monkeypatch.setattr(keras.Model, "train_step", lambda *given: traced.append(1) or step(*given))
        training.quick_fit(models.quicknet((16, 16, 1), 3), *data(20, size=16), epochs=2, batch_size=8)
        assert len(traced) == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"y": np.zeros(39, int)},
                r"y has shape \(39,\), x has \(40, 16, 16, 1\): give one label for each",
            ),
            ({"y": 1}, r"y has shape \(\), x has"),
            (
                {"y": np.eye(3)[np.arange(40) % 3]},
                r"y has shape \(40, 3\) and values from 0.0 to 1.0: give each",
            ),
            (
                {"y": np.arange(40) % 3 - 1},
                "from -1 to 1: give each image one label, a whole number from 0 to 2",
            ),
            ({"y": np.arange(40) % 4}, "values from 0 to 3: give each image one label"),
            ({"y": np.full(40, 0.5)}, "values from 0.5 to 0.5: give"),
            ({"y": np.full(40, np.nan)}, "values from nan to nan: give"),
            ({"batch_size": 0}, "batch_size=0 must be a whole number"),
            ({"epochs": 1.5}, "epochs=1.5 must be a whole number"),
            ({"batch_size": 40}, "batch_size=40 makes one step of 40 examples: the rate needs two"),
            ({"peak": "high"}, "peak='high' must be a number above zero"),
        ],
    )
    def test_names_what_it_cannot_train_on(self, change, message):
        x, y = data(40, size=16)
        arguments = {"x": x, "y": y, "batch_size": 16, **change}
        with pytest.raises(ValueError, match=message):
            training.quick_fit(models.quicknet((16, 16, 1), 3), **arguments)


class TestOneCycle:
    @pytest.mark.parametrize(
        ("peak", "steps", "warmup"), [(0.01, 100, 0.3), (3.0, 7, 0.5), (1e-3, 1720, 0.1)]
    )
    def test_climbs_in_a_line_and_falls_in_a_half_cosine(self, peak, steps, warmup):
        rate, climb = training.one_cycle(peak, steps, warmup=warmup), round(warmup * steps)
        for step in range(0, steps + 1, max(1, steps // 50)):
            if step < climb:
                expected = peak / 25 + (peak - peak / 25) * step / climb
            else:
                expected = peak * math.cos(math.pi / 2 * (step - climb) / (steps - climb)) ** 2
            assert float(rate(step)) == pytest.approx(expected, rel=1e-4, abs=1e-6 * peak)

    def test_stays_at_zero_when_training_goes_on(self):
        assert float(training.one_cycle(0.02, 10)(25)) < 1e-8

    def test_a_saved_model_loads_without_this_package(self, tmp_path):
        compiled(models.lenet5(), training.one_cycle(0.01, 10)).save(tmp_path / "net.keras")
        restored = keras.saving.load_model(tmp_path / "net.keras").optimizer.learning_rate
        assert restored is not None
        config = keras.saving.load_model(tmp_path / "net.keras").optimizer.get_config()["learning_rate"]
        assert config["module"].startswith("keras")

    @pytest.mark.parametrize(
        ("peak", "steps", "warmup", "message"),
        [
            (0, 10, 0.3, "peak=0 must be a number above zero"),
            (float("nan"), 10, 0.3, "peak=nan must be a number above zero"),
            ("0.1", 10, 0.3, "peak='0.1' must be a number above zero"),
            (float("inf"), 10, 0.3, "peak=inf must be a number above zero"),
            (None, 10, 0.3, "peak=None must be a number above zero"),
            (0.1, float("inf"), 0.3, "steps=inf must be"),
            (0.1, 1, 0.3, "steps=1 must be"),
            (0.1, 10.5, 0.3, "steps=10.5 must be"),
            (0.1, 10, 0, "warmup=0 must leave"),
            (0.1, 10, 1, "warmup=1 must leave"),
            (0.1, 10, -0.5, "warmup=-0.5 must leave"),
            (0.1, 10, float("nan"), "warmup=nan must leave"),
            (0.1, 10, float("inf"), "warmup=inf must leave"),
            (0.1, 10, "a third", "warmup='a third' must leave"),
        ],
    )
    def test_names_what_makes_no_cycle(self, peak, steps, warmup, message):
        with pytest.raises(ValueError, match=message):
            training.one_cycle(peak, steps, warmup=warmup)


class TestTensorBoard:
    def test_writes_the_numbers_that_keras_reports_and_the_layers(self, tmp_path):
        kept = fit(small(), training.TensorBoard(str(tmp_path), histogram_freq=1))
        for run, prefix in (("train", ""), ("validation", "val_")):
            reader = EventAccumulator(str(tmp_path / run), {"tensors": 0}).Reload()
            assert not reader.Tags()["graph"] and "keras" not in reader.Tags()["tensors"]
            for name in ("loss", "accuracy"):
                events = reader.Tensors(f"epoch_{name}")
                assert [event.step for event in events] == [0, 1]
                written = [float(make_ndarray(event.tensor_proto)) for event in events]
                assert written == pytest.approx(kept[prefix + name])
        tags = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload().Tags()["tensors"]
        assert any("conv1" in tag and "histogram" in tag for tag in tags), tags
        layers = ["image", "conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]
        assert [name for name, _, _ in graphs.nodes(graphs.read_graph(tmp_path))] == layers
