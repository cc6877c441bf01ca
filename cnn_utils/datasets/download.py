"""How a file is had: from the package, the reader's folder, Keras' cache or the network; whole, checked, and soon.

What the cache lacks is fetched from the address Keras uses and kept there, so each finds what the other has
downloaded. Keras' own loader waits without limit and writes straight to the final name, where a second process
would read half a file. Pooch (1.9) was tried: a silent name server or a trickle held it for ever, an endless body
filled the disk. The thread, the limits and the way back to the sample would stay here, around five packages more.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import math
import os
import queue
import threading
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import numpy as np

import cnn_utils

HOST = "storage.googleapis.com"
ORIGIN = f"https://{HOST}/tensorflow/tf-keras-datasets/"
PATIENCE = 3  # seconds until the first answer: name look-up, connection and reply together
STALL = 10  # seconds without a byte once the download runs
LONGEST = 180  # seconds for one file, however steadily it trickles


class Unavailable(Exception):
    """The full set cannot be had just now; the message says why in a few words."""


def packaged(known):
    """The arrays of the sample that the course ships."""
    path = Path(cnn_utils.__file__).with_name("samples") / known.sample.path
    return _unpack(known.sample, path.read_bytes(), path, "Restore it from the course's repository")


def from_folder(known, folder):
    """The arrays in a folder the reader filled: what is wrong there is an error, never a reason to look elsewhere."""
    arrays, remedy = {}, "Copy it there again, or unset CNN_UTILS_DATA"
    for file in known.full:
        path = folder / file.path
        try:
            content = path.read_bytes()
        except OSError as error:
            problem = f"CNN_UTILS_DATA: {path} cannot be read: {error.strerror}. {remedy}"
            raise FileNotFoundError(problem) from error
        arrays |= _unpack(file, content, path, remedy)
    return arrays


def from_cache(known):
    """The arrays, and where they are from: Keras' cache, and for what that lacks the address Keras uses."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    try:
        cache = Path(home).expanduser() / "datasets"
    except RuntimeError:
        raise Unavailable(f"there is no home folder for Keras' cache, {home}: set KERAS_HOME") from None
    arrays, where = {}, "Keras cache"
    for file in known.full:
        path = cache / file.path
        try:
            arrays |= _unpack(file, path.read_bytes(), path)
            continue
        except OSError:
            trouble = ""
        except ValueError:
            trouble = "Keras' copy is damaged and "
        try:
            content = _fetch(ORIGIN + path.name, _largest(file))
            arrays |= _unpack(file, content, path)
        except urllib.error.HTTPError as error:
            raise Unavailable(f"{trouble}{HOST} answers with error {error.code}") from error
        except (urllib.error.URLError, TimeoutError) as error:
            raise Unavailable(f"{trouble}no connection to {HOST}") from error
        except (OSError, http.client.HTTPException, ValueError, queue.Empty) as error:
            raise Unavailable(f"{trouble}the download from {HOST} failed") from error
        kept = _keep(path, content)
        where = "downloaded into Keras' cache" if kept else "downloaded; Keras' cache cannot be written"
    return arrays, where


def _fetch(url, largest):
    """All bytes at a URL. A thread waits for them: neither a name look-up nor a trickle has a limit of its own."""
    news = queue.SimpleQueue()

    def fetch():
        try:
            with urllib.request.urlopen(url, timeout=STALL) as response:
                news.put(response.headers)
                news.put(response.read(largest + 1))
        except Exception as error:
            news.put(error)

    def wait(seconds):
        piece = news.get(timeout=seconds)
        if isinstance(piece, Exception):
            raise piece
        return piece

    threading.Thread(target=fetch, daemon=True).start()
    try:
        size = int(wait(PATIENCE)["Content-Length"] or 0)
    except queue.Empty:
        raise TimeoutError from None
    if 1e6 < size <= largest:
        print(f"Downloading {url.rsplit('/')[-1]} ({size / 1e6:.0f} MB), once")
    content = wait(LONGEST)
    if len(content) > largest:
        raise ValueError(f"more than {largest:,} bytes")
    return content


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


def _unpack(file, content, path, remedy=""):
    """The arrays in a file's bytes, once names, shapes, types and checksum are right."""
    try:
        arrays = _read_npz(content) if file.path.endswith(".npz") else _read_idx(content, file)
        found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    except Exception as error:  # a damaged file can provoke almost any
        found = f"{len(content):,} bytes that do not unpack ({error or type(error).__name__})"
    expected = file.arrays
    if found == expected:
        arrays = {name: arrays[name] for name in file.arrays}
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


def _read_idx(content, file):
    """The format of the original files: four bytes and four more for each axis, then the values."""
    ((name, (shape, dtype)),) = file.arrays.items()
    with gzip.open(io.BytesIO(content)) as unpacked:
        data = unpacked.read(_largest(file))
    return {name: np.frombuffer(data, dtype, offset=4 + 4 * len(shape)).reshape(shape).copy()}


def _largest(file):
    """More bytes than any packing of a file's arrays needs."""
    values = (math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in file.arrays.values())
    return sum(values) + 1_000_000
