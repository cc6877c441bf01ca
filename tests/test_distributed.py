"""Workers that train together end with the weights of one, die with a clear line, and go on where they were."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from cnn_utils import datasets, distributed, keras, models, tf
from cnn_utils.distributed import workers

QUICK = ["-m", "cnn_utils.distributed", "--batch", 500, "--save-every", 2, "--timeout", 60]


def lenet():
    model = models.lenet5()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss)
    return model


def weights(folder):
    """The values in the last checkpoint, by name."""
    saved = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(folder)))
    names = [name for name in saved.get_variable_to_shape_map() if name.startswith(("model", "optimizer"))]
    return {name: saved.get_tensor(name) for name in names if saved.get_tensor(name).dtype != object}


def run(folder, count=2, kill_at=None):
    """The lines of workers that train one epoch; worker 1 is killed after the chief's report of a step."""
    told = []
    with distributed.local_workers(count, [*QUICK, "--folder", folder]) as processes:
        for index, line in distributed.lines(processes):
            told.append((index, line))
            if kill_at and line and line.startswith(f"step {kill_at} "):
                processes[1].kill()
    assert all(process.returncode is not None for process in processes)
    return told


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, run(folder)


class TestShares:
    def test_every_row_is_in_one_share_of_each_epoch(self):
        steps = list(distributed.shares(10, 4, 3, epochs=2, seed=5))
        assert [[len(part) for part in step] for step in steps] == [
            [2, 1, 1],
            [2, 1, 1],
        ] * 2  # 2 rows are too few
        assert [len({*np.concatenate([*first, *second])}) for first, second in (steps[:2], steps[2:])] == [
            8,
            8,
        ]

    def test_all_workers_and_restarts_see_the_same_order(self):
        one, other = (list(distributed.shares(50, 8, 1, epochs=3)) for _ in range(2))
        many = list(distributed.shares(50, 8, 2, epochs=3))
        assert all(
            np.array_equal(*pair)
            for pair in zip(map(np.concatenate, one), map(np.concatenate, other), strict=True)
        )
        assert all(
            np.array_equal(*pair)
            for pair in zip(map(np.concatenate, one), map(np.concatenate, many), strict=True)
        )
        assert not np.array_equal(one[0][0], one[7][0])  # another order in each epoch

    @pytest.mark.parametrize("batch", [1, 11])
    def test_refuses_a_batch_without_a_row_for_each_replica_or_more_rows_than_there_are(self, batch):
        with pytest.raises(ValueError, match=f"^batch={batch} must be from 2, .* to 10, all rows"):
            next(distributed.shares(10, batch, 2))


class TestTrain:
    def test_two_workers_end_with_the_weights_of_one(self, undisturbed, tmp_path):
        data = datasets.load("mnist", "sample")
        x, y = data.x_train / np.float32(255), data.y_train.astype("int64")
        seen = []
        model = distributed.train(
            lenet, x, y, batch=500, folder=str(tmp_path), report=lambda *told: seen.append(told)
        )
        assert [(number, count) for number, _, count in seen] == [(number, 500) for number in range(1, 9)]
        one, two = weights(tmp_path), weights(undisturbed[0])
        assert one.keys() == two.keys() and len(one) > 2 * len(model.weights)  # with the optimizer's
        for name, value in one.items():  # biases begin at 0: half a gradient would leave them half as large
            apart = np.abs(two[name] - value).max() / np.abs(value).max()
            assert apart < 0.03, (
                f"{name}: rounding, and ReLUs that it turns, explain a hundredth, not {apart:.3f}"
            )

    def test_an_uneven_share_counts_as_much_as_its_rows(self):
        x, y = np.random.default_rng(0).random((7, 28, 28, 1), "float32"), np.arange(7)
        model = distributed.train(lenet, x, y, batch=4)  # batches of 4 and 3
        keras.utils.set_random_seed(0)
        alone = lenet()
        for step in distributed.shares(7, 4, 1):
            alone.train_on_batch(x[step[0]], y[step[0]])
        for found, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    def test_only_the_chief_keeps_what_is_saved(self, monkeypatch, tmp_path):
        """All save at the same time; of the others nothing is left, even if they are killed before they end."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        places = [tmp_path / "temporary", tmp_path / "chief", tmp_path / "worker"]
        for place in places:
            place.mkdir()
        for chief in (True, False):
            strategy = SimpleNamespace(extended=SimpleNamespace(should_checkpoint=chief))
            folder = places[1 if chief else 2]
            save = distributed._checkpoints(lenet(), str(folder), strategy)
            save(7)
        assert [sorted(file.name for file in place.iterdir()) for place in places] == [
            [],
            ["checkpoint", "step-7.data-00000-of-00001", "step-7.index"],
            [],
        ]

    def test_refuses_the_checkpoint_of_another_network(self, undisturbed):
        def other():
            model = keras.Sequential(
                [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
            )
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

        folder = str(undisturbed[0])
        with pytest.raises(
            ValueError, match="^folder='.*step-8 is of another network: choose another folder"
        ):
            distributed.train(
                other, np.zeros((4, 28, 28, 1), "float32"), np.zeros(4, int), batch=2, folder=folder
            )


class TestCommand:
    def test_the_workers_train_and_the_chief_reports(self, undisturbed):
        folder, told = undisturbed
        steps = [line for index, line in told if line and line.startswith("step")]
        assert [line.split(" · ")[0] for line in steps] == ["step 2", "step 4", "step 6", "step 8"]
        assert all(line.endswith("images/s") for line in steps) and list((folder / "logs").iterdir())
        ends = {line for _, line in told if line and line.startswith("trained")}
        assert len(ends) == 1 and "of the test images are read rightly" in ends.pop()

    def test_a_killed_run_is_reported_and_resumed_to_the_same_weights(self, undisturbed, tmp_path):
        killed = run(tmp_path, kill_at=4)
        assert any(index == 0 and line and line.startswith("A worker is gone: ") for index, line in killed), (
            killed
        )
        assert not any(line and line.startswith("trained") for _, line in killed)
        resumed = run(tmp_path)
        assert not any(line and line.startswith("step 2 ") for _, line in resumed)
        expected = weights(undisturbed[0])
        for name, value in weights(tmp_path).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)

    def test_a_worker_that_waits_in_vain_says_for_whom(self):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            absent = f"127.0.0.1:{held.getsockname()[1]}"  # nobody listens there
            with contextlib.ExitStack() as stack:
                stack.enter_context(free := socket.socket()).bind(("127.0.0.1", 0))
                own = f"127.0.0.1:{free.getsockname()[1]}"
            config = {"cluster": {"worker": [own, absent]}, "task": {"type": "worker", "index": 0}}
            done = command("--timeout", 1, TF_CONFIG=json.dumps(config))
        assert done.stdout.strip().endswith(f"TimeoutError: waiting for {own} and {absent} for 1 s")
        assert done.returncode

    @pytest.mark.parametrize("arguments", [("--batch", 0), ("--rate", "-1"), ("--workers", "two")])
    def test_wrong_arguments_are_named(self, arguments):
        done = command(*arguments)
        assert done.returncode == 2 and f"argument {arguments[0]}" in done.stderr

    def test_a_wrong_cluster_ends_it_with_the_reason(self):
        done = command(TF_CONFIG="{}")
        assert done.returncode == 1 and done.stdout.startswith(
            "ValueError: TF_CONFIG='{}' must be JSON with a cluster"
        )


def command(*arguments, **environment):
    call = [sys.executable, "-m", "cnn_utils.distributed", *map(str, arguments)]
    return subprocess.run(call, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def config(jobs, kind="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


class TestCluster:
    def test_the_chief_comes_first(self):
        jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
        assert workers.cluster(config(jobs, "worker", 1)) == (["a:1", "b:1", "c:1"], 2)
        assert workers.cluster(config(jobs, "chief")) == (["a:1", "b:1", "c:1"], 0)

    @pytest.mark.parametrize(
        "text, words",
        [
            ("not JSON", "must be JSON"),
            ("[]", "must be JSON"),
            ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
            (config({"worker": ["a:1"], "ps": ["b:1"]}), "has worker, ps: it may have a chief and workers"),
            (config({"worker": ["a:1"]}, index=1), "worker 1, is not in the cluster"),
            (config({"worker": ["a:1"]}, "chief"), "chief 0, is not in the cluster"),
            (config({"worker": ["a", "b:1"]}), "each as host:port"),
            (config({"worker": ["a:1", "a:1"]}), "must be different addresses"),
        ],
    )
    def test_says_what_is_wrong(self, text, words):
        with pytest.raises(ValueError, match=f"^TF_CONFIG.*{words}"):
            workers.cluster(text)

    def test_reads_slurm(self, monkeypatch):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        step = {"STEP_NUM_TASKS": "3", "STEP_NODELIST": "localhost,node[2-3]", "STEP_TASKS_PER_NODE": "1(x3)"}
        for name, value in {"PROCID": "0", **step}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        monkeypatch.setattr(os, "environ", os.environ.copy())
        assert workers.this_worker() == (["localhost:8888", "node2:8888", "node3:8888"], 0)

    def test_names_a_port_that_is_taken(self, monkeypatch):
        with socket.socket() as other:
            other.bind(("", 0))
            other.listen()
            address = f"127.0.0.1:{other.getsockname()[1]}"
            monkeypatch.setenv("TF_CONFIG", config({"worker": [address]}))
            with pytest.raises(ValueError, match=f"gives this worker {address}, whose port cannot be had"):
                workers.this_worker()


class TestWatched:
    SCRIPT = (
        "import time; from cnn_utils.distributed import workers; tell = workers.watched(1); tell('asleep'); "
    )

    def test_ends_a_process_that_hangs_and_leaves_one_that_tells_what_it_does(self):
        tells = "[(time.sleep(0.3), tell('awake')) for _ in range(5)]; print('done')"
        both = [
            subprocess.Popen([sys.executable, "-c", self.SCRIPT + rest], stdout=subprocess.PIPE, text=True)
            for rest in ("time.sleep(60)", tells)
        ]
        hung, told = [(process.communicate()[0], process.returncode) for process in both]
        assert hung == ("TimeoutError: asleep for 1 s\n", -signal.SIGKILL)
        assert told == ("done\n", 0)

    def test_ends_with_the_process_that_started_it(self):
        script = self.SCRIPT.replace("(1)", "(50)") + "print('ready', flush=True); time.sleep(60)"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(
            [sys.executable, "-c", script], env=os.environ | {workers.PARENT: "1"}, **pipes
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            process.stdin.close()  # what the end of the other process does
            began = time.monotonic()
            assert process.wait(timeout=20) == -signal.SIGKILL and time.monotonic() - began < 20
