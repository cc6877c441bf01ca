"""What importing the package costs and shows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnn_utils

WITHOUT_TENSORFLOW = ("arithmetic", "reference", "datasets", "plots", "exercises")


def run(code, **environment):
    command, environment = [sys.executable, "-c", code], os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_tensorflow_waits_until_something_needs_it():
    code = f"import sys, cnn_utils; [getattr(cnn_utils, room) for room in {WITHOUT_TENSORFLOW}]"
    assert run(f"{code}; print('tensorflow' in sys.modules)").stdout == "False\n"


def test_importing_the_package_alone_loads_nothing_heavy():
    heavy = ["numpy", "matplotlib", "keras", "tensorflow", "scipy"]
    assert run(f"import sys, cnn_utils; print([m for m in {heavy} if m in sys.modules])").stdout == "[]\n"


def test_tensorflow_and_keras_come_without_a_word_or_a_search_for_garbage_whatever_backend_is_set(tmp_path):
    code = """if True:
        import gc, weakref
        searches = []
        gc.callbacks.append(lambda phase, info: searches.append(info["generation"]))
        from cnn_utils import tf
        assert max(searches, default=0) == 0 and gc.isenabled() and gc.get_freeze_count() > 100_000

        class Ring: pass
        ring = Ring()
        ring.itself, alive = ring, weakref.ref(ring)
        del ring
        from cnn_utils import keras
        gc.collect()
        assert alive() is None  # the reader's own garbage is still found

        tf.ones(2) + 1
        keras.layers.Dense(1)(tf.ones((1, 2)))
        assert keras.config.backend() == "tensorflow"
    """
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    done = run(code, KERAS_BACKEND="jax", KERAS_HOME=str(tmp_path))
    assert (done.stdout, done.stderr) == ("", "")


def test_a_missing_tensorflow_still_says_so():
    code = "import sys; sys.modules['tensorflow'] = None\nfrom cnn_utils import tf"
    with pytest.raises(subprocess.CalledProcessError) as failure:
        run(code)
    assert "tensorflow" in failure.value.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'nonsense'"):
        print(cnn_utils.nonsense)


def test_rooms_are_listed():
    assert {"arithmetic", "reference", "datasets", "models", "training", "graphs", "plots", "tf"} <= set(
        dir(cnn_utils)
    )


def test_the_core_stays_small_enough_to_be_held_in_the_head():
    """All but the exercises' checkers and the explorer: under 3,000 lines."""
    folder = Path(cnn_utils.__file__).parent
    rooms = {file: file.relative_to(folder).parts[0] for file in folder.rglob("*.py")}
    core = [file for file, room in rooms.items() if room not in ("exercises", "explorer")]
    assert len(core) > 15 and sum(len(file.read_text().splitlines()) for file in core) < 3000
