"""Nobody's own settings: what the tests see and the notebooks show must not depend on whose machine it is."""

import os
from contextlib import suppress
from pathlib import Path

import cnn_utils

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (
    "KERAS_",
    "TF_",
    "XLA_",
    "TENSORBOARD_",
    "MPL",
    "MATPLOTLIB",
    "JUPYTER",
    "IPYTHON",
    "PYTHON",
    "XDG_",
)
LOOKS = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR")


def seal(scratch):
    """Give this process, and all it starts, an empty home folder in ``scratch`` and an environment without settings.

    The course's own variables stay; their folders are made absolute while ``~`` still is the reader's. What the
    reader's home caches (fonts found, browsers, data sets) is no setting: it is linked, where it can be written.
    Temporary files go to ``scratch``, too: of a kernel or a worker that is killed, nobody else removes them.
    """
    for variable in ("CNN_UTILS_DATA", "CNN_UTILS_RUNS"):
        if os.environ.get(variable):
            os.environ[variable] = str(cnn_utils.folder(variable))
    caches = _caches()
    offline = os.environ.get("CNN_UTILS_SOURCE") == "sample"
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name in LOOKS or (offline and name.lower().endswith("_proxy")):
            del os.environ[name]
    home = Path(scratch) / "home"
    for place, cache in caches.items():
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            (home / place).symlink_to(cache, target_is_directory=True)
    os.environ |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT)}
    temporary = Path(scratch) / "t"  # short: the names of sockets may have about a hundred letters
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    os.environ |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")


def _caches():
    """Where a home folder keeps what can be had again -> where the reader's is."""
    home = Path(os.path.expanduser("~")).absolute()
    keras = Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser().absolute() / "datasets"
    if os.environ.get("CNN_UTILS_SOURCE") == "full":
        with suppress(OSError):
            keras.mkdir(parents=True, exist_ok=True)  # a download is to be kept
    return {
        ".keras/datasets": keras,
        ".cache": os.environ.get("XDG_CACHE_HOME") or home / ".cache",  # on Linux
        "Library/Caches": home / "Library" / "Caches",  # on a Mac
    }
