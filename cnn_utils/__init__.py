"""Helpers of the course: shape arithmetic, layers in NumPy, data, networks, graphs, figures.

``from cnn_utils import tf, keras`` gives TensorFlow and Keras, imported without their start-up log lines
(which Jupyter would show in red). Nothing here imports TensorFlow before something asks for it.
"""

import importlib
import os
import threading
from contextlib import contextmanager
from pathlib import Path

_ROOMS = (
    "arithmetic",
    "datasets",
    "exercises",
    "explorer",
    "graphs",
    "inspection",
    "models",
    "plots",
    "reference",
    "training",
)
_QUIET = {"tf": "tensorflow", "keras": "keras"}
_import_lock = threading.RLock()

__all__ = [*_ROOMS, *_QUIET]


def __getattr__(name):
    if name in _QUIET:
        module = _import_quietly(_QUIET[name])
    elif name in _ROOMS:
        module = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = module
    return module


def __dir__():
    return sorted([*globals(), *__all__])


def folder(variable, default=None):
    """The folder that an environment variable names, as an absolute path; ``default`` when it is not set.

    ``~`` is the home folder. A relative path starts at the project's folder, where ``make`` is typed (a notebook
    runs in its own folder), or at the working folder when the package is installed without the project.
    """
    name = os.environ.get(variable) or default
    if not name:
        return None
    project = Path(__file__).resolve().parent.parent
    start = project if (project / "pyproject.toml").exists() else Path.cwd()
    return start / Path(name).expanduser()


def _import_quietly(name):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _import_lock, _silent_stderr():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.get_logger().setLevel("ERROR")
        tensorflow.config.list_physical_devices()  # the search for a GPU logs too: let it do so now
        return importlib.import_module(name)


@contextmanager
def _silent_stderr():
    """Point file descriptor 2 at the null device: TensorFlow's C++ logs by-pass ``sys.stderr``."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
