"""Make every test run hermetic: the packaged sample, logs in a temporary folder, nobody's own settings.

Set CNN_UTILS_SOURCE=full (and CNN_UTILS_DATA, for a copy on disk) to run the notebooks on the full data sets instead.
"""

import atexit
import gc
import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import nbval.kernel
import pytest

from tools import sealed
from tools.kernels import BlockingKernel

if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers and their kernels inherit all of this
    if os.environ.get("CNN_UTILS_SOURCE") != "full":
        os.environ["CNN_UTILS_SOURCE"] = "sample"
        os.environ.pop("CNN_UTILS_DATA", None)
    _scratch = tempfile.mkdtemp(prefix="cnn_utils_tests_")
    atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
    sealed.seal(_scratch)
    os.environ["CNN_UTILS_RUNS"] = os.path.join(
        _scratch, "runs"
    )  # never the reader's: notebooks empty folders in it
THREADS = ["OPENBLAS_NUM_THREADS"]  # its threads spin while they wait
# on the full data the longest notebook trains for minutes when all others are done: TensorFlow may have both cores
if os.environ["CNN_UTILS_SOURCE"] != "full":
    THREADS += ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"]
SLOW = (
    "tests/browser/test_jupyterlab.py",  # all notebooks, one after the other
    "notebooks/",
    "tests/browser/",
    "tests/test_distributed.py",
    "tests/test_benchmarks.py",
    "tests/test_training.py",
    "tests/test_reference.py",
)


def pytest_configure(config):
    """Set up what the tests share: kernels without ports, and no more threads than there are cores.

    One thread for each of several workers: with more, they mostly wait for each other.
    """
    nbval.kernel.KernelManager = BlockingKernel
    if getattr(config.option, "numprocesses", None):  # before the workers start, and they inherit it
        os.environ |= dict.fromkeys(THREADS, "1")


def pytest_collection_modifyitems(items):
    """The slowest files first, so that no worker waits long for the other; of notebooks the last, which train most."""

    def turn(item):
        notebook = re.match(r"notebooks/(\d+)", item.nodeid)
        slow = [place for place, file in enumerate(SLOW) if item.nodeid.startswith(file)]
        return min(slow, default=len(SLOW)), -int(notebook[1]) if notebook else 0

    items.sort(key=turn)


def pytest_collection_finish():
    """What TensorFlow and the tests' modules hold stays: leave it out of every search for garbage, and search less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_unconfigure():
    """Nor is there a search when Python ends."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """No cell may write to stderr, which a reader sees in red; nbval looks only where outputs are compared."""
    yield
    for output in getattr(item, "test_outputs", None) or ():
        if output.get("name") == "stderr":
            pytest.fail(f"the cell wrote to stderr:\n{output.text}", pytrace=False)


def pytest_runtest_teardown(item, nextitem):
    """Say when a notebook has run to its end: `tests.browser.test_tensorboard` opens what some of them wrote."""
    if hasattr(item, "cell") and getattr(nextitem, "path", None) != item.path:
        ended = Path(os.environ["CNN_UTILS_RUNS"]) / "ended"
        ended.mkdir(parents=True, exist_ok=True)
        (ended / item.path.stem).touch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Under a notebook cell that failed, say which claims it was to prove."""
    report = yield
    if report.failed and hasattr(item, "cell"):
        from tools.notebooks import ledger

        claims = ledger()
        for tag in item.cell.metadata.get("tags", []):
            if tag in claims:
                report.sections.append(("claim that no longer holds", f"{tag} · {claims[tag][0]}"))
    return report


def pytest_terminal_summary(terminalreporter):
    """Say why tests were skipped, in one line for each reason."""
    skipped = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in skipped.items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")
