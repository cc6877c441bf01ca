"""Run the benchmarks one after the other: all, or those that are named."""

import subprocess
import sys

PARTS = (
    "time_to_accuracy",
    "ladder",
    "layer_speed",
    "start_up",
    "tiny_network",
    "numpy_training",
    "fit_waits",
)

for part in sys.argv[1:] or PARTS:
    if part not in PARTS:
        raise SystemExit(f"{part!r} is not a benchmark: name some of {', '.join(PARTS)}")
    print(f"\n## {part}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=True)
