"""How a file is had: from the package, the reader's folder, Keras' cache or the network; whole, checked, and soon.

What the cache lacks is fetched from the address Keras uses and kept there, so each finds what the other has
downloaded. Keras' own loader waits without limit and writes straight to the final name, where a second process
would read half a file. Pooch (1.9) was tried: a silent name server or a trickle held it for ever, an endless body
filled the disk. The thread, the limits and the way back to the sample would stay here, around five packages more.
"""

import gzip
import hashlib
import http.client
import io
import queue
import tempfile
import threading
import urllib.request
from pathlib import Path

import numpy as np

import cnn_utils

HOST = "storage.googleapis.com"
ORIGIN = f"https://{HOST}/tensorflow/tf-keras-datasets/"
PATIENCE = 3  # seconds until the first answer: name look-up, connection and reply together
STALL = 10  # seconds without a byte once the download runs
LONGEST = 180  # seconds for one file, however steadily it trickles
LARGEST = 60_000_000  # bytes of one file, packed or not
FAILURES = (OSError, ValueError, http.client.HTTPException, queue.Empty)  # `from_cache` has no full set


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
            arrays |= _unpack(file, path.read_bytes(), path, remedy)
        except OSError as error:
            problem = f"CNN_UTILS_DATA: {path} cannot be read: {error.strerror}. {remedy}"
            raise FileNotFoundError(problem) from error
    return arrays


def from_cache(known):
    """The arrays, and where they are from: Keras' cache, and for what that lacks the address Keras uses."""
    arrays, where = {}, "Keras' cache"
    cache = cnn_utils.folder("KERAS_HOME", "~/.keras") / "datasets"
    for file in known.full:
        path = cache / file.path
        try:
            arrays |= _unpack(file, path.read_bytes(), path)
        except (OSError, ValueError):  # not there, or damaged
            content = _fetch(ORIGIN + path.name)
            arrays |= _unpack(file, content, path)
            where = _keep(path, content)
    return arrays, where


def _fetch(url):
    """All bytes at a URL. A thread waits for them: neither a name look-up nor a trickle has a limit of its own."""
    news = queue.SimpleQueue()

    def fetch():
        try:
            with urllib.request.urlopen(url, timeout=STALL) as response:
                news.put(f"Downloading {url.rsplit('/')[-1]}, once")
                news.put(response.read(LARGEST))
        except Exception as error:
            news.put(error)

    threading.Thread(target=fetch, daemon=True).start()
    answer = news.get(timeout=PATIENCE)
    if isinstance(answer, str):
        print(answer)
        answer = news.get(timeout=LONGEST)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _keep(path, content):
    """Put a checked file into the cache, whole or not at all: another process may be doing the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=path.name, dir=path.parent) as folder:
            part = Path(folder) / path.name
            part.write_bytes(content)
            part.replace(path)
    except OSError:
        return "downloaded; Keras' cache cannot be written"
    return "downloaded into Keras' cache"


def _unpack(file, content, path, remedy=""):
    """The arrays in a file's bytes, once their checksum is right."""
    try:
        arrays = _read(file, content)
        found = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest()
    except Exception as error:  # a damaged file can provoke almost any
        found = f"{len(content):,} bytes that do not unpack ({error or type(error).__name__})"
    if found != file.sha256:
        raise ValueError(f"{path} is damaged: found {found}, expected {file.sha256}. {remedy}")
    return arrays


def _read(file, content):
    if file.path.endswith(".npz"):
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in file.arrays}
    with gzip.open(io.BytesIO(content)) as unpacked:  # idx: the fourth byte is the number of axes
        data = unpacked.read(LARGEST)
    shape = np.frombuffer(data, ">u4", data[3], offset=4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape))
    return {file.arrays[0]: values.reshape(shape).copy()}
