"""Loading data: where it comes from, what is said, and what happens when something is wrong.

No test leaves this machine: the download host is on 127.0.0.1, and the full sets are small stand-ins.
"""

import contextlib
import gzip
import hashlib
import importlib.util
import io
import re
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import cnn_utils
from cnn_utils import datasets
from cnn_utils.datasets import download
from cnn_utils.datasets.catalogue import SETS

SAMPLES = Path(cnn_utils.__file__).with_name("samples")
FALLEN_BACK = f"(packaged with the course; not in Keras' cache, no download from {download.HOST})"
FASHION = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture(autouse=True)
def sealed(monkeypatch, tmp_path):
    """An empty cache of our own, no settings from outside, and a download host that refuses connections."""
    for variable in ("CNN_UTILS_SOURCE", "CNN_UTILS_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "ORIGIN", f"http://127.0.0.1:{closed_port()}/")


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stand_in(seed):
    """Random arrays as in a full set, only fewer."""
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", 30), ("test", 20)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"y_{part}"] = random.integers(0, 10, count, np.uint8)
    return arrays


def npz(arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def expecting(file, arrays):
    contents = b"".join(arrays[name].tobytes() for name in file.arrays)
    return replace(file, sha256=hashlib.sha256(contents).hexdigest())


@pytest.fixture
def full(monkeypatch):
    """Small stand-ins as the full sets: {"mnist": arrays, "fashion_mnist": arrays}."""
    arrays = {"mnist": stand_in(1), "fashion_mnist": stand_in(2)}
    for name in arrays:
        files = tuple(expecting(file, arrays[name]) for file in SETS[name].full)
        monkeypatch.setitem(SETS, name, replace(SETS[name], full=files))
    return arrays


def contents(full):
    """The files of the stand-ins, as Keras and the data folder name them."""
    files = {"mnist.npz": npz(full["mnist"])}
    for stem, array in zip(FASHION, full["fashion_mnist"].values(), strict=True):
        files[f"fashion-mnist/{stem}-ubyte.gz"] = idx(array)
    return files


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def host(monkeypatch):
    """A download host. ``host.files``: what it serves; ``host.requests``: what was asked of it.

    ``host.answer(handler, content)`` is how it answers; a test may put another way in its place.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests.append(self.path)
            with contextlib.suppress(OSError):  # whoever asked may have gone
                server.answer(self, server.files.get(self.path))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests, server.answer = {}, [], answer
    server.ended = threading.Event()  # for answers that would go on, though none for more than 6 seconds
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setattr(download, "ORIGIN", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def answer(handler, content, *, size=None):
    """As a host should, unless it claims another ``size``."""
    content, found = content or b"", content is not None
    handler.send_response(200 if found else 404)
    handler.send_header("Content-Length", str(len(content) if size is None else size))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def serving(host, full):
    """The download host, with both stand-ins. As Keras' does, it has all files in one folder."""
    host.files = {f"/{name.rsplit('/')[-1]}": content for name, content in contents(full).items()}
    return host


def load_in_time(name="mnist"):
    """Load where a limit could fail: a call that hangs is a failure after seconds, not a test without end."""
    found = []
    thread = threading.Thread(target=lambda: found.append(datasets.load(name)), daemon=True)
    thread.start()
    thread.join(5)
    assert found, "not loaded after 5 seconds"
    return found[0]


def assert_holds(dataset, arrays):
    for key, array in arrays.items():
        np.testing.assert_array_equal(getattr(dataset, key).reshape(array.shape), array)


# The sample -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("mnist", "bbe2f0f7ba51aaf766c97e62b2316a027e91502a842c8abdbe45fde632c8f756"),
        ("fashion_mnist", "b9b966b7b06a2abdfa8729be3b76403046c762ba8ad1e0e92517d9a1e35a7276"),
    ],
)
def test_packaged_sample_is_unchanged_balanced_and_shaped_for_keras(name, sha256):
    assert hashlib.sha256((SAMPLES / f"{name}_5k.npz").read_bytes()).hexdigest() == sha256
    dataset = datasets.load(name, source="sample")
    assert (dataset.name, dataset.source) == (name, "sample")
    assert dataset.x_train.shape == (4000, 28, 28, 1)
    assert dataset.x_test.shape == (1000, 28, 28, 1)
    assert {a.dtype for a in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)} == {
        np.dtype("uint8")
    }
    assert np.bincount(dataset.y_train).tolist() == [400] * 10
    assert np.bincount(dataset.y_test).tolist() == [100] * 10
    assert len(dataset.class_names) == 10
    with np.load(SAMPLES / f"{name}_5k.npz") as file:
        assert_holds(dataset, file)


def test_italys_power_demand_is_the_published_data_whatever_is_asked_for(monkeypatch, capsys):
    digest = hashlib.sha256((SAMPLES / "italy_power_demand.npz").read_bytes()).hexdigest()
    assert digest == "52eedc28df24179111a4a3987f18232b335eb200a2e14e44bdb4dd28d746a274"
    monkeypatch.setenv("CNN_UTILS_DATA", "/nowhere")
    for source in ("auto", "full", "sample"):
        dataset = datasets.load("italy_power_demand", source=source)
        said = "full, 67 training and 1,029 test days (packaged with the course)\n"
        assert capsys.readouterr().out == f"Italy's power demand: {said}"
    assert repr(dataset) == "<Dataset italy_power_demand, full: 67 training and 1,029 test days>"
    assert (dataset.x_train.shape, dataset.x_test.shape) == ((67, 24, 1), (1029, 24, 1))
    assert dataset.x_train.dtype == np.float32 and dataset.y_train.dtype == np.uint8
    assert dataset.class_names == ("October to March", "April to September")
    with np.load(SAMPLES / "italy_power_demand.npz") as file:
        assert_holds(dataset, file)
    days = np.concatenate([dataset.x_train, dataset.x_test])
    np.testing.assert_allclose(days.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(days.std(axis=1, ddof=1), 1, atol=1e-6)
    distances = ((dataset.x_test[:, None] - dataset.x_train) ** 2).sum(axis=(2, 3))
    errors = dataset.y_train[distances.argmin(axis=1)] != dataset.y_test
    assert round(100 * errors.mean(), 1) == 4.5  # as published for the nearest neighbour


def test_class_names_are_those_of_the_data_sets():
    mnist, fashion = (datasets.load(name, source="sample").class_names for name in ("mnist", "fashion_mnist"))
    assert [int(name) for name in mnist] == list(range(10))
    keras = Path(importlib.util.find_spec("keras").origin).parent
    table = (keras / "src" / "datasets" / "fashion_mnist.py").read_text()
    rows = re.findall(r"\|\s+(\d)\s+\| (.+?)\s+\|", table)
    assert rows == [(str(label), name) for label, name in enumerate(fashion)]


def test_changing_arrays_in_place_does_not_reach_the_next_call(monkeypatch, tmp_path, full):
    monkeypatch.setenv("CNN_UTILS_DATA", str(write(tmp_path, contents(full))))
    for name, source in (("mnist", "sample"), ("mnist", "full"), ("fashion_mnist", "full")):
        first, second = datasets.load(name, source), datasets.load(name, source)
        original = first.x_train[0].copy()
        first.x_train[0] = original ^ 255
        first.y_test[:] = 0
        np.testing.assert_array_equal(second.x_train[0], original)
        assert second.y_test.any() and (datasets.load(name, source).x_train[0] == original).all()


def test_dataset_is_frozen_and_its_repr_is_one_stable_line():
    dataset = datasets.load("mnist", source="sample")
    assert repr(dataset) == "<Dataset mnist, sample: 4,000 training and 1,000 test images>"
    with pytest.raises(FrozenInstanceError):
        dataset.x_train = None


def test_loading_the_sample_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys; from cnn_utils import datasets; datasets.load('mnist', source='sample');"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_damaged_sample_is_an_error_that_says_how_to_restore_it(monkeypatch):
    sample = replace(SETS["mnist"].sample, sha256="0" * 64)
    monkeypatch.setitem(SETS, "mnist", replace(SETS["mnist"], sample=sample))
    with pytest.raises(ValueError, match=r"mnist_5k\.npz is damaged: found .*expected 0{64}\. Restore it"):
        datasets.load("mnist", source="sample")


# Which source -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnits", "MNIST", None, ["mnist"]])
def test_unknown_name_is_an_error_that_lists_the_names(name):
    with pytest.raises(ValueError, match=r"name=.* is not a data set: use one of 'mnist', 'fashion_mnist'"):
        datasets.load(name)


def test_unknown_source_is_an_error_that_lists_the_sources(monkeypatch):
    for source in ("ful", None):
        with pytest.raises(ValueError, match=r'source=.* is not a source: use "auto", "full" or "sample"'):
            datasets.load("mnist", source=source)
    monkeypatch.setenv("CNN_UTILS_SOURCE", "samples")
    with pytest.raises(ValueError, match=r'CNN_UTILS_SOURCE=samples is not a source: use "auto"'):
        datasets.load("mnist")


def test_environment_overrides_auto_and_nothing_else(monkeypatch, full, cache):
    write(cache, contents(full))
    assert datasets.load("mnist").source == "full"
    monkeypatch.setenv("CNN_UTILS_SOURCE", "sample")
    assert datasets.load("mnist").source == "sample"
    assert datasets.load("mnist", source="full").source == "full"
    monkeypatch.setenv("CNN_UTILS_SOURCE", "full")
    assert datasets.load("mnist").source == "full"
    assert datasets.load("mnist", source="sample").source == "sample"
    monkeypatch.setenv("CNN_UTILS_SOURCE", "")
    assert datasets.load("mnist").source == "full"


def test_the_environment_s_word_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_UTILS_SOURCE", "full")
    with pytest.raises(FileNotFoundError, match="CNN_UTILS_SOURCE=full: the full MNIST could not be had"):
        datasets.load("mnist")  # no settling for the sample
    monkeypatch.setenv("CNN_UTILS_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CNN_UTILS_SOURCE", "sample")
    assert datasets.load("mnist").source == "sample"  # no look into the folder


# The data folder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_data_folder_comes_before_the_cache_and_the_network(
    monkeypatch, tmp_path, full, serving, capsys, name
):
    monkeypatch.setenv("CNN_UTILS_DATA", str(write(tmp_path / "data", contents(full))))
    dataset = datasets.load(name)
    assert dataset.source == "full"
    assert_holds(dataset, full[name])
    said = f"{SETS[name].title}: full, 30 training and 20 test images (folder CNN_UTILS_DATA)\n"
    assert capsys.readouterr().out == said
    assert serving.requests == []


def test_a_repacked_file_with_the_same_arrays_is_accepted(monkeypatch, tmp_path, full):
    file = io.BytesIO()
    np.savez(file, **dict(reversed(full["mnist"].items())))  # another order, no compression
    monkeypatch.setenv("CNN_UTILS_DATA", str(write(tmp_path, {"mnist.npz": file.getvalue()})))
    assert_holds(datasets.load("mnist"), full["mnist"])


@pytest.mark.parametrize("missing", ["mnist.npz", "fashion-mnist/t10k-labels-idx1-ubyte.gz"])
def test_missing_file_in_the_data_folder_is_an_error_and_no_fall_through(
    monkeypatch, tmp_path, full, serving, missing
):
    folder = write(tmp_path / "data", contents(full))
    (folder / missing).unlink()
    monkeypatch.setenv("CNN_UTILS_DATA", str(folder))
    name = "mnist" if missing == "mnist.npz" else "fashion_mnist"
    with pytest.raises(
        FileNotFoundError,
        match=rf"CNN_UTILS_DATA: .*{missing} cannot be read: No such .*unset CNN_UTILS_DATA",
    ):
        datasets.load(name)
    assert serving.requests == []


DAMAGES = {  # what becomes of the file
    "empty": lambda whole, arrays: b"",
    "truncated": lambda whole, arrays: whole[: len(whole) // 2],
    "a web page": lambda whole, arrays: b"<html>Please log in</html>",
    "missing array": lambda whole, arrays: npz({name: arrays[name] for name in ("x_train", "y_train")}),
    "wrong type": lambda whole, arrays: npz({**arrays, "y_train": arrays["y_train"].astype("int64")}),
    "other pixels": lambda whole, arrays: npz({**arrays, "x_test": arrays["x_test"] ^ 1}),
    "pickle": lambda whole, arrays: npz({**arrays, "y_test": arrays["y_test"].astype(object)}),
}


def damaged(full, how):
    return DAMAGES[how](npz(full["mnist"]), full["mnist"])


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_file_is_an_error_with_the_file_what_was_found_and_what_to_do(
    monkeypatch, tmp_path, full, how
):
    monkeypatch.setenv("CNN_UTILS_DATA", str(write(tmp_path, {"mnist.npz": damaged(full, how)})))
    with pytest.raises(ValueError) as error:
        datasets.load("mnist")
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'mnist.npz'} is damaged: found ")
    assert ("bytes that do not unpack" in message) == (how not in ("wrong type", "other pixels"))
    assert message.endswith(f"{SETS['mnist'].full[0].sha256}. Copy it there again, or unset CNN_UTILS_DATA")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (idx(np.zeros((30, 28, 28), np.uint8))[:-20], "bytes that do not unpack"),
        (b"not gzip", "found 8 bytes that do not unpack"),
        (gzip.compress(bytes(20_000_000)), "bytes that do not unpack"),
        (idx(np.zeros((30, 28, 28), np.uint8)), "expected [0-9a-f]{64}"),
    ],
    ids=["cut off", "not gzip", "bytes without end", "other images"],
)
def test_damaged_idx_file_is_an_error_that_names_it(monkeypatch, tmp_path, full, content, found):
    monkeypatch.setattr(download, "LARGEST", 1_000_000)
    files = {**contents(full), "fashion-mnist/train-images-idx3-ubyte.gz": content}
    monkeypatch.setenv("CNN_UTILS_DATA", str(write(tmp_path, files)))
    with pytest.raises(ValueError, match=rf"train-images-idx3-ubyte\.gz is damaged: .*{found}"):
        datasets.load("fashion_mnist")


# Keras' cache and the download ------------------------------------------------------------------------------


def test_addresses_and_cache_are_those_of_keras():
    folder = Path(importlib.util.find_spec("keras").origin).parent / "src" / "datasets"
    mnist, fashion = (folder / "mnist.py").read_text(), (folder / "fashion_mnist.py").read_text()
    origin = f"https://{download.HOST}/tensorflow/tf-keras-datasets/"
    assert origin in mnist and 'f"{origin_folder}mnist.npz"' in mnist
    assert origin in fashion and "origin=base + fname" in fashion
    assert 'os.path.join("datasets", "fashion-mnist")' in fashion
    assert [file.path for file in SETS["mnist"].full] == ["mnist.npz"]
    names = [file.path for file in SETS["fashion_mnist"].full]
    assert names == [f"fashion-mnist/{stem}-ubyte.gz" for stem in FASHION]
    assert all(f'"{stem}-ubyte.gz"' in fashion for stem in FASHION)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_download_is_kept_in_the_cache_whole_and_asked_for_once(full, cache, serving, capsys, name):
    assert_holds(datasets.load(name), full[name])
    *announced, said = capsys.readouterr().out.splitlines()
    files = [file.path.rsplit("/")[-1] for file in SETS[name].full]
    assert announced == [f"Downloading {file}, once" for file in files]
    assert said.endswith(": full, 30 training and 20 test images (downloaded into Keras' cache)")
    count = len(serving.requests)
    assert_holds(datasets.load(name), full[name])
    assert (
        capsys.readouterr().out
        == f"{SETS[name].title}: full, 30 training and 20 test images (Keras' cache)\n"
    )
    assert len(serving.requests) == count == len(files)
    kept = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert kept == {file.path for file in SETS[name].full}
    for path in kept:
        assert (cache / path).read_bytes() == serving.files[f"/{path.rsplit('/')[-1]}"]


def test_cache_is_under_home_when_keras_home_is_not_set(monkeypatch, tmp_path, full):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".keras" / "datasets", contents(full))
    assert_holds(datasets.load("mnist"), full["mnist"])


def test_without_a_home_folder_there_is_the_sample(monkeypatch, serving):
    monkeypatch.setenv("KERAS_HOME", "~nobody-of-this-name/keras")
    assert datasets.load("mnist").source == "sample"
    assert serving.requests == []


def test_only_what_the_cache_lacks_is_downloaded(full, cache, serving):
    write(cache, contents(full))
    (cache / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert_holds(datasets.load("fashion_mnist"), full["fashion_mnist"])
    assert serving.requests == ["/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("how", ["truncated", "other pixels"])
def test_damaged_cache_is_replaced_by_a_download(full, cache, serving, how):
    write(cache, {"mnist.npz": damaged(full, how)})
    assert_holds(datasets.load("mnist"), full["mnist"])
    assert (cache / "mnist.npz").read_bytes() == serving.files["/mnist.npz"]


@pytest.mark.parametrize("obstacle", ["a file in the way", "a write that fails half way"])
def test_cache_that_cannot_be_written_does_not_stop_the_download(
    monkeypatch, tmp_path, full, serving, capsys, cache, obstacle
):
    if obstacle == "a file in the way":
        (tmp_path / "keras").write_text("")
    else:

        def half(path, content):
            with open(path, "wb") as file:
                file.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", half)
    assert_holds(datasets.load("mnist"), full["mnist"])
    assert "(downloaded; Keras' cache cannot be written)" in capsys.readouterr().out
    assert [path for path in cache.rglob("*") if path.is_file()] == []


# No network, or a bad one -----------------------------------------------------------------------------------


def test_no_network_falls_back_to_the_sample_and_says_so(full, cache, capsys):
    write(cache, {"mnist.npz": damaged(full, "truncated")})
    assert datasets.load("mnist").source == "sample"
    assert capsys.readouterr().out == f"MNIST: sample, 4,000 training and 1,000 test images {FALLEN_BACK}\n"


def test_no_network_and_full_is_an_error_that_says_what_to_do():
    with pytest.raises(FileNotFoundError) as error:
        datasets.load("fashion_mnist", source="full")
    message = str(error.value)
    assert message.startswith(
        "source='full': the full Fashion-MNIST could not be had: not in Keras' cache, no"
    )
    for advice in ("Check the network", "set CNN_UTILS_DATA to a folder", 'source="sample"'):
        assert advice in message


def test_the_first_answer_comes_within_seconds_and_the_last_byte_within_minutes():
    assert download.PATIENCE <= 3 and download.STALL <= 10 and download.LONGEST <= 180


def test_silent_host_is_given_up_in_time(monkeypatch, capsys):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.socket() as silent:  # connections are taken up, nothing is ever answered
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(download, "ORIGIN", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert load_in_time().source == "sample"
    assert FALLEN_BACK in capsys.readouterr().out


def test_silent_name_server_is_given_up_in_time(monkeypatch, capsys):
    released = threading.Event()

    def silent(*arguments, **keywords):
        released.wait(6)
        raise socket.gaierror("gave up")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    assert load_in_time().source == "sample"
    released.set()
    assert FALLEN_BACK in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["STALL", "LONGEST"])
def test_download_that_stalls_or_trickles_is_given_up(monkeypatch, serving, capsys, limit):
    def trickle(handler, content):
        answer(handler, b"", size=len(content))
        for position in range(300):
            handler.wfile.write(content[position : position + 1])
            if serving.ended.wait(6 if limit == "STALL" else 0.02):
                break

    serving.answer = trickle
    monkeypatch.setattr(download, limit, 0.2)
    assert load_in_time().source == "sample"
    assert FALLEN_BACK in capsys.readouterr().out


@pytest.mark.parametrize("size", [None, 10**15])
def test_endless_download_is_given_up_at_the_size_that_a_file_can_have(monkeypatch, serving, size):
    sent = []

    def pour(handler, content):
        handler.send_response(200)
        if size:
            handler.send_header("Content-Length", str(size))
        handler.end_headers()
        while len(sent) < 1000 and not serving.ended.is_set():
            handler.wfile.write(bytes(100_000))
            sent.append(100_000)

    serving.answer = pour
    assert 55e6 < download.LARGEST < 100e6
    monkeypatch.setattr(download, "LARGEST", 1_000_000)
    assert load_in_time().source == "sample"
    assert sum(sent) < 12e6  # what the connection itself holds, too


@pytest.mark.parametrize("trouble", ["not found", "cut off", "longer than it says", "log-in page", "no HTTP"])
def test_failed_download_is_never_kept(serving, cache, capsys, trouble):
    whole = serving.files["/mnist.npz"]
    answers = {
        "not found": lambda handler, content: answer(handler, None),
        "cut off": lambda handler, content: answer(handler, whole[:1000], size=len(whole)),
        "longer than it says": lambda handler, content: answer(handler, whole, size=1000),
        "log-in page": lambda handler, content: answer(handler, b"<html>Please log in</html>"),
        "no HTTP": lambda handler, content: handler.wfile.write(whole),
    }
    serving.answer = answers[trouble]
    assert load_in_time().source == "sample"
    assert capsys.readouterr().out.endswith(f"{FALLEN_BACK}\n")
    assert list(cache.rglob("*")) == []


# Two at once ------------------------------------------------------------------------------------------------


def test_two_processes_that_download_at_once_both_succeed_and_leave_one_whole_file(full, serving, cache):
    together = threading.Barrier(2, timeout=30)

    def after_both_asked(handler, content):
        together.wait()
        answer(handler, content)

    serving.answer = after_both_asked
    file = SETS["mnist"].full[0]
    code = (
        "from dataclasses import replace\n"
        "from cnn_utils import datasets\n"
        "from cnn_utils.datasets import download\n"
        "from cnn_utils.datasets.catalogue import SETS\n"
        f"download.ORIGIN, download.PATIENCE = {download.ORIGIN!r}, 30\n"
        f"file = replace(SETS['mnist'].full[0], sha256={file.sha256!r})\n"
        "SETS['mnist'] = replace(SETS['mnist'], full=(file,))\n"
        "datasets.load('mnist')\n"
    )
    pair = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in pair]
    assert all(text.endswith("test images (downloaded into Keras' cache)\n") for text in said)
    assert len(serving.requests) == 2
    assert [path.name for path in cache.iterdir()] == ["mnist.npz"]
    assert (cache / "mnist.npz").read_bytes() == serving.files["/mnist.npz"]
