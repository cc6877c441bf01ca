"""Notebooks in JupyterLab, as a reader runs them; TensorBoard under a cell."""

import json
import re
import time

from tests.browser.conftest import fetch
from tools import notebooks

WRITE_A_GRAPH = """
from cnn_utils import graphs, tf

@tf.function
def sine(x):
    return tf.sin(x, name="y")

folder = graphs.log_directory("sine")
graphs.write_function_graph(sine, folder, 1.0)
"""
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
SHOW = "graphs.show_tensorboard(folder)"
MAGIC = """
%load_ext tensorboard
%tensorboard --logdir {folder} --host 127.0.0.1 --port 0 --load_fast=false --reload_task=blocking --reload_interval=0
"""


def test_a_notebook_runs_from_top_to_bottom_with_nothing_in_red(lab, page):
    """The one with the sliders; nbval runs all, and test_pages shows what all have stored."""
    (path,) = notebooks.FOLDER.glob("02_*.ipynb")
    lab.run_notebook(page, path)


def test_tensorboard_under_a_cell_shows_the_graph_and_ends_with_the_kernel(lab, page):
    lab.open(page, lab.write("shown.ipynb", WRITE_A_GRAPH, SHOW, MAGIC))
    cells = lab.run_all(page)
    ours = tensorboard_address(cells[1])
    (info,) = (lab.temporary / ".tensorboard-info").glob("*.info")  # only the magic writes one
    magic = f"http://127.0.0.1:{json.loads(info.read_text())['port']}/"
    assert magic != ours and fetch(magic) and fetch(ours)
    assert nodes_under_a_cell(page, 0) == nodes_under_a_cell(page, 1) == ["x", "y"]

    page.evaluate(f"() => {KERNEL}.restart()")
    assert eventually(lambda: not info.exists() and not fetch(magic) and not fetch(ours))


def test_tensorboard_under_a_cell_leaves_nothing_when_the_kernel_is_killed(lab, page):
    lab.open(page, lab.write("killed.ipynb", WRITE_A_GRAPH, SHOW))
    before = set(lab.temporary.rglob(".tensorboard*"))
    address = tensorboard_address(lab.run_all(page)[1])
    assert fetch(address)

    page.evaluate(f"() => {{ {KERNEL}.requestExecute({{ code: 'import os; os.kill(os.getpid(), 9)' }}) }}")
    assert eventually(lambda: not fetch(address))
    assert set(lab.temporary.rglob(".tensorboard*")) == before


def tensorboard_address(cell):
    (line,) = (output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
    return re.search(r"http://127\.0\.0\.1:\d+/", line)[0]


def nodes_under_a_cell(page, index):
    drawn = page.frame_locator(f"iframe >> nth={index}").locator("g.node")
    drawn.first.wait_for()
    return sorted(drawn.evaluate_all("nodes => nodes.map(node => node.dataset.name)"))


def eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.2)
    return met
