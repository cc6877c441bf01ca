"""What training cells share: the split, the learning rate, progress, records, and TensorBoard's logs."""

import math

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

import cnn_utils
from cnn_utils import datasets, graphs, keras, models, tf, training


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


class TestProgress:
    def test_prints_one_line_per_epoch_in_a_terminal(self, capsys):
        history = fit(tiny(), training.Progress())
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

    def test_shows_metrics_with_many_values_and_names_with_val_in_them(self, capsys):
        progress = training.Progress()
        progress.set_params({"epochs": 7, "steps": None})
        progress.on_train_begin()
        progress.on_epoch_begin(4)
        f1 = tf.constant([0.25, 1.0])
        progress.on_epoch_end(4, {"interval_error": 0.5, "f1": f1, "val_f1": f1.numpy(), "loss": 2})
        line = (
            "epoch 5/7 · loss 2.000 · interval_error 0.500 · f1 0.250 1.000 · validation f1 0.250 1.000 · 0 s"
        )
        assert capsys.readouterr().out == f"{line}\n"

    def test_a_watched_line_is_written_over_at_most_five_times_a_second(self, monkeypatch, capsys):
        clock = [100.0]
        monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
        monkeypatch.setattr(cnn_utils, "watched", lambda: True)
        progress = training.Progress()
        progress.set_params({"epochs": 2, "steps": 100})
        progress.on_train_begin()
        for epoch in range(2):
            progress.on_epoch_begin(epoch)
            for batch in range(100):
                clock[0] += 0.011
                progress.on_train_batch_end(batch, {"loss": 1.0})
            progress.on_epoch_end(epoch, {"loss": 0.5})
        first, second, rest = capsys.readouterr().out.split("\n")
        assert rest == ""
        for epoch, line in enumerate((first, second), start=1):
            *live, last = line.split("\r")
            assert last.rstrip() == f"epoch {epoch}/2 · loss 0.500 · 1 s"
            assert live[0] == f"epoch {epoch}/2 · batch 1/100 · loss 1.000 · 0 s"
            assert 4 <= len(live) <= 1.1 / 0.2 + 1
            assert sorted(map(len, [*live, last])) == [*map(len, [*live, last])]  # nothing shows behind
        clock[0] += 1
        progress.on_train_batch_end(109, {"loss": 1.0})  # ten steps at once, as Keras counts them
        assert "batch 100/100" in capsys.readouterr().out


def alone(model, x, y, sizes):
    """Loss and accuracy of parts of the data, each evaluated by itself."""
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return [model.evaluate(x[part], y[part], verbose=0, return_dict=True) for part in parts]


class TestStepHistory:
    def test_records_each_batch_as_evaluating_its_examples_alone_does(self):
        x, y = data(50)
        model, history = tiny(), training.StepHistory(x[:16], y[:16], every=2)
        model.compile(keras.optimizers.SGD(0.0), model.loss, metrics=["accuracy"])
        model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False, callbacks=[history])
        assert history.train["step"] == [1, 2, 3, 4, 5, 6, 7, 8]
        expected = alone(model, x, y, (16, 16, 16, 2))
        for name in ("loss", "accuracy"):
            values = [found[name] for found in expected]
            np.testing.assert_allclose(history.train[name], 2 * values, atol=1e-5)
            assert np.ptp(values) > 1e-3  # or the order would not matter
        assert history.validation["step"] == [2, 4, 6, 8]

    def test_several_steps_at_once_are_refused(self):
        x, y = data()
        model = tiny()
        model.compile("sgd", model.loss, steps_per_execution=3)
        with pytest.raises(ValueError, match="steps_per_execution=3 must be 1 .see compile.: StepHistory"):
            model.fit(x, y, batch_size=16, verbose=0, callbacks=[training.StepHistory(x, y)])

    def test_weighted_examples_count_as_keras_counts_them(self):
        x, y = data(32)
        weights = np.repeat([1.0, 0.0, 3.0, 0.0], [4, 12, 8, 8])
        model, history = tiny(), training.StepHistory(x, y)
        model.compile(keras.optimizers.SGD(0.0), model.loss, weighted_metrics=["accuracy"])
        model.fit(x, y, sample_weight=weights, shuffle=False, batch_size=16, verbose=0, callbacks=[history])
        parts = (slice(0, 16), slice(16, 32))
        values = [model.evaluate(x[p], y[p], sample_weight=weights[p], verbose=0)[1] for p in parts]
        np.testing.assert_allclose(history.train["accuracy"], values, atol=1e-6)

    def test_without_every_the_examples_are_evaluated_after_each_epoch(self):
        history = training.StepHistory(*data())
        kept = fit(tiny(), history)
        assert history.validation["step"] == [3, 6]
        for name in ("loss", "accuracy"):
            assert history.validation[name] == pytest.approx(kept[f"val_{name}"], rel=1e-5)

    def test_validation_every_few_batches_leaves_training_bit_for_bit_as_it_is(self):
        x, y = data(72)
        weights, kept, history = [], [], training.StepHistory(x[40:], y[40:], every=2)
        for callbacks in ([], [history]):
            keras.utils.set_random_seed(3)
            layers = keras.layers
            parts = [layers.Flatten(), layers.Dropout(0.3), layers.BatchNormalization(), layers.Dense(3)]
            model = compiled(keras.Sequential([keras.Input((12, 12, 1)), *parts]))
            seen = model.fit(x[:40], y[:40], batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
            weights.append(model.get_weights())
            kept.append(seen.history)
        for without, watched in zip(*weights, strict=True):
            np.testing.assert_array_equal(without, watched)
        assert kept[0] == kept[1]
        assert history.validation["step"] == [2, 4, 5, 6, 8, 10]
        last = model.evaluate(x[40:], y[40:], verbose=0, return_dict=True)
        for name in ("loss", "accuracy"):
            assert history.validation[name][-1] == pytest.approx(last[name], rel=1e-5)

    def test_metrics_that_are_no_means_are_recorded_for_validation_only(self):
        x, y = data()
        targets = keras.utils.to_categorical(y, 3)
        metrics = [keras.metrics.F1Score(), keras.metrics.AUC(name="auc"), "accuracy"]
        model, history = tiny(), training.StepHistory(x, targets, every=2)
        model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=metrics)
        model.fit(x, targets, batch_size=16, verbose=0, callbacks=[history, training.Progress()])
        assert set(history.train) == {"step", "loss", "accuracy"}
        assert set(history.curves("f1_score")) == {"validation"}
        found = model.evaluate(x, targets, verbose=0, return_dict=True)
        np.testing.assert_allclose(history.validation["f1_score"][-1], found["f1_score"], rtol=1e-5)

    def test_several_outputs_keep_their_names(self):
        x, y = data(32)
        image = keras.Input((12, 12, 1))
        flat = keras.layers.Flatten()(image)
        heads = {name: keras.layers.Dense(3, name=name)(flat) for name in ("a", "b")}
        model = keras.Model(image, heads)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            keras.optimizers.SGD(0.0), {"a": loss, "b": loss}, metrics={"a": ["accuracy"], "b": ["accuracy"]}
        )
        targets = {"a": y, "b": 2 - y}
        history = training.StepHistory(x, targets)
        model.fit(x, targets, batch_size=16, shuffle=False, verbose=0, callbacks=[history])
        second = {name: label[16:] for name, label in targets.items()}
        found = model.evaluate(x[16:], second, verbose=0, return_dict=True)
        assert {"a_loss", "b_accuracy"} < set(found) == set(history.train) - {"step"}
        for name, value in found.items():
            assert history.train[name][1] == pytest.approx(value, abs=1e-5)

    @pytest.mark.filterwarnings("ignore:.*shuffle=True", "ignore:Your input ran out of data")
    def test_data_of_unknown_length_are_counted(self):
        x, y = data(40)
        examples = tf.data.Dataset.from_generator(
            lambda: zip(x, y, strict=True),
            output_signature=(tf.TensorSpec((12, 12, 1)), tf.TensorSpec((), tf.int64)),
        ).batch(16)
        model, history = tiny(), training.StepHistory(x, y)
        model.fit(examples, epochs=3, initial_epoch=1, verbose=0, callbacks=[history])
        assert history.train["step"] == [1, 2, 3, 4, 5, 6]

    def test_what_was_seen_before_an_interrupt_stays_and_the_next_fit_starts_afresh(self):
        class Interrupt(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch == 1:
                    raise KeyboardInterrupt

        x, y = data()
        model, history = tiny(), training.StepHistory(x, y)
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=16, verbose=0, callbacks=[history, Interrupt()])
        assert history.curves("loss")["training"][0] == [1, 2]
        fit(model, history)
        assert history.train["step"] == [1, 2, 3, 4, 5, 6] and history.validation["step"] == [3, 6]

    def test_curves_are_running_means_and_validation_if_any(self):
        history = training.StepHistory([1], [0])
        history.train = {"step": [1, 2, 3, 4], "loss": [4.0, 2.0, 3.0, 7.0]}
        assert history.curves("loss", window=2) == {"training": ([1, 2, 3, 4], [4.0, 3.0, 2.5, 5.0])}
        history.validation = {"step": [4], "loss": [1.5]}
        assert history.curves("loss")["validation"] == ([4], [1.5])

    @pytest.mark.parametrize(
        ("act", "message"),
        [
            (lambda: training.StepHistory([1, 2], [0, 1], every=0), "every=0 must be a whole number"),
            (lambda: training.StepHistory([1, 2], [0]), r"y has shape \(1,\), x has \(2,\)"),
            (lambda: training.StepHistory([1, 2], None), r"y has shape \(\), x has \(2,\)"),
            (
                lambda: training.StepHistory([1], [0]).curves("loss"),
                r"name='loss' was not recorded: choose from \[\]",
            ),
            (lambda: training.StepHistory([1], [0]).curves("step"), "name='step' was not recorded"),
            (
                lambda: training.StepHistory([1], [0]).curves("loss", window=0),
                "window=0 must be a whole number",
            ),
        ],
    )
    def test_names_what_it_cannot_record_or_draw(self, act, message):
        with pytest.raises(ValueError, match=message):
            act()


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
