"""Start JupyterLab on the first notebook, or TensorBoard on what the notebooks wrote; for this machine only.

``python -m tools.start lab`` or ``tensorboard``, with any options of theirs behind.
"""

import os
import sys
from pathlib import Path

import cnn_utils

ROOT = Path(__file__).resolve().parent.parent


def lab(options):
    first = min((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    command = [
        "jupyterlab",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/notebooks/{first.name}",
    ]
    if not any(option.startswith(("--ip", "--ServerApp.ip")) for option in options):
        command.append("--ip=127.0.0.1")
    if os.geteuid() == 0:
        command.append("--allow-root")  # in a container; JupyterLab refuses otherwise
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        command.append("--no-browser")  # it prints the address instead
    return command + options


def tensorboard(options):
    runs = cnn_utils.folder("CNN_UTILS_RUNS", "runs")
    if not any(runs.rglob("*tfevents*")):
        sys.exit(
            f"Nothing to show yet: {runs} holds no logs.\nRun a notebook that writes some (make lab), then call again."
        )
    command = ["tensorboard.main", "--logdir", str(runs)]
    if not any(option.startswith(("--host", "--bind_all")) for option in options):
        command += ["--host", "127.0.0.1"]
    return command + options


def find_a_home():
    """Jupyter, Keras and Matplotlib keep settings in the home folder; in a container it may not be there."""
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK):
        ours = Path(sys.prefix, "home")
        ours.mkdir(exist_ok=True)
        os.environ["HOME"] = str(ours)
        print(f"The home folder {home} cannot be written: settings are kept in {ours}")


def main(arguments):
    name, *options = arguments
    command = {"lab": lab, "tensorboard": tensorboard}[name](options)
    find_a_home()
    scripts = os.path.dirname(sys.executable)
    os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", *command])


if __name__ == "__main__":
    main(sys.argv[1:])
