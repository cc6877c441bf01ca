"""The set-up script behind the Makefile: what it installs when, and what it says when it cannot.

Nothing is fetched: pip runs without an index, on a requirements file that asks for nothing.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / ".ci" / "setup.py"
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = {"3.11": "3.12"}.get(THIS, "3.11")


@pytest.fixture
def project(tmp_path):
    """A copy of the project as far as set-up sees it."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_second.ipynb").touch()
    (tmp_path / "notebooks" / "01_first.ipynb").touch()
    return tmp_path


@pytest.fixture
def setup(project, monkeypatch):
    """The script as a module, in that copy, with pip and venv replaced: ``setup.commands`` is what it ran."""
    spec = importlib.util.spec_from_file_location("course_setup", project / ".ci" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.commands, module.pip_answer = [], (0, ["Successfully installed"])

    def run(command, show=lambda line: None):
        module.commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (project / ".venv" / "pyvenv.cfg").touch()
            return 0, deque()
        code, lines = module.pip_answer
        if code is KeyboardInterrupt:
            raise KeyboardInterrupt
        for line in lines:
            show(line)
        return code, deque(lines)

    module.inside = THIS  # the version of the Python in .venv
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(
        module, "version_of", lambda python: module.inside if python == module.PYTHON else None
    )
    monkeypatch.setattr(module, "free_bytes", lambda: 50e9)
    for become in ("execv", "execvp"):  # a slip here must not replace the test run itself
        monkeypatch.setattr(os, become, lambda *command: pytest.fail(f"became {command}"))
    return module


def steps(setup):
    """Which of "venv" and "pip" ran since the last call."""
    ran = [command[2] for command in setup.commands]
    setup.commands.clear()
    return ran


# When something is installed ------------------------------------------------------------


def test_first_call_installs_and_second_does_nothing(setup, project, capsys):
    assert setup.main([]) == 0
    assert steps(setup) == ["venv", "pip"]
    assert "Installing into .venv (first call)" in capsys.readouterr().out
    assert not (project / ".venv" / "set-up-unfinished").exists()
    assert setup.main([]) == 0
    assert steps(setup) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_without_starting_afresh(setup, project, capsys, name):
    setup.main([])
    steps(setup)
    (project / name).write_text("# something else\n")
    assert setup.main([]) == 0
    assert steps(setup) == ["pip"]
    assert f"Updating .venv ({name} changed)" in capsys.readouterr().out
    setup.main([])
    assert steps(setup) == []


def test_another_python_inside_venv_starts_afresh(setup, capsys):
    setup.main([])
    steps(setup)
    setup.inside = OTHER  # the system's python3 moved on under it
    assert setup.main([]) == 0
    assert steps(setup) == ["venv", "pip"]
    assert f"Python is {OTHER} now, was {THIS}" in capsys.readouterr().out


def test_working_venv_is_kept_unless_a_python_is_named(setup, monkeypatch, capsys):
    setup.main([])
    steps(setup)
    monkeypatch.setattr(setup, "running_version", lambda: OTHER)
    assert setup.main([]) == 0
    assert steps(setup) == []
    assert setup.main(["--exactly"]) == 0
    assert steps(setup) == ["venv", "pip"]
    assert f"it has Python {THIS}, not {OTHER}" in capsys.readouterr().out


def test_broken_venv_starts_afresh(setup, project, capsys):
    setup.main([])
    steps(setup)
    setup.inside = None
    (project / ".venv" / "left-over").touch()
    setup.main([])
    assert steps(setup) == ["venv", "pip"]
    assert "does not start" in capsys.readouterr().out
    assert not (project / ".venv" / "left-over").exists()


@pytest.mark.parametrize("stamp", ["", "not json"])
def test_unreadable_stamp_is_no_stamp(setup, project, stamp):
    setup.main([])
    steps(setup)
    (project / ".venv" / "set-up.json").write_text(stamp)
    assert setup.main([]) == 0
    assert steps(setup) == ["pip"]


def test_moved_folder_starts_afresh(setup, project, capsys):
    setup.main([])
    steps(setup)
    path = project / ".venv" / "set-up.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "folder": "/elsewhere/.venv"}))
    setup.main([])
    assert steps(setup) == ["venv", "pip"]
    assert "moved or copied" in capsys.readouterr().out


def test_interrupted_install_starts_afresh(setup, project, capsys):
    setup.pip_answer = KeyboardInterrupt, []
    assert setup.main([]) == 130
    assert "Stopped" in capsys.readouterr().err
    assert not (project / ".venv" / "set-up.json").exists()
    setup.pip_answer = 0, []
    steps(setup)
    assert setup.main([]) == 0
    assert steps(setup) == ["venv", "pip"]
    assert "did not finish" in capsys.readouterr().out


def test_interrupted_update_does_not_count_as_installed(setup, project):
    setup.main([])
    (project / "requirements.txt").write_text("# more\n")
    setup.pip_answer = KeyboardInterrupt, []
    setup.main([])
    (project / "requirements.txt").write_text("# nothing\n")  # as it was when all was well
    setup.pip_answer = 0, []
    steps(setup)
    setup.main([])
    assert steps(setup) == ["venv", "pip"]


def test_requirements_changed_while_pip_runs_are_installed_by_the_next_call(setup, project, monkeypatch):
    run = setup.run

    def edited_meanwhile(command, show=lambda line: None):
        (project / "requirements.txt").write_text("# edited\n")
        return run(command, show)

    setup.main([])
    (project / "pyproject.toml").write_text("# changed\n")
    monkeypatch.setattr(setup, "run", edited_meanwhile)
    setup.main([])
    monkeypatch.setattr(setup, "run", run)
    steps(setup)
    setup.main([])
    assert steps(setup) == ["pip"]


def test_venv_made_by_hand_is_completed_not_removed(setup, project):
    (project / ".venv").mkdir()
    (project / ".venv" / "pyvenv.cfg").touch()
    (project / ".venv" / "mine").touch()
    assert setup.main([]) == 0
    assert steps(setup) == ["pip"]
    assert (project / ".venv" / "mine").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_something_else_called_venv_is_left_alone(setup, project, capsys, kind):
    setup.inside = None
    path = project / ".venv"
    if kind == "file":
        path.write_text("mine")
    else:
        real = path if kind == "folder" else project / "real"
        real.mkdir()
        (real / "mine").touch()
        if kind == "link":
            (real / "pyvenv.cfg").touch()
            path.symlink_to(real)
    assert setup.main([]) == 1
    assert "is not a virtual environment.\nMove it away" in capsys.readouterr().err
    assert path.is_file() if kind == "file" else (path / "mine").exists()


# What is said when it cannot ------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14"])
def test_unsuitable_python_without_another_is_a_message(setup, monkeypatch, capsys, version):
    monkeypatch.setattr(setup, "running_version", lambda: version)
    assert setup.main([]) == 1
    error = capsys.readouterr().err
    assert f"This is Python {version} (" in error
    assert "needs Python 3.11, 3.12 or 3.13" in error
    assert steps(setup) == []


def test_unsuitable_python_hands_over_to_a_suitable_one_on_the_path(setup, monkeypatch, capsys):
    class Replaced(Exception):
        pass

    def execvp(name, arguments):
        raise Replaced(name, arguments)

    # python3.13 is there in name only, as a pyenv shim can be
    monkeypatch.setattr(setup, "version_of", {"python3.12": "3.12", "python3.11": "3.11"}.get)
    monkeypatch.setattr(setup, "running_version", lambda: "3.9")
    monkeypatch.setattr(os, "execvp", execvp)
    with pytest.raises(Replaced) as replaced:
        setup.main(["lab", "--port=9000"])
    name, arguments = replaced.value.args
    assert name == "python3.12"
    assert arguments == ["python3.12", str(Path(setup.__file__)), "lab", "--port=9000"]
    assert "Python 3.9 does not suit: using python3.12" in capsys.readouterr().out


def test_the_script_parses_in_old_pythons():
    """A Python too old for the course must reach the message: no syntax newer than 2.7."""
    tree = ast.parse(SCRIPT.read_text())
    newer = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.AsyncFunctionDef,
        ast.Nonlocal,
        ast.Match,
        ast.YieldFrom,
    )
    for node in ast.walk(tree):
        assert not isinstance(node, newer), ast.unparse(node)
        if isinstance(node, ast.FunctionDef):
            hints = [node.returns, *(a.annotation for a in node.args.args), *node.args.kwonlyargs]
            assert not any(hints), node.name
        if isinstance(node, ast.Raise):
            assert node.cause is None, ast.unparse(node)
        if isinstance(node, (ast.Call, ast.List, ast.Tuple)):
            stars = [
                a for a in getattr(node, "args", getattr(node, "elts", [])) if isinstance(a, ast.Starred)
            ]
            assert not stars, ast.unparse(node)
    assert SCRIPT.read_text().isascii()


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_missing_venv_module_names_the_package_to_install(setup, project, monkeypatch, capsys, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert setup.main([]) == 1
    assert f"apt-get install python{THIS}-venv" in capsys.readouterr().err
    assert not (project / ".venv").exists()


def test_little_room_is_a_message_with_both_figures(setup, project, monkeypatch, capsys):
    monkeypatch.setattr(setup, "free_bytes", lambda: 1.26e9)
    assert setup.main([]) == 1
    assert ".venv needs about 4 GB, and 1.3 GB are free" in capsys.readouterr().err
    assert not (project / ".venv").exists()


def test_room_is_measured_only_for_a_first_install(setup, project, monkeypatch):
    setup.main([])
    monkeypatch.setattr(setup, "free_bytes", lambda: 0)
    (project / "requirements.txt").write_text("# changed\n")
    assert setup.main([]) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'",
            "No connection to the package index",
        ),
        ("ProxyError('Cannot connect to proxy.')", "No connection to the package index"),
        ("Temporary failure in name resolution", "No connection to the package index"),
        ("ERROR: Could not install packages due to an OSError: No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for tensorflow==2.21.0", "Try another Python"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "could not be trusted"),
        ("ERROR: something nobody thought of", "remove the folder .venv"),
    ],
)
def test_pip_failure_shows_its_last_lines_and_what_to_try(setup, project, capsys, line, said):
    setup.pip_answer = (
        1,
        [f"noise {i}" for i in range(40)]
        + [line, "ERROR: No matching distribution found"][: 1 + ("Ret" in line)],
    )
    assert setup.main([]) == 1
    error = capsys.readouterr().err
    assert "pip could not install the course's packages. Its last lines:" in error
    assert line in error and said in error
    assert "noise 39" in error and "noise 10\n" not in error
    assert not (project / ".venv" / "set-up.json").exists()


def test_pip_that_failed_before_writing_is_continued_and_after_writing_started_afresh(setup):
    setup.pip_answer = 1, ["ERROR: no network"]
    setup.main([])
    steps(setup)
    setup.main([])
    assert steps(setup) == ["pip"]
    setup.pip_answer = 1, ["Installing collected packages: a, b", "ERROR: No space left on device"]
    setup.main([])
    steps(setup)
    setup.pip_answer = 0, []
    setup.main([])
    assert steps(setup) == ["venv", "pip"]


def test_failed_update_keeps_the_venv_and_the_next_call_tries_again(setup, project):
    setup.main([])
    (project / "requirements.txt").write_text("# more\n")
    setup.pip_answer = 1, ["ERROR: no network"]
    assert setup.main([]) == 1
    steps(setup)
    setup.pip_answer = 0, []
    assert setup.main([]) == 0
    assert steps(setup) == ["pip"]


def test_progress_is_the_large_downloads_only(setup, capsys):
    setup.pip_answer = (
        0,
        [
            "Collecting tensorflow==2.21.0",
            "  Downloading tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl.metadata (4.4 kB)",
            "Downloading tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl (572.3 MB)",
            "Using cached https://host/jupyterlab-4.6.6-py3-none-any.whl (17.0 MB)",
            "Downloading nbval-0.11.0-py2.py3-none-any.whl (24 kB)",
            "Downloading kiwisolver-1.4.9-cp311-cp311-manylinux.whl (1.4 MB)",
            "Installing collected packages: tensorflow",
        ],
    )
    setup.main([])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["  tensorflow 2.21.0, 572 MB", "  jupyterlab 4.6.6, 17 MB", "  unpacking", "Ready."]


# The commands ------------------------------------------------------------


@pytest.fixture
def started(setup, monkeypatch):
    """Run ``setup.main`` with these arguments and return the command it becomes."""

    class Replaced(Exception):
        pass

    def execv(program, arguments):
        raise Replaced(program, arguments)

    def start(*arguments):
        monkeypatch.setattr(os, "execv", execv)
        with pytest.raises(Replaced) as replaced:
            setup.main(list(arguments))
        return replaced.value.args[1]

    monkeypatch.setenv("PATH", os.environ["PATH"])
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "CNN_UTILS_RUNS"):
        monkeypatch.delenv(variable, raising=False)
    return start


def test_lab_opens_the_first_notebook_for_this_machine_only(started, project):
    command = started("lab")
    assert command[:3] == [str(project / ".venv" / "bin" / "python"), "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/notebooks/01_first.ipynb" in command
    assert "--ip=127.0.0.1" in command
    assert os.environ["PATH"].startswith(str(project / ".venv" / "bin") + os.pathsep)


def test_lab_as_root_is_allowed_and_as_anyone_else_not_mentioned(started, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--allow-root" in started("lab")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--allow-root" not in started("lab")


@pytest.mark.parametrize(
    ("platform", "display", "browser"),
    [
        ("linux", None, False),
        ("linux", "DISPLAY", True),
        ("linux", "WAYLAND_DISPLAY", True),
        ("darwin", None, True),
    ],
)
def test_lab_opens_no_browser_on_linux_without_a_display(started, monkeypatch, platform, display, browser):
    monkeypatch.setattr(sys, "platform", platform)
    if display:
        monkeypatch.setenv(display, ":0")
    assert ("--no-browser" not in started("lab")) == browser


def test_lab_arguments_go_through_and_an_address_replaces_ours(started):
    command = started("lab", "--ip=0.0.0.0", "--port=9000")
    assert command[-2:] == ["--ip=0.0.0.0", "--port=9000"]
    assert "--ip=127.0.0.1" not in command


@pytest.mark.parametrize("runs", [None, "elsewhere"])
def test_tensorboard_serves_the_runs_for_this_machine_only(started, project, monkeypatch, runs):
    if runs:
        monkeypatch.setenv("CNN_UTILS_RUNS", str(project / runs))
    folder = project / (runs or "runs")
    (folder / "mnist" / "train").mkdir(parents=True)
    (folder / "mnist" / "train" / "events.out.tfevents.1.host").touch()
    command = started("tensorboard", "--port=7000")
    assert command[1:] == [
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port=7000",
    ]


def test_tensorboard_without_runs_says_how_to_get_some(setup, project, monkeypatch, capsys):
    monkeypatch.delenv("CNN_UTILS_RUNS", raising=False)
    (project / "runs" / "empty").mkdir(parents=True)
    assert setup.main(["tensorboard"]) == 1
    assert re.search(r"Nothing to show yet: .*runs holds no logs\.\nRun a notebook", capsys.readouterr().err)


# For real ------------------------------------------------------------


def environment(**more):
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIP_", "PYTHON", "MAKE", "CNN_"))
    }
    return {**clean, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", **more}


def call(*command, cwd, **more):
    base = sys._base_executable
    return subprocess.run(
        [base, ".ci/setup.py", *command],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_real_venv_and_pip_then_nothing_then_a_failure(project):
    first = call(cwd=project)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines()[-1] == "Ready."
    second = call(cwd=project)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    (project / "requirements.txt").write_text("no-such-package==1.0\n")
    third = call(cwd=project)
    assert third.returncode == 1
    assert "ERROR: No matching distribution found for no-such-package==1.0" in third.stderr
    assert "Traceback" not in third.stderr
    assert not (project / ".venv" / "set-up.json").exists()


def test_version_of_a_python_that_is_missing_or_does_not_start_is_none(setup, tmp_path):
    spec = importlib.util.spec_from_file_location("course_setup_2", setup.__file__)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2; exit 127\n")
    shim.chmod(0o755)
    assert script.version_of(sys.executable) == THIS
    assert script.version_of(str(shim)) is None
    assert script.version_of(str(tmp_path / "nowhere")) is None


def test_two_calls_at_once_install_once(project):
    pair = [
        subprocess.Popen(
            [sys._base_executable, ".ci/setup.py"],
            cwd=project,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted(text.count("Ready.") for text in said) == [0, 1]


def make(*arguments, cwd, **more):
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60
    )


def test_make_alone_lists_the_commands(project):
    listed = make(cwd=project)
    assert listed.returncode == 0
    for command in ("make lab", "make test", "make notebooks", "make tensorboard"):
        assert command in listed.stdout


def test_make_passes_on_a_named_python_and_no_other(project):
    assert ".ci/setup.py --exactly" in make("-n", "test", "PYTHON=python3.12", cwd=project).stdout
    plain = make("-n", "test", cwd=project).stdout
    assert "python3 .ci/setup.py" in plain and "--exactly" not in plain


def test_make_without_python_is_a_message(project):
    answer = make("setup", "PYTHON=python3.99", cwd=project)
    assert answer.returncode != 0
    assert "python3.99 is not installed: the course needs Python 3.11 to 3.13" in answer.stdout


def test_make_turns_a_relative_data_folder_into_an_absolute_one(project):
    (project / "my data").mkdir()
    (project / "Makefile").open("a").write('\nshow:\n\t@echo "$$CNN_UTILS_DATA"\n')
    assert make("show", cwd=project, CNN_UTILS_DATA="my data").stdout == f"{project / 'my data'}\n"
    assert make("show", "CNN_UTILS_DATA=my data", cwd=project).stdout == f"{project / 'my data'}\n"
    assert make("show", cwd=project, CNN_UTILS_DATA="not here").stdout == "not here\n"
    assert make("show", cwd=project).stdout == "\n"
