"""Tests are sealed: whatever the reader has set, they see none of it, and touch nothing of the reader's."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = """
import os
import tempfile
import matplotlib
from cnn_utils import folder, graphs, keras

assert "meddled" not in globals()
assert keras.backend.backend() == "tensorflow" and keras.config.image_data_format() == "channels_last"
assert matplotlib.rcParams["font.size"] == 10
assert not [name for name, value in os.environ.items() if "hostile" in value]
assert os.environ["CNN_UTILS_SOURCE"] == "sample" and "CNN_UTILS_DATA" not in os.environ
tempfile.mkstemp()  # stays: nbval kills its kernels
graphs.log_directory("mine").name
"""


@pytest.fixture
def hostile(tmp_path):
    """A reader's home folder in which every setting is a trap, and an environment that leads there."""
    home = tmp_path / "hostile"
    traps = {
        ".keras/keras.json": json.dumps({"image_data_format": "channels_first", "backend": "jax"}),
        ".config/matplotlib/matplotlibrc": "font.size: 40",
        ".matplotlib/matplotlibrc": "font.size: 40",
        ".ipython/profile_default/startup/00.py": "meddled = True",
        ".local/share/jupyter/kernels/python3/kernel.json": json.dumps(
            {"argv": ["false"], "display_name": "none"}
        ),
        ".jupyter/jupyter_config.py": "raise SystemExit('hostile')",
        "modules/matplotlib.py": "raise SystemExit('hostile')",
        "runs/mine/kept": "",
    }
    for name, text in traps.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return environment | {
        "HOME": str(home),
        "KERAS_HOME": str(home / ".keras"),
        "KERAS_BACKEND": "jax",
        "MPLCONFIGDIR": str(home / ".matplotlib"),
        "MATPLOTLIBRC": str(home / ".matplotlib"),
        "MPLBACKEND": "hostile",
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_PATH": str(home / ".local" / "share" / "jupyter"),
        "PYTHONPATH": str(home / "modules"),
        "PYTHONWARNINGS": "error::DeprecationWarning",
        "PYTHONOPTIMIZE": "1",
        "http_proxy": "http://hostile:1",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "CNN_UTILS_RUNS": str(home / "runs"),
        "CNN_UTILS_DATA": str(home / "data"),
        "CNN_UTILS_SOURCE": "auto",
    }


def test_a_notebook_under_test_sees_none_of_the_readers_settings(hostile, tmp_path):
    cell = nbformat.v4.new_code_cell(NOTEBOOK, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "'mine'"}, execution_count=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "inner.ipynb")
    options = ["-p", "conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull]
    options += ["--nbval", "--nbval-current-env", str(tmp_path / "inner.ipynb")]
    command = [sys.executable, "-m", "pytest", *options]
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp" if os.name == "posix" else None) as temporary:
        environment = hostile | {"TMPDIR": temporary}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        left = os.listdir(temporary)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert left == []
    assert (Path(hostile["HOME"]) / "runs" / "mine" / "kept").exists()


def test_without_a_home_folder_nothing_is_said_and_none_is_made(hostile, tmp_path):
    code = f"from tools import sealed; sealed.seal({str(tmp_path)!r})\nimport matplotlib.pyplot"
    nowhere = tmp_path / "nowhere"
    environment = {"PATH": os.environ["PATH"], "HOME": str(nowhere)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr, nowhere.exists()) == (0, "", "", False)


def test_the_full_data_sets_stay_within_reach(tmp_path):
    """Folders mean what they meant to the reader; Keras' copies of the data sets are no setting."""
    code = (
        "import os; from pathlib import Path; from tools import sealed; sealed.seal(Path.cwd()); "
        "print(os.environ['CNN_UTILS_DATA'], (Path.home() / '.keras' / 'datasets' / 'mnist.npz').read_text())"
    )
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    (tmp_path / ".keras" / "datasets" / "mnist.npz").write_text("digits")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment |= {"CNN_UTILS_SOURCE": "full"}
    for given, meant in (("~/data", tmp_path / "data"), ("data", ROOT / "data"), ("/$x", Path("/$x"))):
        run = tmp_path / str(len(given))
        run.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=run,
            env=environment | {"CNN_UTILS_DATA": given},
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"{meant} digits\n", done.stderr
