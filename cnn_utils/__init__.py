"""Helpers of the course: shape arithmetic, layers in NumPy, data, networks, graphs, figures.

``from cnn_utils import tf, keras`` gives TensorFlow and Keras, imported without their start-up log lines
(which Jupyter would show in red). Nothing here imports TensorFlow before something asks for it.
"""

import gc
import importlib
import os
import pkgutil
import sys
from contextlib import contextmanager
from pathlib import Path

_ROOMS = tuple(module.name for module in pkgutil.iter_modules(__path__))
_QUIET = {"tf": "tensorflow", "keras": "keras"}

__all__ = [*_ROOMS, *_QUIET]


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _QUIET:
        return globals().setdefault(name, _import_quietly(_QUIET[name]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])


def folder(variable, default=None):
    """The folder that an environment variable names, as an absolute path; ``default`` when it is not set.

    A relative path starts at the project's folder, where ``make`` is typed (a notebook runs in its own folder),
    or at the working folder when there is no project. Raises ValueError for a ``~`` that is no home folder.
    """
    name = os.environ.get(variable) or default
    if not name:
        return None
    project = Path(__file__).resolve().parent.parent
    start = project if (project / "pyproject.toml").exists() else Path.cwd()
    try:
        return start / Path(name).expanduser()
    except RuntimeError:
        raise ValueError(f"{variable}={name}: there is no such home folder: give a path without ~") from None


def watched():
    """Whether a person runs this in Jupyter: nbconvert, nbval and papermill say that they take no input."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") and bool(shell.get_parent().get("content", {}).get("allow_stdin"))


def _import_quietly(name):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # twice as fast; unset, the newest processors only
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the environment and keras.json say
    with _undisturbed():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.get_logger().setLevel("ERROR")
        tensorflow.config.list_physical_devices()  # the search for a GPU logs too: let it do so now
        module = importlib.import_module(name)
    if name == "keras" and (backend := module.config.backend()) != "tensorflow":
        raise ImportError(f"Keras runs on {backend!r} already: restart, and import it from cnn_utils")
    if name == "keras" and module.config.image_data_format() != "channels_last":
        remedy = "Set it in ~/.keras/keras.json, or keras.config.set_image_data_format('channels_last')"
        raise ImportError(f"Keras' image_data_format must be 'channels_last' in the course. {remedy}")
    return module


@contextmanager
def _undisturbed():
    """Import with file descriptor 2 at the null device, and without a search for garbage.

    What the import makes stays to the end: to look for garbage in it, now and when Python ends, takes a second.
    """
    stderr, thresholds, first = os.dup(2), gc.get_threshold(), "tensorflow" not in sys.modules
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)  # TensorFlow's C++ logs by-pass sys.stderr
    gc.set_threshold(0)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        if first:  # later the reader's own garbage would stay, too
            gc.freeze()
        gc.set_threshold(*thresholds)
