"""The benchmarks run: each on a tiny input, writing a table, JSON and a figure. How fast anything is, is not tested."""

import json
import math

import numpy as np
import pytest

from benchmarks import (
    fit_waits,
    ladder,
    layer_speed,
    measure,
    numpy_training,
    start_up,
    time_to_accuracy,
    tiny_network,
)
from cnn_utils import keras, tf, training
from tools import notebooks
from tools.notebooks import FOLDER, read


@pytest.mark.parametrize(
    "part",
    [fit_waits, ladder, layer_speed, numpy_training, start_up, time_to_accuracy, tiny_network],
    ids=lambda part: part.__name__,
)
def test_each_part_runs_on_a_tiny_input(part, tmp_path, capsys, monkeypatch):
    few = {name: ladder.RUNGS[name] for name in list(ladder.RUNGS)[:3:2]}  # both networks, both rates
    monkeypatch.setattr(ladder, "RUNGS", few)
    monkeypatch.setattr(time_to_accuracy, "in_own_process", time_to_accuracy.train)
    monkeypatch.setattr(
        time_to_accuracy, "NAMES", {name: time_to_accuracy.NAMES[name] for name in ("keras", "quicknet")}
    )
    part.main(["--quick", "--results", str(tmp_path)])
    name = part.__name__.removeprefix("benchmarks.")
    results = json.loads((tmp_path / f"{name}.json").read_text())
    assert results["machine"]["cores"]
    assert (tmp_path / f"{name}.png").stat().st_size > 1000
    assert part.report(results) in capsys.readouterr().out


def test_a_run_is_a_process_of_its_own_and_its_failure_is_told():
    with pytest.raises(RuntimeError, match=r"nobody, seed 0 failed:[^$]*KeyError: 'nobody'"):
        time_to_accuracy.in_own_process("nobody", seed=0, quick=True)


def test_a_contender_trains_until_the_goal_or_its_last_epoch(monkeypatch):
    def climbing(x, y, x_test, watch, seed, epochs):
        watch.start()
        for right in (10, 30, 60):  # of the hundred digits
            answers = np.where(np.arange(100) < right, watch.labels, (watch.labels + 1) % 10)
            if watch.evaluate(lambda answers=answers: np.eye(10)[answers]):
                return

    monkeypatch.setattr(time_to_accuracy, "quicknet", climbing)
    for goal, accuracies in ((0.7, [0.1, 0.3, 0.6]), (0.3, [0.1, 0.3])):
        monkeypatch.setattr(time_to_accuracy, "GOAL", goal)
        run = time_to_accuracy.train("quicknet", seed=0, quick=True)
        assert run["accuracies"] == pytest.approx(accuracies) and sorted(run["times"]) == run["times"]
        assert run["seconds"] == (run["times"][-1] if goal == 0.3 else None)
    monkeypatch.setattr(time_to_accuracy, "GOAL", 0)  # the first look is enough: a real contender runs
    assert len(time_to_accuracy.train("lenet5", seed=0, quick=True)["accuracies"]) == 1


def test_summary_counts_seeds_and_compares_run_by_run():
    runs = {
        "keras": [{"seconds": seconds, "times": [], "accuracies": [0.99]} for seconds in (30.0, 40.0, 80.0)],
        "quicknet": [{"seconds": seconds, "times": [], "accuracies": [0.98]} for seconds in (3.0, 2.0, None)],
    }
    found = time_to_accuracy.summary(runs)
    assert (found["quicknet"]["reached"], found["quicknet"]["seeds"]) == (2, 3)
    assert found["quicknet"]["times faster than stock Keras"] == {"median": 15, "low": 10, "high": 20}
    assert found["quicknet"]["seconds"] == {"median": 3, "low": 2, "high": None}


def test_the_clock_stands_still_while_evaluating(monkeypatch):
    now = iter((0.0, 2.0, 100.0, 103.0, 200.0))
    monkeypatch.setattr(time_to_accuracy.time, "perf_counter", lambda: next(now))
    watch = time_to_accuracy.Stopwatch([1, 0])
    watch.start()
    for _ in range(2):
        assert watch.evaluate(lambda: np.eye(2)[[1, 0]])
    assert (watch.times, watch.accuracies) == ([2.0, 5.0], [1.0, 1.0])


def test_every_rung_of_the_ladder_changes_something():
    settings = dict(ladder.START)
    for name, change in list(ladder.RUNGS.items())[1:]:
        assert change and all(settings[key] != value for key, value in change.items()), name
        settings |= change


def test_the_ladder_ends_at_the_quick_recipe():
    settings = dict(ladder.START)
    for change in ladder.RUNGS.values():
        settings |= change
    model, x = keras.Sequential([keras.Input((1,)), keras.layers.Dense(10)]), np.zeros((128 * 60, 1))
    history = training.quick_fit(model, x, np.zeros(len(x), int))
    adam = model.optimizer
    assert settings["betas"] == (adam.beta_1, adam.beta_2)
    assert np.isclose(settings["peak"], adam._learning_rate.warmup_target)
    assert settings["smoothing"] == model.loss.label_smoothing
    assert settings["steps per call"] == model.steps_per_execution
    assert (settings["epochs"], settings["batch"]) == (
        history.params["epochs"],
        7680 // history.params["steps"],
    )
    assert settings["metrics"] is None and list(history.history) == ["loss"]


@pytest.mark.parametrize(
    ("rung", "change", "message"),
    [
        (
            1,
            {"seconds": {"median": 10, "low": 9, "high": 26}},
            "ranges overlap: the rate in one cycle.* 26 s, LeNet",
        ),
        (
            2,
            {"seconds": {"median": 4, "low": 3.3, "high": 5}},
            "ranges overlap: no metrics.*, the quick recipe",
        ),
        (1, {"reached": 2}, "the rate in one cycle, peak 0.005: 2 of 3 reached 99 %"),
        (0, {"seconds": {"median": 12, "low": 11, "high": 13}}, "the learning rate does not save the most"),
    ],
)
def test_sentences_that_the_measurement_does_not_bear_out_are_refused(rung, change, message):
    results = measured("ladder")
    name = list(results["rungs"])[rung]
    results["rungs"][name] |= {"seeds": 3, **change}
    for one in results["rungs"].values():
        one |= {"seeds": 3, "reached": one["reached"] if one is results["rungs"][name] else 3}
    with pytest.raises(ValueError, match=message):
        ladder.sentences(results)


def test_a_new_measurement_replaces_table_and_sentences_in_notebook_6_and_nothing_else(tmp_path, monkeypatch):
    path = next(FOLDER.glob("06_*.ipynb"))
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    (tmp_path / path.name).write_bytes(path.read_bytes())
    results = measured("ladder")
    results["rungs"][ladder.BFLOAT16]["seconds"] = {"median": 1, "low": 1, "high": 1.1}
    ladder.write_into_notebook(ladder.block(results))
    before, after = (read(folder / path.name).cells for folder in (FOLDER, tmp_path))
    [(old, new)] = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert new.source == old.source.replace(ladder.block(measured("ladder")), ladder.block(results))


def test_the_sample_is_refused(monkeypatch):
    monkeypatch.setenv("CNN_UTILS_SOURCE", "sample")
    with pytest.raises(SystemExit, match="CNN_UTILS_SOURCE=sample: the benchmark needs the full MNIST"):
        measure.full_mnist()


def test_contenders_take_turns_and_the_first_round_does_not_count():
    turns = []
    seconds = measure.interleaved({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=2)
    assert turns == ["a", "b"] * 3
    assert [len(many) for many in seconds.values()] == [2, 2]


def test_never_is_more_than_any_number():
    assert measure.spread([None, 1.0, 2.0]) == {"median": 2, "low": 1, "high": None}
    assert measure.spread([None, None, 1.0])["median"] is None
    assert measure.shown(measure.spread([None, 1.0, 2.0]), unit=" s") == "2.0 (1.0 to never) s"


def test_a_line_through_a_fixed_cost_and_a_slope_is_found():
    found = layer_speed.line([1, 2, 4, 8], [3 + 2 * batch for batch in (1, 2, 4, 8)])
    assert math.isclose(found["slope"], 2) and math.isclose(found["fixed"], 3)
    assert found["off by at most"] < 1e-9


def test_the_tiny_network_keeps_its_promise_on_size():
    assert tiny_network.build().count_params() < 8000


def test_moving_by_nothing_gives_the_same_image_and_by_one_pixel_a_shift(monkeypatch):
    image = np.random.default_rng(0).random((1, 28, 28, 1), dtype="float32")
    still = tiny_network.moved(tf.constant(image), turn=0, stretch=0, slant=0, shift=0)
    np.testing.assert_allclose(still, image, atol=1e-5)
    monkeypatch.setattr(tf.random, "uniform", lambda shape, low, high: tf.fill(shape, float(high)))
    shifted = tiny_network.moved(tf.constant(image), turn=0, stretch=0, slant=0, shift=1)
    np.testing.assert_allclose(shifted[:, :-1, :-1], image[:, 1:, 1:], atol=1e-5)


def measured(name):
    return json.loads((measure.RESULTS / f"{name}.json").read_text())


def test_the_tables_in_the_readme_and_in_notebook_6_are_what_was_measured():
    readme = (FOLDER.parent / "README.md").read_text()
    page = "\n".join(cell.source for path in FOLDER.glob("06_*.ipynb") for cell in read(path).cells)
    remedy = "measured anew: copy the table to the page, or `git checkout benchmarks/results`"
    assert time_to_accuracy.report(measured("time_to_accuracy")).strip() in readme, remedy
    assert ladder.block(measured("ladder")) in page, remedy
    short = measured("fit_waits")["trainings"]["300 digits, 40 epochs"]
    assert short["times longer, arrays"]["low"] > 1 < short["times longer, not built"]["median"], (
        "notebook 6 says so"
    )
    tiny = measured("tiny_network")
    assert (
        f"{tiny['parameters']:,}" in page and f"{tiny['accuracy']['median']:.2%}".replace("%", " %") in page
    )
