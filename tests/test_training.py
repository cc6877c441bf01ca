"""What training cells share: the split, the learning rate, progress, records, and TensorBoard's logs."""

import math

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import io, make_ndarray

from cnn_utils import datasets, graphs, keras, models, training

from .test_graphs import two_branches


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


def functional():
    x = keras.Input((12, 12, 1), name="image")
    return keras.Model(x, keras.layers.Dense(3, name="scores")(keras.layers.Flatten(name="flat")(x)))


def fit(model, callback, **options):
    """Two epochs of three batches, validated on the same 48 images; returns what Keras recorded."""
    x, y = data()
    history = model.fit(
        x, y, batch_size=16, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback], **options
    )
    return history.history


class TestQuickFit:
    def test_reads_most_sample_digits_after_one_pass(self):
        mnist = datasets.load("mnist", source="sample")
        keras.utils.set_random_seed(0)
        model = models.quicknet()
        training.quick_fit(model, mnist.x_train / np.float32(255), mnist.y_train)
        answers = model.predict(mnist.x_test / np.float32(255), verbose=0).argmax(axis=1)
        assert (answers == mnist.y_test).mean() > 0.9

    def test_the_rate_has_come_down_to_zero_after_the_last_step(self):
        x, y = data(40, size=16)
        model = models.quicknet((16, 16, 1), 3)
        training.quick_fit(model, x, y, epochs=2, batch_size=16)
        assert model.optimizer.iterations == 6  # 16, 16 and 8 images, twice
        assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)

    def test_labels_must_match(self):
        x, y = data(40, size=16)
        with pytest.raises(ValueError, match="y has 39 labels for the 40 examples"):
            training.quick_fit(models.quicknet((16, 16, 1), 3), x, y[:-1])


class TestSplit:
    def test_every_example_is_in_exactly_one_part_with_its_own_label(self):
        x = np.arange(50)
        (x_train, y_train), (x_val, y_val) = training.split(x, -x, 12)
        assert len(x_val) == 12
        assert sorted([*x_train, *x_val]) == list(range(50))
        assert (y_train == -x_train).all() and (y_val == -x_val).all()

    def test_shuffles_and_repeats_with_the_seed(self):
        x = np.arange(1000)
        (first, _), _ = training.split(x, x, 300)
        assert abs(first.mean() - x.mean()) < 30 and (first != np.sort(first)).any()
        assert (first == training.split(x, x, 300)[0][0]).all()
        assert (first != training.split(x, x, 300, seed=1)[0][0]).any()

    @pytest.mark.parametrize(
        ("lengths", "held_out", "message"),
        [
            ((5, 4), 1, "y has 4 labels for the 5 examples"),
            ((5, 5), 5, "held_out=5 leaves nothing"),
            ((5, 5), 0, "held_out=0 must be"),
            ((5, 5), 0.2, "held_out=0.2 must be"),
        ],
    )
    def test_names_what_cannot_be_split(self, lengths, held_out, message):
        with pytest.raises(ValueError, match=message):
            training.split(np.arange(lengths[0]), np.arange(lengths[1]), held_out)


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

    def test_starts_low_peaks_once_where_told_and_ends_at_zero(self):
        rates = [float(training.one_cycle(0.02, 200, warmup=0.4)(step)) for step in range(201)]
        assert rates[0] == pytest.approx(0.02 / 25)
        assert np.argmax(rates) == 80 and max(rates) == pytest.approx(0.02)
        assert (np.diff(rates[:81]) > 0).all() and (np.diff(rates[80:]) < 0).all()
        assert rates[-1] < 1e-8

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
            (0.1, 1, 0.3, "steps=1 must be"),
            (0.1, 10.5, 0.3, "steps=10.5 must be"),
            (0.1, 10, 0, "warmup=0 must leave"),
            (0.1, 10, 1, "warmup=1 must leave"),
            (0.1, 10, -0.5, "warmup=-0.5 must leave"),
        ],
    )
    def test_names_what_makes_no_cycle(self, peak, steps, warmup, message):
        with pytest.raises(ValueError, match=message):
            training.one_cycle(peak, steps, warmup=warmup)


class TestProgress:
    def test_prints_one_line_per_epoch_in_a_terminal(self, capsys):
        history = fit(small(), training.Progress())
        printed = capsys.readouterr()
        assert printed.err == ""
        lines = printed.out.splitlines()
        assert len(lines) == 2
        for epoch, line in enumerate(lines):
            log = {name: f"{values[epoch]:.3f}" for name, values in history.items()}
            assert line.startswith(
                f"epoch {epoch + 1}/2 · loss {log['loss']} · accuracy {log['accuracy']} · "
                f"validation loss {log['val_loss']} · validation accuracy {log['val_accuracy']} · "
            )
            assert line.endswith(" s")

    def test_updates_one_output_in_jupyter_at_most_five_times_a_second(self, monkeypatch, capsys):
        shown, clock = [], [100.0]

        class Display:
            def update(self, bundle, raw):
                assert raw and list(bundle) == ["text/plain"]
                shown.append(bundle["text/plain"])

        monkeypatch.setattr(training, "_display_handle", Display)
        monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
        progress = training.Progress()
        progress.set_params({"epochs": 2, "steps": 100})
        progress.on_train_begin()
        for epoch in range(2):
            progress.on_epoch_begin(epoch)
            for batch in range(100):
                clock[0] += 0.011
                progress.on_train_batch_end(batch, {"loss": 1.0})
            progress.on_epoch_end(epoch, {"loss": 0.5})
        assert capsys.readouterr().out == ""
        assert shown[-1].splitlines() == ["epoch 1/2 · loss 0.500 · 1 s", "epoch 2/2 · loss 0.500 · 1 s"]
        assert 8 <= len(shown) <= 2 * (1.1 / 0.2 + 2)
        assert all(text.count("batch") <= 1 for text in shown)
        assert shown[0] == "epoch 1/2 · batch 1/100 · loss 1.000 · 0 s"


class TestStepHistory:
    def test_records_each_batch_as_evaluating_it_alone_does(self):
        model, history = small(), training.StepHistory()
        model.optimizer.learning_rate = 0.0
        fit(model, history, shuffle=False)
        x, y = data()
        alone = [
            model.evaluate(x[at : at + 16], y[at : at + 16], verbose=0, return_dict=True)
            for at in (0, 16, 32)
        ]
        assert history.train["step"] == [1, 2, 3, 4, 5, 6]
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(history.train[name], 2 * [log[name] for log in alone], atol=1e-4)
            assert np.ptp([log[name] for log in alone]) > 1e-3  # or the order would not matter

    def test_records_validation_at_the_end_of_each_epoch(self):
        history = training.StepHistory()
        kept = fit(small(), history)
        assert history.validation["step"] == [3, 6]
        assert history.validation["loss"] == kept["val_loss"]
        assert history.validation["accuracy"] == kept["val_accuracy"]

    def test_curves_are_running_means_and_validation_if_any(self):
        history = training.StepHistory()
        history.on_train_begin()
        history.train = {"step": [1, 2, 3, 4], "loss": [4.0, 2.0, 3.0, 7.0]}
        assert history.curves("loss", window=2) == {"training": ([1, 2, 3, 4], [4.0, 3.0, 2.5, 5.0])}
        history.validation = {"step": [4], "loss": [1.5]}
        assert history.curves("loss")["validation"] == ([4], [1.5])
        with pytest.raises(ValueError, match="name='accuracy' was not recorded: choose from"):
            history.curves("accuracy")

    def test_starts_afresh_with_each_fit(self):
        model, history = small(), training.StepHistory()
        for _ in range(2):
            fit(model, history)
        assert history.train["step"] == [1, 2, 3, 4, 5, 6] and history.validation["step"] == [3, 6]


class TestTensorBoard:
    @pytest.mark.parametrize(
        ("build", "layers"),
        [
            (small, ["image", "conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]),
            (functional, ["image", "flat", "scores"]),
            (two_branches, None),
        ],
    )
    def test_writes_scalars_and_a_graph_of_layers(self, build, layers, tmp_path):
        model = compiled(build())
        x, y = data(16, model.inputs[0].shape[1])
        x = [x, x] if len(model.inputs) == 2 else x
        callback = training.TensorBoard(tmp_path)
        model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback])
        for run in ("train", "validation"):
            reader = EventAccumulator(str(tmp_path / run), {"tensors": 0}).Reload()
            for tag in ("epoch_loss", "epoch_accuracy"):
                assert [event.step for event in reader.Tensors(tag)] == [0, 1]
            assert not reader.Tags()["graph"] and "keras" not in reader.Tags()["tensors"]
        shown = [name for name, _, _ in graphs.nodes(graphs.read_graph(tmp_path))]
        if layers:
            assert shown == layers
        else:
            assert {"left", "right", "shared", "shared_2", "joined", "scores"} < set(shown)

    def test_writes_the_numbers_that_keras_reports(self, tmp_path):
        kept = fit(small(), training.TensorBoard(str(tmp_path), histogram_freq=1))
        for run, prefix in (("train", ""), ("validation", "val_")):
            reader = EventAccumulator(str(tmp_path / run), {"tensors": 0}).Reload()
            for name in ("loss", "accuracy"):
                written = [
                    float(make_ndarray(event.tensor_proto)) for event in reader.Tensors(f"epoch_{name}")
                ]
                assert written == pytest.approx(kept[prefix + name])
        tags = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload().Tags()["tensors"]
        assert any("conv1" in tag and "histogram" in tag for tag in tags), tags

    def test_writes_every_image_as_it_is(self, tmp_path):
        pictures = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), dtype="uint8")
        fit(small(), training.TensorBoard(tmp_path, images=pictures))
        event = EventAccumulator(str(tmp_path / "images"), {"tensors": 0}).Reload().Tensors("images")[0]
        stored = make_ndarray(event.tensor_proto)[2:]  # after width and height
        assert len(stored) == 5
        for png, picture in zip(stored, pictures, strict=True):
            np.testing.assert_array_equal(io.decode_png(png), picture)

    def test_names_what_it_cannot_show(self, tmp_path):
        with pytest.raises(ValueError, match=r"images has shape \(28, 28\): give \(batch, "):
            training.TensorBoard(tmp_path, images=np.zeros((28, 28)))
        assert list(tmp_path.iterdir()) == []
