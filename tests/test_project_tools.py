"""The tools behind make: storing notebooks, starting JupyterLab and TensorBoard. (Set-up has a file of its own.)"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import notebooks, start

ROOT = Path(__file__).resolve().parent.parent
OPENING = "# 3 · Pool\n\n**Time:** 40 minutes to read, {} to run on two CPU cores. Onward."
PNG = {"image/png": "aGVsbG8="}


def opened(stated="15 seconds", *cells):
    return new_notebook(cells=[new_markdown_cell(OPENING.format(stated)), *cells])


@pytest.mark.parametrize(
    ("stated", "measured", "then"),
    [
        ("15 seconds", 15.0, "15 seconds"),  # not exceeded
        ("15 seconds", 7.5, "15 seconds"),  # nor twice too large
        ("15 seconds", 15.1, "20 seconds"),
        ("15 seconds", 7.4, "10 seconds"),
        ("15 seconds", 61.0, "2 minutes"),
        ("1 minute", 60.0, "1 minute"),
        ("2 minutes", 59.0, "60 seconds"),
        ("2 minutes", 150.0, "3 minutes"),
    ],
)
def test_a_stated_time_stands_as_long_as_it_holds(stated, measured, then):
    notebook = opened(stated)
    notebooks._state_the_time(notebook, measured)
    assert notebook.cells[0].source == OPENING.format(then)


@pytest.mark.parametrize(
    ("stated", "short"), [("15 seconds", "15 s"), ("1 minute", "1 min"), ("2 minutes", "2 min")]
)
def test_times_are_abbreviated_for_the_readme(stated, short):
    assert notebooks.times(opened(stated)) == ["40 min", short]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with two notebooks, a README that lists one of them, and nothing else."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "README", tmp_path / "README.md")
    monkeypatch.setattr(notebooks, "README_PICTURE", tmp_path / "notebooks" / "window.png")
    for name in ("03_pooling", "06_mnist"):
        nbformat.write(opened("15 seconds", new_code_cell("1 + 1")), tmp_path / "notebooks" / f"{name}.ipynb")
    row = "| [3 · Pooling](notebooks/03_pooling.ipynb) | what it | keeps | 1 min | 2 s |"
    (tmp_path / "README.md").write_text(f"# Course\n\n{row}\nSee [it](notebooks/03_pooling.ipynb), too.\n")
    return tmp_path / "notebooks"


def test_the_readme_repeats_what_the_openings_say_and_nothing_else_changes(folder):
    notebooks.copy_times_to_readme()
    row = "| [3 · Pooling](notebooks/03_pooling.ipynb) | what it | keeps | 40 min | 15 s |"
    expected = f"# Course\n\n{row}\nSee [it](notebooks/03_pooling.ipynb), too.\n"
    assert notebooks.README.read_text() == expected
    assert sorted(path.name for path in folder.parent.iterdir()) == ["README.md", "notebooks"]


def test_the_normal_form_keeps_what_is_seen_and_compared():
    figure = new_code_cell("draw()  \n", execution_count=1, metadata={"tags": ["B1"], "scrolled": True})
    figure.outputs = [
        new_output("stream", name="stdout", text="one "),
        new_output("stream", name="stdout", text="two"),
        new_output("stream", name="stderr", text="three"),
        new_output("display_data", data=PNG, metadata={"image/png": {"width": 9}}),
    ]
    bare = new_code_cell("draw()", outputs=[new_output("display_data", data=PNG, metadata={"x": 1})])
    notebook = opened("1 minute", figure, new_markdown_cell("*Figure:* A grid.\n\nMore."), bare)
    notebook.metadata["widgets"] = {"state": {}}
    normal = notebooks.normalise(notebook)
    assert set(normal.metadata) == {"kernelspec", "language_info"}
    assert (figure.source, figure.metadata, figure.execution_count) == ("draw()", {"tags": ["B1"]}, 1)
    assert [output.get("text") for output in figure.outputs] == ["one two", "three", None]
    assert figure.outputs[2].metadata == {"image/png": {"alt": "A grid."}}
    assert bare.outputs[0].metadata == {}
    once = nbformat.writes(normal)
    assert nbformat.writes(notebooks.normalise(normal)) == once


def test_a_live_widget_leaves_its_picture():
    picture = {"output_type": "display_data", "data": PNG, "metadata": {}}
    words = {"output_type": "stream", "name": "stdout", "text": "words"}
    states = {
        "slider": {"state": {"children": ["IPY_MODEL_area"]}},
        "area": {"state": {"outputs": [words, picture]}},
        "explorer": {"state": {}},
    }

    def view(model, **more):
        return new_output("display_data", data={notebooks.WIDGET_VIEW: {"model_id": model}} | more)

    cells = [
        new_code_cell("slide()", outputs=[view("slider"), new_output("stream", text="said")]),
        new_code_cell("explore()", outputs=[view("explorer", **PNG)]),
        new_code_cell("gone()", outputs=[view("nobody")]),
    ]
    notebook = opened("1 minute", *cells)
    notebook.metadata["widgets"] = {notebooks.WIDGET_STATE: {"state": states}}
    notebooks.keep_stills(notebook)
    assert cells[0].outputs == [picture, new_output("stream", text="said")]
    assert [output.data for output in cells[1].outputs] == [PNG]
    assert cells[2].outputs == []


def test_the_picture_for_the_readme_is_the_tagged_one():
    outputs = [new_output("display_data", data=PNG)]
    plain = new_code_cell("first()", outputs=[new_output("display_data", data={"image/png": "eA=="})])
    tagged = new_code_cell("second()", outputs=outputs, metadata={"tags": ["readme-picture"]})
    assert notebooks.readme_picture(opened("1 minute", plain, tagged)) == b"hello"
    assert notebooks.readme_picture(opened("1 minute", plain)) is None


def test_a_name_is_a_number_a_file_or_a_path_and_must_fit(folder):
    three, six = notebooks.paths()
    assert notebooks.chosen([]) == [three, six]
    assert notebooks.chosen(["06", "notebooks/03_pooling.ipynb", "06_mnist"]) == [three, six]
    assert notebooks.chosen(["06"]) == [six]
    with pytest.raises(
        ValueError, match="no notebook is called 09; there are 03_pooling.ipynb, 06_mnist.ipynb"
    ):
        notebooks.chosen(["03", "09"])


def test_a_notebook_is_stored_after_it_ran_and_left_alone_when_it_fails(folder, monkeypatch, capsys):
    three, six = notebooks.paths()
    draw = new_code_cell(
        "import IPython.display as d; d.Image(b'hello', format='png')", metadata={"tags": ["readme-picture"]}
    )
    nbformat.write(opened("1 minute", draw), three)
    nbformat.write(opened("1 minute", new_code_cell("import sys; print('red', file=sys.stderr)")), six)
    before = six.read_text()
    monkeypatch.setenv("CNN_UTILS_SOURCE", "sample")
    assert notebooks.main([]) == 1
    out, error = capsys.readouterr()
    assert out.startswith("03_pooling.ipynb: ") and " s, " in out and out.endswith(" kB\n")
    assert error.startswith("06_mnist.ipynb: left as it was\n") and "red" in error
    assert six.read_text() == before and "execution_count" in three.read_text()
    assert notebooks.README_PICTURE.read_bytes() == b"hello"
    assert notebooks.times(notebooks.read(three)) != ["40 min", "1 min"]  # it took seconds
    assert " s |" in notebooks.README.read_text()


def test_an_unknown_name_is_one_line_and_leaves_nothing_behind(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tools.notebooks", "nonsense"],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert (
        done.stderr.startswith("no notebook is called nonsense; there are 0") and done.stderr.count("\n") == 1
    )
    assert list(tmp_path.iterdir()) == []


# JupyterLab and TensorBoard ------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """What ``tools.start`` would become, instead of becoming it."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "CNN_UTILS_RUNS", "PATH", "PYTHONPATH", "HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    become = []
    monkeypatch.setattr(os, "execv", lambda program, command: become.append(command))
    return lambda *arguments: (start.main(list(arguments)), become[-1][1:])[1]


def test_lab_opens_the_first_notebook_for_this_machine_only(started):
    command = started("lab")
    assert command[:2] == ["-m", "jupyterlab"] and "--ip=127.0.0.1" in command
    assert f"--LabApp.default_url=/lab/tree/notebooks/{notebooks.paths()[0].name}" in command
    assert os.environ["PATH"].startswith(os.path.dirname(sys.executable) + os.pathsep)
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
    elsewhere = started("lab", "--ip=0.0.0.0", "--port=9000")
    assert elsewhere[-2:] == ["--ip=0.0.0.0", "--port=9000"] and "--ip=127.0.0.1" not in elsewhere


def test_lab_as_root_is_allowed_and_as_anyone_else_not_mentioned(started, monkeypatch):
    for user in (0, 1000):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert ("--allow-root" in started("lab")) == (user == 0)


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
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, ":0" if name == display else "")
    assert ("--no-browser" not in started("lab")) == browser


def test_a_home_that_cannot_be_written_is_replaced_in_one_line(started, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("HOME", "/nope")
    started("lab")
    assert os.environ["HOME"] == str(tmp_path / "home") and (tmp_path / "home").is_dir()
    assert (
        capsys.readouterr().out
        == f"The home folder /nope cannot be written: settings are kept in {tmp_path / 'home'}\n"
    )
    started("lab")
    assert capsys.readouterr().out == ""


def test_tensorboard_serves_the_folder_that_the_notebooks_write_to(started, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CNN_UTILS_RUNS", "~/my runs")
    (tmp_path / "my runs" / "mnist").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"Nothing to show yet: .*/my runs holds no logs\.\nRun a notebook"):
        started("tensorboard")
    (tmp_path / "my runs" / "mnist" / "events.out.tfevents.1.host").touch()
    logs = ["-m", "tensorboard.main", "--logdir", str(tmp_path / "my runs")]
    assert started("tensorboard") == [*logs, "--host", "127.0.0.1"]
    assert started("tensorboard", "--bind_all") == [*logs, "--bind_all"]
