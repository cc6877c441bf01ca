"""What all benchmarks share: runs that take turns, medians with their range, the machine, tables and files."""

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def options(description, arguments, **more):
    """Parse the arguments that every part has: ``--quick`` for a tiny input, ``--results`` for the folder.

    ``more`` adds arguments: ``seeds=5`` is ``--seeds``, an int that is 5 unless given.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a tiny input: shows that it runs, measures nothing"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args(arguments)


def machine():
    """The machine in words that name nobody's computer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = {1: "one core", 2: "two cores"}
    packages = ("numpy", "tensorflow", "keras")
    return {
        "cores": names.get(cores, f"{cores} cores"),
        "processor": platform.machine(),
        "bfloat16 instructions": has_bfloat16(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def has_bfloat16():
    """Whether the processor computes with bfloat16 itself; where that cannot be told, no."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def precision():
    """What a quick network should compute with on this machine."""
    return "mixed_bfloat16" if has_bfloat16() else "float32"


def interleaved(contenders, rounds):
    """Time each of some functions, by name, ``rounds`` times in turn: name -> seconds of each round.

    In turn, so that whatever else the machine does meets all of them alike. A function may return its own
    seconds; the first round, in which caches fill, is extra and not counted.
    """
    seconds = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            own = run()
            if turn:
                took = time.perf_counter() - began
                seconds[name].append(own if isinstance(own, float) else took)
    return seconds


def spread(values):
    """Median and range of some numbers; None stands for "never" and counts as larger than all others."""
    ordered = sorted(float("inf") if value is None else value for value in values)
    middle = statistics.median(ordered)
    return {
        name: None if value == float("inf") else value
        for name, value in (("median", middle), ("low", ordered[0]), ("high", ordered[-1]))
    }


def ratios(slow, fast):
    """Median and range of how many times faster ``fast`` was, round by round; rounds without an end left out."""
    pairs = [(a, b) for a, b in zip(slow, fast, strict=False) if a is not None and b is not None]
    return spread([a / b for a, b in pairs]) if pairs else None


def shown(numbers, digits=1, unit=""):
    """A median with its range, as text: ``2.1 (1.9 to 2.4) s``."""
    if numbers is None or numbers["median"] is None:
        return "not reached"
    low, middle, high = (
        "never" if numbers[name] is None else f"{numbers[name]:.{digits}f}"
        for name in ("low", "median", "high")
    )
    return f"{middle} ({low} to {high}){unit}"


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def rounded(value):
    """The results with four significant digits, which is more than any time is worth."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def save(folder, name, results=None, figure=None):
    """Write the results, with the machine, to ``name.json``, and the figure to ``name.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    if results is not None:
        text = json.dumps({"machine": machine(), **results}, indent=1)
        (folder / f"{name}.json").write_text(text + "\n")
    if figure is not None:
        figure.savefig(folder / f"{name}.png", dpi=130)


def full_mnist(quick=False):
    """The full MNIST; the packaged sample will not do, for its test images are not the official ones."""
    from cnn_utils import datasets

    if quick:  # a smoke test: a few digits show that all parts fit together
        sample = datasets.load("mnist", source="sample")
        few = {"x_train": 800, "y_train": 800, "x_test": 100, "y_test": 100}
        return replace(sample, **{part: getattr(sample, part)[:count] for part, count in few.items()})
    if os.environ.get("CNN_UTILS_SOURCE") == "sample":
        raise SystemExit(
            "CNN_UTILS_SOURCE=sample: the benchmark needs the full MNIST with its official test set. Unset it; "
            "without a network, set CNN_UTILS_DATA to a folder with mnist.npz"
        )
    try:
        return datasets.load("mnist", source="full")
    except FileNotFoundError as missing:
        raise SystemExit(
            f"The benchmark needs the full MNIST with its official test set. {missing}"
        ) from None
