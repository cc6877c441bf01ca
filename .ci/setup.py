"""Make `.venv` ready, then start a command of the course in it. Standard library only.

    python3 .ci/setup.py [--exactly] [lab | tensorboard] [arguments of the command]

The Makefile calls it. `--exactly` insists on the Python that runs this file; otherwise a working `.venv`
of any supported version is kept. The syntax is that of old Pythons on purpose: one that is too old must
come as far as the message which says so.
"""
# ruff: noqa: UP010, UP024, UP031, B904, C402
# (they ask for syntax that an old Python cannot read)

from __future__ import print_function

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import deque
from contextlib import contextmanager

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "set-up.json")  # written last: it says what was installed
UNFINISHED = os.path.join(VENV, "set-up-unfinished")  # there while packages are being written
INPUTS = ("requirements.txt", "pyproject.toml")
VERSIONS = ("3.13", "3.12", "3.11")
GIGABYTES = 4  # .venv takes 2.8 GB; pip keeps the downloads, most often on the same disk


class SetupError(Exception):
    """Something the reader has to put right; the message says what."""


def main(arguments):
    exactly = arguments[:1] == ["--exactly"]
    command = arguments[1:] if exactly else arguments
    try:
        start = {"lab": lab, "tensorboard": tensorboard}[command[0]](command[1:]) if command else None
        if running_version() not in VERSIONS:
            hand_over(arguments)
        ensure(exactly)
        if start:
            os.environ["PATH"] = os.path.join(VENV, "bin") + os.pathsep + os.environ.get("PATH", os.defpath)
            os.execv(start[0], start)
    except SetupError as error:
        print("\n%s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Call again to go on.", file=sys.stderr)
        return 130
    return 0


def hand_over(arguments):
    """Go on in a Python of the right version, when there is one on the PATH."""
    for version in VERSIONS:
        if version_of("python" + version) == version:
            print("Python %s does not suit: using python%s." % (running_version(), version))
            sys.stdout.flush()
            os.execvp("python" + version, ["python" + version, os.path.abspath(__file__)] + arguments)
    raise SetupError(
        "This is Python %s (%s). The course needs Python 3.11, 3.12 or 3.13.\n"
        "Install one, then name it: make PYTHON=/path/to/python3.12 lab" % (running_version(), sys.executable)
    )


def ensure(exactly=False):
    """Bring `.venv` up to date; do nothing, quickly, when it is."""
    if not what_is_missing(exactly)[1]:
        return
    with one_at_a_time():
        rebuild, why = what_is_missing(exactly)  # again: another set-up may just have finished
        if not why:
            return
        if rebuild:
            check_machine()
            print("Installing into .venv (%s): two to five minutes, once." % why)
            sys.stdout.flush()
            create_venv()
        else:
            print("Updating .venv (%s)." % why)
            sys.stdout.flush()
        install()
        print("Ready.")
        sys.stdout.flush()


def what_is_missing(exactly):
    """What to do and why: (whether to start from nothing, reason), reason None when all is well."""
    if not os.path.lexists(VENV):
        return True, "first call"
    if os.path.exists(UNFINISHED):
        return True, "the last set-up did not finish"
    version, stamp = version_of(PYTHON), read_stamp()
    if version is None:
        return True, "the Python in it does not start"
    if version not in VERSIONS or (exactly and version != running_version()):
        return True, "it has Python %s, not %s" % (version, running_version())
    if stamp is None:
        return False, "not checked yet"
    if stamp.get("python") != version:
        return True, "Python is %s now, was %s" % (version, stamp.get("python"))
    if stamp.get("folder") != VENV:
        return True, "the folder was moved or copied"
    changed = [name for name in INPUTS if stamp.get(name) != digest(name)]
    return False, (" and ".join(changed) + " changed" if changed else None)


def check_machine():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "This Python cannot make virtual environments (%s).\n"
            "On Debian and Ubuntu: apt-get install python%s-venv\n"
            "Then call again." % (error, running_version())
        )
    room = free_bytes() / 1e9
    if room < GIGABYTES:
        raise SetupError(
            "Not enough room: .venv needs about %d GB, and %.1f GB are free in %s.\n"
            "Free some, or move the project to a roomier disk; then call again." % (GIGABYTES, room, ROOT)
        )


def create_venv():
    """An empty virtual environment, in place of whatever half-made one is there."""
    try:
        if os.path.lexists(VENV):
            remove_venv()
        os.mkdir(VENV)
        open(UNFINISHED, "w").close()
    except OSError as error:
        raise SetupError("Cannot write %s: %s" % (VENV, error.strerror))
    inside = os.path.realpath(sys.prefix) == VENV
    code, lines = run([sys._base_executable if inside else sys.executable, "-m", "venv", VENV])
    if code != 0:
        raise SetupError("Python could not make .venv. Its last lines:\n\n%s" % indented(lines))


def remove_venv():
    import shutil

    ours = os.path.exists(UNFINISHED) or os.path.exists(os.path.join(VENV, "pyvenv.cfg"))
    if os.path.islink(VENV) or not os.path.isdir(VENV) or (os.listdir(VENV) and not ours):
        raise SetupError("%s is not a virtual environment.\nMove it away, then call again." % VENV)
    shutil.rmtree(VENV)


def install():
    """pip, with its long report cut down to the large downloads; the stamp comes last."""
    if os.path.exists(STAMP):
        os.remove(STAMP)
    open(UNFINISHED, "w").close()
    inputs = dict((name, digest(name)) for name in INPUTS)
    pip = [PYTHON, "-m", "pip", "install", "--progress-bar", "off", "--no-input", "--retries", "3"]
    code, lines = run(pip + ["-r", "requirements.txt"], show_pip_progress)
    if code != 0:
        if not any(line.startswith("Installing collected packages") for line in lines):
            os.remove(UNFINISHED)  # pip stopped before it wrote anything: the next call can go on from here
        raise SetupError(
            "pip could not install the course's packages. Its last lines:\n\n%s\n\n%s"
            % (indented(lines), advice("\n".join(lines)))
        )
    with open(STAMP, "w") as file:
        json.dump(dict(inputs, python=version_of(PYTHON), folder=VENV), file, indent=1)
    os.remove(UNFINISHED)


def show_pip_progress(line):
    large = re.match(
        r"\s*(?:Downloading|Using cached) (?:\S*/)?([^-\s]+)-([^-\s]+)-\S+ \((\d{2,})(?:\.\d+)? MB\)", line
    )
    if large:
        print("  %s %s, %s MB" % large.groups())
    elif line.startswith("Installing collected packages"):
        print("  unpacking")
    sys.stdout.flush()


def advice(output):
    if re.search(r"No space left|Disk quota", output):
        return "The disk is full. Free some room (or set TMPDIR, when only /tmp is small), then call again."
    if re.search(r"CERTIFICATE_VERIFY_FAILED|SSLError", output):
        return "The package index could not be trusted. Behind a company's proxy, set PIP_CERT."
    if re.search(r"NewConnection|ConnectTimeout|ReadTimeout|ProxyError|name resolution|unreachable", output):
        return "No connection to the package index. Check the network (and HTTPS_PROXY), then call again."
    if re.search(r"No matching distribution|not a supported wheel|requires a different Python", output):
        return "That package has no build for this Python. Try another Python: make PYTHON=python3.12 lab"
    return "Call again; if it fails the same way, remove the folder .venv and call once more."


def lab(arguments):
    """JupyterLab on the first notebook, for this machine only."""
    folder = os.path.join(ROOT, "notebooks")
    names = sorted(name for name in os.listdir(folder) if re.match(r"\d.*\.ipynb$", name))
    page = "/".join(["/lab/tree/notebooks"] + names[:1])
    command = [PYTHON, "-m", "jupyterlab", "--ServerApp.root_dir=" + ROOT, "--LabApp.default_url=" + page]
    if not any(argument.startswith(("--ip", "--ServerApp.ip")) for argument in arguments):
        command.append("--ip=127.0.0.1")
    if os.geteuid() == 0:
        command.append("--allow-root")  # in a container; JupyterLab refuses otherwise
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        command.append("--no-browser")  # it prints the address instead
    return command + arguments


def tensorboard(arguments):
    """TensorBoard on what the notebooks wrote, for this machine only."""
    runs = os.path.abspath(os.environ.get("CNN_UTILS_RUNS") or os.path.join(ROOT, "runs"))
    if not any("tfevents" in name for _, _, files in os.walk(runs) for name in files):
        raise SetupError(
            "Nothing to show yet: %s holds no logs.\n"
            "Run a notebook that writes some (make lab), then call again." % runs
        )
    command = [PYTHON, "-m", "tensorboard.main", "--logdir", runs]
    if not any(argument.startswith(("--host", "--bind_all")) for argument in arguments):
        command += ["--host", "127.0.0.1"]
    return command + arguments


def run(command, show=lambda line: None):
    """Run to the end; return the exit code and the last lines it wrote."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    lines = deque(maxlen=200)
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            show(line)
        return process.wait(), lines
    except KeyboardInterrupt:
        process.terminate()
        raise


def running_version():
    return "%d.%d" % sys.version_info[:2]


def version_of(python):
    """Such as "3.12"; None when it is not there or does not start."""
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        with open(os.devnull, "w") as null:
            return subprocess.check_output([python, "-c", code], stderr=null).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def read_stamp():
    try:
        with open(STAMP) as file:
            return json.load(file)
    except (OSError, IOError, ValueError):
        return None


def digest(name):
    with open(os.path.join(ROOT, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def free_bytes():
    import shutil

    return shutil.disk_usage(ROOT).free


def indented(lines):
    return "\n".join("    " + line for line in list(lines)[-12:])


@contextmanager
def one_at_a_time():
    """Two commands started together must not install into the same folder."""
    import fcntl

    with open(os.path.join(ROOT, "requirements.txt")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another set-up is under way: waiting for it.")
            sys.stdout.flush()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
