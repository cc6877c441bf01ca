"""MNIST and Fashion-MNIST as one small value: full when it can be had, the packaged sample when it cannot.

The full sets are read from the folder in ``CNN_UTILS_DATA``, else from Keras' cache. What the cache lacks is
fetched from the address Keras uses and kept there, so each finds what the other has downloaded. Keras' own
loader is not called: it waits for a silent network without limit, and it writes straight to the final name,
where a second process would read half a file.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import os
import queue
import struct
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cnn_utils

HOST = "storage.googleapis.com"
ORIGIN = f"https://{HOST}/tensorflow/tf-keras-datasets/"
PATIENCE = 3  # seconds until the first answer: name look-up, connection and reply together
STALL = 10  # seconds without a byte once the download runs


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images as stored, uint8 from 0 to 255, ``(n, 28, 28, 1)``; labels uint8, ``(n,)``.

    Each call of `load` makes its own arrays: changing them in place changes nothing else.
    """

    name: str
    source: str  # "full" or "sample"
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple

    def __repr__(self):
        return f"<Dataset {self.name}, {self.source}: {_counts(self)}>"


def load(name, source="auto"):
    """Load ``"mnist"`` or ``"fashion_mnist"`` and say in one line which data it is.

    ``source="full"`` reads the folder in ``CNN_UTILS_DATA`` when that is set, else Keras' cache, else
    downloads. ``"sample"`` is the 4,000 + 1,000 images packaged with the course. ``"auto"`` is the full set,
    or the sample when neither cache nor network has it; the environment variable ``CNN_UTILS_SOURCE``
    ("full" or "sample") overrides ``"auto"``.

    Raises
    ------
    ValueError
        The name or source is unknown, or a file is damaged (the SHA-256 of the arrays is checked).
    FileNotFoundError
        ``CNN_UTILS_DATA`` lacks a file, or the full set was asked for and could not be had.

    >>> mnist = load("mnist", source="sample")
    MNIST: sample, 4,000 training and 1,000 test images (packaged with the course)
    >>> mnist.x_train.shape, mnist.x_train.dtype, mnist.class_names[:3]
    ((4000, 28, 28, 1), dtype('uint8'), ('0', '1', '2'))
    """
    if name not in tuple(_SETS):
        raise ValueError(f"name={name!r} is not a data set: use one of {', '.join(map(repr, _SETS))}")
    asked = f"source={source!r}"
    if source == "auto" and os.environ.get("CNN_UTILS_SOURCE"):
        source = os.environ["CNN_UTILS_SOURCE"]
        asked = f"CNN_UTILS_SOURCE={source}"
    if source not in ("auto", "full", "sample"):
        raise ValueError(f'{asked} is not a source: use "auto", "full" or "sample"')
    if source == "sample":
        return _announce(name, "sample", _sample(name), "packaged with the course")
    if os.environ.get("CNN_UTILS_DATA"):
        return _announce(name, "full", _from_data_folder(name), "folder CNN_UTILS_DATA")
    try:
        return _announce(name, "full", *_from_keras_cache(name, again=source == "full"))
    except _Unavailable as reason:
        if source == "auto":
            return _announce(name, "sample", _sample(name), f"packaged with the course; {reason}")
        raise FileNotFoundError(
            f"{asked}: the full {_SETS[name].title} could not be had: {reason}. Check the network and call "
            f"again, or set CNN_UTILS_DATA to a folder with {_SETS[name].full[0].path}, "
            'or use source="sample"'
        ) from reason


def _announce(name, source, arrays, where):
    images = {key: arrays[key][..., np.newaxis] for key in ("x_train", "x_test")}
    dataset = Dataset(name, source, class_names=_SETS[name].class_names, **{**arrays, **images})
    print(f"{_SETS[name].title}: {source}, {_counts(dataset)} ({where})")
    return dataset


def _counts(dataset):
    return f"{len(dataset.x_train):,} training and {len(dataset.x_test):,} test images"


def _sample(name):
    file = _SETS[name].sample
    path = Path(__file__).with_name("samples") / file.path
    return _unpack(file, path.read_bytes(), path, "Restore it from the course's repository")


def _from_data_folder(name):
    """A folder the reader filled: what is wrong there is an error, never a reason to look elsewhere."""
    arrays = {}
    for file in _SETS[name].full:
        path = cnn_utils.folder("CNN_UTILS_DATA") / file.path
        remedy = "Copy it there again, or unset CNN_UTILS_DATA"
        if not path.is_file():
            raise FileNotFoundError(f"CNN_UTILS_DATA: there is no {path}. {remedy}")
        arrays |= _unpack(file, path.read_bytes(), path, remedy)
    return arrays


def _from_keras_cache(name, again):
    """The arrays and where they are from. ``again``: try to download even when that has just failed."""
    cache = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    arrays, where = {}, "Keras cache"
    for file in _SETS[name].full:
        path = cache / file.path
        try:
            arrays |= _unpack(file, path.read_bytes(), path, "Delete it and call again")
        except (OSError, ValueError) as problem:  # missing, unreadable or damaged: fetch it, as Keras does
            damaged = isinstance(problem, ValueError)
            try:
                content, fetched = _download(file, again)
            except _Unavailable as reason:
                if damaged and again:
                    raise ValueError(f"{problem} (no new copy came: {reason})") from problem
                raise _Unavailable(f"Keras' copy is damaged and {reason}" if damaged else reason) from None
            kept = _keep(path, content)
            where = "downloaded into Keras' cache" if kept else "downloaded; Keras' cache cannot be written"
            arrays |= fetched
    return arrays, where


class _Unavailable(Exception):
    """The full set cannot be had just now; the message says why in a few words."""


_last_failure = (-60.0, "")  # when a download failed, and why: "auto" does not try again for a minute


def _download(file, again):
    """The bytes of a file and its arrays, from where Keras gets it."""
    global _last_failure
    when, reason = _last_failure
    if again or time.monotonic() - when >= 60:
        url = ORIGIN + file.path.rsplit("/")[-1]
        try:
            content = _fetch(url)
            return content, _unpack(file, content, url, "Call again later")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError):
                reason = f"{HOST} answers with error {error.code}"
            elif isinstance(error, (urllib.error.URLError, TimeoutError)):
                reason = f"no connection to {HOST}"
            else:
                reason = f"the download from {HOST} failed"
            _last_failure = (time.monotonic(), reason)
    raise _Unavailable(reason)


def _fetch(url):
    """All bytes at a URL. A thread makes the connection: looking up a name has no time limit of its own."""
    answer = queue.SimpleQueue()

    def connect():
        try:
            answer.put(urllib.request.urlopen(url, timeout=STALL))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        response = answer.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(response, Exception):
        raise response
    with response:
        megabytes = int(response.headers.get("Content-Length") or 0) / 1e6
        if megabytes > 1:
            print(f"Downloading {url.rsplit('/')[-1]} ({megabytes:.0f} MB), once")
        return response.read()


def _keep(path, content):
    """Put a checked file into the cache, whole or not at all: another process may be doing the same."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        return False
    return True


def _unpack(file, content, path, remedy):
    """The arrays in a file's bytes, once names, shapes, dtype and checksum are right."""
    try:
        arrays = _read_npz(content) if file.path.endswith(".npz") else _read_idx(content, *file.shapes)
        found = {key: f"{array.shape} {array.dtype}" for key, array in arrays.items()}
    except Exception as error:  # a damaged file can provoke almost any
        found = f"{len(content):,} bytes that do not unpack ({error or type(error).__name__})"
    expected = {key: f"{shape} uint8" for key, shape in file.shapes.items()}
    if found == expected:
        arrays = {key: arrays[key] for key in file.shapes}
        found, expected = hashlib.sha256(), file.sha256
        for array in arrays.values():
            found.update(np.ascontiguousarray(array))
        found = found.hexdigest()
    if found != expected:
        raise ValueError(f"{path} is damaged: found {found}, expected {expected}. {remedy}")
    return arrays


def _read_npz(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


def _read_idx(content, key):
    """The format of the original files: 0, 0, 8 (bytes), rank, a big-endian size per axis, the values."""
    data = gzip.decompress(content)
    zero, kind, rank = struct.unpack_from(">HBB", data)
    shape = struct.unpack_from(f">{rank}I", data, 4)
    if (zero, kind) != (0, 8):
        raise ValueError("not an idx file of bytes")
    return {key: np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()}


@dataclass(frozen=True)
class _File:
    path: str
    shapes: dict
    sha256: str  # of the arrays' bytes, in the order of `shapes` (not of the file: it may be packed anew)


@dataclass(frozen=True)
class _Set:
    title: str
    class_names: tuple
    full: tuple
    sample: _File


def _shapes(train, test):
    return {"x_train": (train, 28, 28), "y_train": (train,), "x_test": (test, 28, 28), "y_test": (test,)}


_FULL, _SAMPLE = _shapes(60_000, 10_000), _shapes(4_000, 1_000)
_SETS = {
    "mnist": _Set(
        "MNIST",
        tuple("0123456789"),
        full=(_File("mnist.npz", _FULL, "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"),),
        sample=_File(
            "mnist_5k.npz", _SAMPLE, "d7f37ed83eb4176c5e64ffea8aefb79abc0a9baa4191dc81299a01e36ead7b7c"
        ),
    ),
    "fashion_mnist": _Set(
        "Fashion-MNIST",
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        full=tuple(
            _File(f"fashion-mnist/{stem}-ubyte.gz", {key: _FULL[key]}, sha256)
            for stem, key, sha256 in (
                (
                    "train-images-idx3",
                    "x_train",
                    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
                ),
                (
                    "train-labels-idx1",
                    "y_train",
                    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
                ),
                (
                    "t10k-images-idx3",
                    "x_test",
                    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
                ),
                (
                    "t10k-labels-idx1",
                    "y_test",
                    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
                ),
            )
        ),
        sample=_File(
            "fashion_mnist_5k.npz",
            _SAMPLE,
            "d61e358db7ed35d182dea41bbfae40c76b4e2e154d5f73959a4630fa96437ec1",
        ),
    ),
}
