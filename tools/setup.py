"""Make `.venv` hold what requirements.txt asks for. Make calls this when `.venv/ready` is missing or out of date.

    python3 tools/setup.py [--exactly]

A working `.venv` is kept, whatever Python runs this file; `--exactly` insists on the version of that one.
The syntax is that of old Pythons on purpose: one that is too old must come as far as the message which says so.
"""
# ruff: noqa: UP031, UP036
# (they ask for what an old Python cannot read)

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
DISCARDED = os.path.join(ROOT, ".venv-discarded")
PYTHON = os.path.join(VENV, "bin", "python")
READY = os.path.join(VENV, "ready")  # written last: this folder, and a digest of what was installed
UNFINISHED = os.path.join(VENV, "unfinished")  # there while something is being written
LOG = os.path.join(VENV, "pip.log")
GIGABYTES = 4  # .venv takes 2.8 GB; pip keeps the downloads, most often on the same disk
VERSIONS = ("3.13", "3.12", "3.11")
THIS = "%d.%d" % sys.version_info[:2]
WRONG_PYTHON = """
This is Python %s (%s). The course needs Python 3.11, 3.12 or 3.13.
Install one, then name it: make PYTHON=/path/to/python3.12 lab""" % (THIS, sys.executable)
NO_VENV = """
%s cannot make virtual environments. On Debian and Ubuntu: apt-get install python%s-venv
Then call again."""
NO_ROOM = """
Not enough room: .venv needs about %d GB, and %.1f GB are free in %s.
Free some, or move the project to a roomier disk; then call again."""


def main(exactly):
    import fcntl

    try:
        with open(os.path.join(ROOT, "requirements.txt"), "rb") as lock:
            os.set_inheritable(lock.fileno(), True)  # a pip that outlives this process still holds it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another set-up is under way: waiting for it.")
                sys.stdout.flush()
                fcntl.flock(lock, fcntl.LOCK_EX)
            set_up(exactly)
    except KeyboardInterrupt:
        sys.exit("\nStopped. Call again to go on.")
    except OSError as error:
        sys.exit("\nCannot write %s: %s." % (error.filename, error.strerror))


def set_up(exactly=False):
    """Do what is missing; nothing, quickly, when all is well."""
    start, wanted = time.time(), [ROOT, digest()]
    why = why_afresh(exactly)
    if why:
        python = suitable_python(exactly)
        discard_venv()
        print("Installing into .venv (%s): two to five minutes, once." % why)
        create_venv(python)
    if stamp() != wanted and not os.path.islink(VENV):  # a link is somebody else's .venv: used as it is
        install()
        with open(READY, "wb") as file:
            file.write(os.fsencode("\n".join(wanted)))
        os.remove(UNFINISHED)
    if os.access(READY, os.W_OK):
        os.utime(READY, (start, start))  # whatever is edited from here on is newer


def why_afresh(exactly):
    """Why `.venv` cannot be kept; None when it can."""
    if not os.path.lexists(VENV):
        return "first call"
    if os.path.exists(UNFINISHED):
        return "the last set-up did not finish"
    version = version_of(PYTHON, "import pip")
    if version not in VERSIONS or (exactly and version != THIS):
        return "it has Python %s" % version if version else "no Python starts in it"
    if stamp()[0] not in ("", ROOT) and not os.path.islink(VENV):
        return "the folder was moved or copied"
    return None


def suitable_python(exactly):
    """The Python to make `.venv` with: this one, else one on the PATH."""
    names = [getattr(sys, "_base_executable", sys.executable)]
    names += [] if exactly else ["python" + version for version in VERSIONS]
    for name in names:
        version = version_of(name)
        if version in VERSIONS:
            if not version_of(name, "import ensurepip, venv"):
                sys.exit(NO_VENV % (name, version))
            return name
    sys.exit(WRONG_PYTHON)


def discard_venv():
    """Remove a `.venv` that is of no use; aside first, because half of one would not be known as ours."""
    shutil.rmtree(DISCARDED, ignore_errors=True)
    if os.path.lexists(VENV):
        ours = os.path.exists(UNFINISHED) or os.path.exists(os.path.join(VENV, "pyvenv.cfg"))
        if os.path.islink(VENV) or not os.path.isdir(VENV) or (os.listdir(VENV) and not ours):
            sys.exit("\n%s is not a virtual environment.\nMove it away, then call again." % VENV)
        os.rename(VENV, DISCARDED)
        shutil.rmtree(DISCARDED)


def create_venv(python):
    room = shutil.disk_usage(ROOT).free / 1e9
    if room < GIGABYTES:
        sys.exit(NO_ROOM % (GIGABYTES, room, ROOT))
    os.mkdir(VENV)
    open(UNFINISHED, "w").close()
    if run([python, "-m", "venv", VENV]):
        sys.exit("\n%s could not make .venv: see above." % python)


def install():
    """pip, and a word where its own would mislead: without a network it says that there is no such version."""
    open(UNFINISHED, "w").close()
    for old in (READY, LOG):
        if os.path.exists(old):
            os.remove(old)
    pip = [PYTHON, "-I", "-m", "pip", "install", "--no-input", "--retries", "2", "--log", LOG]
    if run(pip + ["-r", "requirements.txt"]):
        with open(LOG, "rb") as file:
            log = file.read().decode("utf-8", "replace")
        if "Installing collected packages" not in log:
            os.remove(UNFINISHED)  # nothing was written: the next call can go on from here
        advice = "Its last lines say why; call again when that is put right."
        if re.search("No space left|Disk quota", log):
            advice = (
                "The disk is full: free some room (or set TMPDIR, when only /tmp is small), then call again."
            )
        elif re.search("NewConnection|ConnectTimeout|ReadTimeout|ProxyError|name resolution|SSLError", log):
            advice = "No connection to the package index: check the network (HTTPS_PROXY, PIP_CERT), then call again."
        sys.exit("\npip could not install the course's packages. " + advice)


def run(command):
    sys.stdout.flush()
    return subprocess.call(command, cwd=ROOT, close_fds=False)


def version_of(python, code=""):
    """Such as "3.12"; None when it is not there, does not start, or cannot run this code."""
    code = "import sys; print('%d.%d' % sys.version_info[:2]); " + code
    try:
        return subprocess.check_output([python, "-I", "-c", code], stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def stamp():
    """The folder, and the digest of what was installed, as the last set-up left them."""
    try:
        with open(READY, "rb") as file:
            return os.fsdecode(file.read()).split("\n")
    except OSError:
        return [""]


def digest():
    both = hashlib.sha256()
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            both.update(file.read())
    return both.hexdigest()


if __name__ == "__main__":
    if sys.version_info < (3, 6):
        sys.exit(WRONG_PYTHON)
    main("--exactly" in sys.argv[1:])
