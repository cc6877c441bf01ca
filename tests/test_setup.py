"""Set-up: what Make asks for when, what is installed, and what is said when it cannot be.

Nothing is fetched: pip runs without an index, on a requirements file that asks for nothing.
"""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = {"3.11": "3.12"}.get(THIS, "3.11")


@pytest.fixture
def project(tmp_path):
    """A copy of the project as far as set-up sees it, in a folder with a name that needs care."""
    folder = tmp_path / "my (cöurse), $HOME"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "setup.py", folder / "tools")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").write_text("# nothing\n")
    (folder / "pyproject.toml").write_text("")
    return folder


@pytest.fixture
def setup(project, monkeypatch):
    """The script as a module in that copy. What it runs is noted in ``setup.ran``; pip does as ``setup.pip`` does."""
    spec = importlib.util.spec_from_file_location("course_setup", project / "tools" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ran, module.inside, module.pip = [], THIS, lambda: 0

    def run(command):
        name = "venv" if "venv" in command else "pip"
        module.ran.append(name)
        if name == "pip":
            return module.pip()
        (project / ".venv" / "pyvenv.cfg").touch()
        return 0

    there = {getattr(sys, "_base_executable", sys.executable): THIS, "python3.12": "3.12"}
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(
        module, "version_of", lambda python, code="": (there | {module.PYTHON: module.inside}).get(python)
    )
    monkeypatch.setattr(module, "there", there, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: namedtuple("usage", "free")(50e9))
    return module


def steps(setup, *arguments):
    """What one call of set-up runs."""
    setup.ran.clear()
    setup.set_up(*arguments)
    return list(setup.ran)


def test_the_first_call_installs_the_second_does_nothing_and_changes_are_added(setup, project, capsys):
    assert steps(setup) == ["venv", "pip"]
    assert "Installing into .venv (first call)" in capsys.readouterr().out
    assert steps(setup) == []
    assert capsys.readouterr().out == ""
    for name in ("requirements.txt", "pyproject.toml"):
        (project / name).write_text("# something else\n")
        assert (steps(setup), steps(setup)) == (["pip"], [])


@pytest.mark.parametrize("step", ["venv", "pip", "pip in an update"])
def test_a_set_up_that_was_cut_short_starts_afresh(setup, project, monkeypatch, capsys, step):
    def cut_short(command):
        return sys.exit("killed") if step.split()[0] in command else run(command)

    run = setup.run
    if step == "pip in an update":
        steps(setup)
        (project / "requirements.txt").write_text("# more\n")
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="killed"):
        patch.setattr(setup, "run", cut_short)
        setup.set_up()
    (project / "requirements.txt").write_text("# nothing\n")  # as it was when all was well
    (project / ".venv" / "half").touch()
    assert steps(setup) == ["venv", "pip"]
    assert "the last set-up did not finish" in capsys.readouterr().out
    assert not (project / ".venv" / "half").exists()


def test_a_removal_that_was_cut_short_is_finished(setup, project):
    steps(setup)
    (project / ".venv").rename(project / ".venv-discarded")
    assert steps(setup) == ["venv", "pip"]
    assert not (project / ".venv-discarded").exists()


def test_what_is_edited_while_pip_runs_is_installed_by_the_next_call(setup, project):
    setup.pip = lambda: (project / "requirements.txt").write_text("# edited\n") * 0
    steps(setup)
    stamp = project / ".venv" / "ready"
    assert stamp.stat().st_mtime < (project / "requirements.txt").stat().st_mtime  # so Make calls again
    assert steps(setup) == ["pip"]


def test_a_working_venv_is_kept_unless_another_python_is_named(setup, monkeypatch, capsys):
    steps(setup)
    for version in ("3.9", "3.14", OTHER):
        monkeypatch.setattr(setup, "THIS", version)
        assert steps(setup) == []
    assert steps(setup, True) == ["venv", "pip"]
    for inside, why in ((None, "no Python starts in it"), ("3.10", "it has Python 3.10")):
        setup.inside = inside
        assert steps(setup) == ["venv", "pip"]
        assert why in capsys.readouterr().out


def test_a_venv_that_is_not_ours_is_completed_or_used_but_not_removed(setup, project, tmp_path):
    by_hand = project / ".venv"
    by_hand.mkdir()
    (by_hand / "pyvenv.cfg").touch()
    (by_hand / "mine").touch()
    assert steps(setup) == ["pip"] and (by_hand / "mine").exists()
    shared = by_hand.rename(tmp_path / "shared")
    by_hand.symlink_to(shared)
    (shared / "ready").write_text("/elsewhere\n")
    assert steps(setup) == []
    setup.inside = None
    with pytest.raises(SystemExit, match="not a virtual environment"):
        setup.set_up()
    assert (shared / "mine").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_called_venv_is_left_alone(setup, project, kind):
    setup.inside = None
    mine = project / ".venv"
    if kind == "folder":
        mine.mkdir()
        mine /= "mine"
    mine.touch()
    with pytest.raises(SystemExit, match="is not a virtual environment.\nMove it away"):
        setup.set_up()
    assert mine.is_file()


def test_a_python_that_does_not_suit_looks_for_one_that_does(setup, project, monkeypatch):
    setup.there[sys._base_executable] = "3.9"
    assert setup.suitable_python(exactly=False) == "python3.12"
    with pytest.raises(SystemExit, match="This is Python .*needs Python 3.11, 3.12 or 3.13"):
        setup.suitable_python(exactly=True)
    del setup.there["python3.12"]
    with pytest.raises(SystemExit, match="make PYTHON=/path/to/python3.12 lab"):
        setup.set_up()
    assert not (project / ".venv").exists()


def test_what_the_machine_lacks_is_said_before_anything_is_written(setup, project, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    with (
        monkeypatch.context() as patch,
        pytest.raises(SystemExit, match=f"apt-get install python{THIS}-venv"),
    ):
        patch.setattr(setup, "version_of", lambda python, code="": None if code else THIS)
        setup.main(exactly=False)
    with (
        monkeypatch.context() as patch,
        pytest.raises(SystemExit, match="needs about 4 GB, and 1.3 GB are free"),
    ):
        patch.setattr(shutil, "disk_usage", lambda folder: namedtuple("usage", "free")(1.26e9))
        setup.main(exactly=False)
    with (
        monkeypatch.context() as patch,
        pytest.raises(SystemExit, match=r"Cannot write .*venv: Permission denied"),
    ):
        patch.setattr(os, "mkdir", refuse)
        setup.main(exactly=False)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("Retrying after connection broken by 'NewConnectionError(...)'", "No connection to the package index"),
        ("Could not install packages due to an OSError: No space left on device", "The disk is full"),
        ("ERROR: something nobody thought of", "Its last lines say why"),
    ],
)  # fmt: skip
def test_a_failure_of_pip_says_what_to_try_and_the_next_call_goes_on(setup, project, line, advice):
    log = project / ".venv" / "pip.log"
    setup.pip = lambda: log.write_text(line)
    with pytest.raises(SystemExit, match=f"pip could not install the course's packages. {advice}"):
        setup.set_up()
    setup.pip = lambda: 0
    assert steps(setup) == ["pip"]  # nothing had been written
    (project / "requirements.txt").write_text("# more\n")
    setup.pip = lambda: log.write_text(f"Installing collected packages: numpy\n{line}")
    with pytest.raises(SystemExit, match=advice):
        setup.set_up()
    setup.pip = lambda: 0
    assert steps(setup) == ["venv", "pip"]


def test_a_python_too_old_for_the_course_can_read_the_script_as_far_as_the_message():
    source = (ROOT / "tools" / "setup.py").read_bytes()
    assert source.isascii()
    newer = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.AsyncFunctionDef,
        ast.Nonlocal,
        ast.Starred,
        ast.Match,
    )
    for node in ast.walk(ast.parse(source)):
        assert not isinstance(node, newer), ast.unparse(node)
        assert not (isinstance(node, ast.Raise) and node.cause), ast.unparse(node)
        assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "print" and node.keywords)
        if isinstance(node, ast.FunctionDef):
            assert not [a for a in node.args.args if a.annotation] and not node.args.kwonlyargs, node.name


# For real ------------------------------------------------------------


@pytest.fixture
def make(project, tmp_path):
    """Start make in that copy, with this Python as python3; ``make(...).said()`` is its exit code and what it wrote."""
    python3 = tmp_path / "bin" / "python3"
    python3.parent.mkdir()
    python3.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')
    python3.chmod(0o755)
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "MFLAGS"))
    }
    clean |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PATH": f"{python3.parent}:{os.environ['PATH']}",
    }

    def start(*arguments):
        process = subprocess.Popen(
            ["make", *arguments],
            cwd=project,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        process.said = lambda: (process.communicate(timeout=120)[0], process.returncode)[::-1]
        return process

    start.python3 = python3
    return start


def test_make_sets_up_once_and_knows_when_once_more(project, make):
    parallel = [make("-j4", "setup") for _ in range(3)]
    said = [process.said() for process in parallel]
    assert [code for code, _ in said] == [0, 0, 0], said
    assert "".join(text for _, text in said).count("Installing into .venv (first call)") == 1

    def would_set_up(*arguments):
        return "tools/setup.py" in make("-n", "setup", *arguments).said()[1]

    assert not would_set_up()
    good = make.python3.read_text()
    make.python3.write_text("#!/bin/sh\necho too new; exit 1\n")
    assert make("setup").said()[0] == 0  # the .venv works, whatever python3 is today
    make.python3.write_text(good)
    assert would_set_up("PYTHON=python3")
    assert "--exactly" in make("-n", "setup", "PYTHON=python3").said()[1]

    os.utime(project / "pyproject.toml")
    assert would_set_up()
    assert make("setup").said()[0] == 0 and not would_set_up()
    moved = project.rename(project.with_name("elsewhere"))
    project.symlink_to(moved)
    assert would_set_up()
    project.unlink()
    moved.rename(project)
    assert not would_set_up()
    python = project / ".venv" / "bin" / "python"
    python.rename(python.with_name("gone"))
    assert would_set_up()
    python.with_name("gone").rename(python)

    (project / "requirements.txt").write_text("no-such-package==1.0\n")
    code, text = make("test").said()
    assert (
        code
        and "No matching distribution found for no-such-package" in text
        and "pip could not install" in text
    )
    assert "Traceback" not in text and would_set_up()


def test_make_alone_lists_the_commands(make):
    code, text = make().said()
    assert code == 0
    for command in ("lab", "test", "notebooks", "tensorboard", "benchmark"):
        assert f"make {command} " in text


def test_make_without_python_is_a_message(make):
    code, text = make("setup", "PYTHON=python3.99").said()
    assert code and "python3.99 is not installed: the course needs Python 3.11 to 3.13" in text


def test_make_hands_on_folders_as_they_are(project, make, monkeypatch):
    """cnn_utils.folder makes them absolute; a shell must not even read them."""
    name = "$(touch read) `touch read` \"my 'data\\"
    (project / "Makefile").open("a").write("\nshow:\n\t@printenv CNN_UTILS_DATA\n")
    monkeypatch.setenv("CNN_UTILS_DATA", name)
    done = subprocess.run(
        ["make", "--no-print-directory", "show"], cwd=project, capture_output=True, text=True
    )
    assert done.stdout == f"{name}\n" and not (project / "read").exists()
