"""How long until something happens: the import, each notebook's first picture, and the tests, part by part.

``python -m benchmarks.start_up [--rounds 5] [--quick]``

A notebook's time runs from its first cell, in a kernel that is ready, to the first cell that shows a picture. The
tests run once, as ``make test`` does, on a machine that is set up.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from benchmarks import measure

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = {
    "nothing": "pass",
    "cnn_utils": "import cnn_utils",
    "NumPy": "import numpy",
    "NumPy and cnn_utils.plots": "import numpy; from cnn_utils import plots",
    "TensorFlow as it is": "import tensorflow",
    "TensorFlow by cnn_utils": "from cnn_utils import tf",
}


def main(arguments=None):
    given = measure.options(__doc__, arguments, rounds=5)
    rounds = 1 if given.quick else given.rounds
    runs = {name: lambda code=code: python("-c", code) for name, code in IMPORTS.items()}
    if given.quick:
        runs = {name: runs[name] for name in ("nothing", "cnn_utils")}
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))[: 1 if given.quick else None]
    pictures = {path.stem: lambda path=path: first_picture(path) for path in paths}
    imports = measure.interleaved(runs, rounds)
    results = {
        "python with an import": {name: measure.spread(many) for name, many in imports.items()},
        "first picture": {
            name: measure.spread(many) for name, many in measure.interleaved(pictures, min(rounds, 2)).items()
        },
    }
    if not given.quick:
        ways = imports["TensorFlow as it is"], imports["TensorFlow by cnn_utils"]
        results["times sooner by cnn_utils"] = measure.ratios(*ways)
        results["make test"] = tests()
    results = measure.rounded(results)
    print(report(results))
    measure.save(given.results, "start_up", results, figure(results))


def python(*arguments):
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT)


def first_picture(path):
    """Seconds from a notebook's first cell to its first picture."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}})
    client.extra_arguments = ["--log-level=ERROR"]
    with (
        tempfile.TemporaryDirectory() as runs,
        client.setup_kernel(env=os.environ | {"CNN_UTILS_RUNS": runs}),
    ):
        began = time.perf_counter()
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
                return time.perf_counter() - began
    raise ValueError(f"{path.name} shows no picture")


def tests():
    """One run of all tests on two workers: seconds in all, and of each file (of both workers together)."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "tests.xml"
        began = time.perf_counter()
        two = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
        command = [sys.executable, "-E", "-m", "pytest", "-q", *two, f"--junitxml={log}"]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # a failure takes time, too
        seconds = time.perf_counter() - began
        parts = Counter()
        for case in ElementTree.parse(log).iter("testcase"):
            parts[part_of(case.get("classname"))] += float(case.get("time"))
    return {"seconds": seconds, "parts": dict(parts.most_common())}


def part_of(name):
    """The file of a test, from pytest's dotted name for it: ``tests.test_x.TestY`` is ``tests/test_x``."""
    parts = name.replace("/", ".").removesuffix(".ipynb").split(".")
    return "/".join(part for part in parts if not part.startswith("Test") and part != "ipynb")


def report(results):
    tables = []
    for title in ("python with an import", "first picture"):
        rows = [(name, measure.shown(one, 2, " s")) for name, one in results[title].items()]
        tables.append(measure.table((title, "time"), rows))
    if "make test" in results:
        sooner = measure.shown(results["times sooner by cnn_utils"], 2, " times")
        tables.append(f"TensorFlow by cnn_utils: {sooner} sooner than as it is")
        everything = results["make test"]
        rows = [(name, f"{seconds:.1f} s") for name, seconds in everything["parts"].items() if seconds >= 0.5]
        tables.append(
            measure.table(("make test", f"{everything['seconds']:.0f} s, by part of two workers"), rows)
        )
    return "\n\n".join(tables)


def figure(results):
    from cnn_utils import plots

    names, found = list(results["first picture"])[::-1], results["first picture"]
    drawing = plots.curves(
        {"": ([found[name]["median"] for name in names], range(len(names)))},
        styles={"": {"marker": "o", "lw": 0}},
        title="From the first cell to the first picture",
        xlabel="seconds",
        size=(8, 0.4 * len(names) + 1),
    )
    drawing.axes.set_yticks(range(len(names)), names)
    drawing.axes.set_xlim(left=0)
    return drawing.figure


if __name__ == "__main__":
    main()
