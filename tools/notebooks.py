"""Re-execute the notebooks and store them in the one form that the repository keeps.

``python -m tools.notebooks`` runs all of them on the full data sets, ``python -m tools.notebooks 02 06`` only those.
A notebook that fails is left as it was. The cell whose picture the README shows is tagged ``readme-picture``; that
whose ``explorer`` the pages show alive, ``page-explorer``: its network is kept for them.
"""

import ast
import math
import os
import re
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools import sealed
from tools.kernels import Kernel

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
README = FOLDER.parent / "README.md"
README_PICTURE = FOLDER / "window.png"
README_TAG = "readme-picture"
EXPLORER_TAG = "page-explorer"
NETWORKS = FOLDER.parent / "pages" / "networks"
KEEP_NETWORK = """
import numpy
weights = [weight.astype("float16") for weight in explorer._model.get_weights()]  # half the size
images = numpy.frombuffer(explorer._images, "float32").reshape(-1, *explorer.image.shape)
kept = {{"model": explorer._model.to_json(), "images": numpy.round(images * 255).astype("uint8")}}
numpy.savez_compressed({path!r}, *weights, **kept, selected=repr(explorer._selected))
"""
FIGURE = re.compile(r"^\*Figure:\* (.+)$", re.MULTILINE)  # what the picture above shows: its alternative text
TIME = re.compile(r"\*\*Time:\*\* (\d+ minutes) to read, (.+?) to run on two CPU cores")


def paths():
    """The notebooks, in reading order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def figure_texts(notebook):
    """Yield ``(cell, alternative text or None)`` for each code cell that shows a picture.

    The text stands in the Markdown behind the picture, where it gives no answer away.
    """
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if cell.cell_type == "code" and any("image/png" in output.get("data", {}) for output in cell.outputs):
            found = FIGURE.search(after.source) if after and after.cell_type == "markdown" else None
            yield cell, found and found[1]


def ledger():
    """Read notebooks/CLAIMS.md: claim id -> (claim, numbers of the notebooks that prove it, verdict)."""
    row = re.compile(r"^\| ([A-J]\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
    rows = row.findall((FOLDER / "CLAIMS.md").read_text())
    if len({name for name, *_ in rows}) < len(rows):
        raise ValueError("CLAIMS.md lists a claim twice")
    return {
        name: (claim, set(re.findall(r"\]\((\d\d)_", where)), verdict) for name, claim, where, verdict in rows
    }


def readme_picture(notebook):
    """The picture of the cell tagged for the README, as the bytes of a PNG; None when no cell is."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if README_TAG in tags(cell) and "image/png" in output.get("data", {}):
                return b64decode(output.data["image/png"])
    return None


def normalise(notebook):
    """Keep what a reader sees and what is compared; drop what changes from one machine to the next."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.source = cell.source.rstrip()
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in ("tags", "reason") if cell.metadata.get(key)}
        )
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    for cell, text in figure_texts(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.metadata = nbformat.from_dict({"image/png": {"alt": text}} if text else {})
    return notebook


def _merge_streams(outputs):
    """Join what the kernel happened to send in pieces."""
    merged = []
    for output in outputs:
        if (
            merged
            and output.output_type == "stream"
            and merged[-1].output_type == "stream"
            and merged[-1].name == output.name
        ):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def keep_stills(notebook):
    """Store a picture in the place of each live widget: its own, or what its output area shows."""
    stored = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in code_cells(notebook):
        kept = []
        for output in cell.outputs:
            view = output.get("data", {}).pop(WIDGET_VIEW, None)
            if view is None or "image/png" in output.data:
                kept.append(output)
            else:
                kept += _shown_in(stored, view["model_id"])
        cell.outputs = kept


def _shown_in(stored, model_id):
    """The pictures in the output areas of a widget and its children."""
    state = stored.get(model_id, {}).get("state", {})
    pictures = [output for output in state.get("outputs", []) if "image/png" in output.get("data", {})]
    for child in state.get("children", []):
        pictures += _shown_in(stored, child.removeprefix("IPY_MODEL_"))
    return pictures


def execute(path):
    """Run one notebook from top to bottom and store it; raise, and store nothing, when a cell fails or writes to stderr."""
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        kernel_manager_class=Kernel,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    start = time.perf_counter()
    with client.setup_kernel():  # not client.execute(), which turns Ctrl-C into a puzzle
        for place, cell in enumerate(notebook.cells):
            client.execute_cell(cell, place)
        client.set_widgets_metadata()
        if any(EXPLORER_TAG in tags(cell) for cell in code_cells(notebook)):
            _keep_network(client, path)
    _state_the_time(notebook, time.perf_counter() - start)
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                raise RuntimeError(f"{path.name}: a cell wrote to stderr:\n{cell.source}\n---\n{output.text}")
    keep_stills(notebook)
    write(normalise(notebook), path)
    picture = readme_picture(notebook)
    if picture:
        README_PICTURE.write_bytes(picture)


def _keep_network(client, path):
    """Let the kernel write the network of its ``explorer`` and the images offered, once all cells have run."""
    NETWORKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=NETWORKS) as folder:
        kept = Path(folder) / f"{path.stem}.npz"
        client.nb.cells.append(nbformat.v4.new_code_cell(KEEP_NETWORK.format(path=str(kept))))
        try:
            client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
        finally:
            client.nb.cells.pop()
        kept.replace(NETWORKS / kept.name)


def kept_network(path):
    """(model, images, what is selected) of a file in `NETWORKS`."""
    from cnn_utils import keras

    with np.load(path) as kept:
        model = keras.models.model_from_json(str(kept["model"]))
        model.set_weights([kept[f"arr_{place}"] for place in range(len(model.weights))])
        return model, kept["images"] / np.float32(255), ast.literal_eval(str(kept["selected"]))


def _state_the_time(notebook, seconds):
    """Put the measured time into the opening, unless what stands there holds: not exceeded, not twice too large."""
    opening = notebook.cells[0]
    reading, stated = TIME.search(opening.source).groups()
    number, unit = stated.split()
    limit = int(number) * (60 if unit.startswith("minute") else 1)
    if not limit / 2 <= seconds <= limit:
        rounded = (
            f"{5 * math.ceil(seconds / 5)} seconds" if seconds <= 60 else f"{math.ceil(seconds / 60)} minutes"
        )
        opening.source = opening.source.replace(
            f"{reading} to read, {stated}", f"{reading} to read, {rounded}"
        )


def times(notebook):
    """What the opening says: minutes to read, and seconds or minutes to run, as the README writes them."""
    return [
        re.sub("seconds", "s", re.sub("minutes?", "min", part))
        for part in TIME.search(notebook.cells[0].source).groups()
    ]


def copy_times_to_readme():
    """The table of notebooks in the README repeats what each opening says."""
    lines = README.read_text().splitlines()
    for path in paths():
        row = next((place for place, line in enumerate(lines) if f"](notebooks/{path.name}) |" in line), None)
        if row is not None:
            before = lines[row].rsplit("|", 3)[0]
            lines[row] = f"{before}| {' | '.join(times(read(path)))} |"
    _replace(README, lambda temporary: temporary.write_text("\n".join(lines) + "\n"))


def write(notebook, path):
    nbformat.validate(notebook)
    _replace(path, lambda temporary: nbformat.write(notebook, temporary))


def _replace(path, write_to):
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write_to(Path(name))
        Path(name).chmod(0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def chosen(names):
    """The notebooks that these names mean: a number, a file name or a path; all without a name."""
    found = []
    for name in names:
        fitting = [path for path in paths() if path.name.startswith(Path(name).name)]
        if not fitting:
            there = ", ".join(path.name for path in paths())
            raise ValueError(f"no notebook is called {name}; there are {there}")
        found += fitting
    return sorted(set(found)) or paths()


def main(names):
    """Run and store them, one after the other; return how many failed."""
    os.environ.setdefault("CNN_UTILS_SOURCE", "full")
    failed = 0
    for path in chosen(names):
        start = time.perf_counter()
        try:
            execute(path)
        except (CellExecutionError, RuntimeError) as error:
            failed += 1
            print(f"{path.name}: left as it was\n{error}", file=sys.stderr)
        else:
            size = path.stat().st_size / 1e3
            print(f"{path.name}: {time.perf_counter() - start:.0f} s, {size:.0f} kB", flush=True)
    copy_times_to_readme()
    return failed


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory(prefix="cnn_utils_", ignore_cleanup_errors=True) as scratch:
            sealed.seal(scratch)
            sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped: the notebook that was running is left as it was.")
