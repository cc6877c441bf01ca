"""What every stored notebook must look like, and that the ledger of claims and the notebooks hold together."""

import json
import re
import statistics
from itertools import pairwise
from urllib.parse import urlparse

import pytest

from tools import notebooks
from tools.notebooks import FIGURE, FOLDER, code_cells, figure_texts, ledger, read, tags

PATHS = notebooks.paths()
APPENDIX = "12_every_case.ipynb"  # no exercises and no predictions: one sweep a section
CLAIMS = {"A": 6, "B": 13, "C": 7, "D": 8, "E": 5, "F": 7, "G": 3, "H": 9, "I": 3, "J": 4}
CLAIM_IDS = [f"{letter}{number}" for letter, count in CLAIMS.items() for number in range(1, count + 1)]
NBVAL_TAGS = {"nbval-ignore-output"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
MACHINE_PATH = re.compile(r"(/root/|/home/|/Users/|/work/|/tmp/|/var/|[A-Z]:\\\\|site-packages)")


@pytest.fixture(params=PATHS, ids=lambda path: path.name)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return read(path)


def markdown(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_there_are_notebooks():
    assert len(PATHS) >= 4


def test_it_was_run_once_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), (
        "run `make notebooks`: nbval skips cells without an execution count"
    )


def test_it_shows_no_error_and_nothing_red(notebook):
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]


def test_cell_ids_are_there_and_differ(path):
    ids = [cell.get("id") for cell in json.loads(path.read_text())["cells"]]
    assert all(ids) and len(set(ids)) == len(ids)


def test_it_is_stored_in_the_normal_form(path, notebook):
    """No widget state, no timestamps, no kernel version: whatever `make notebooks` would strip."""
    stored = json.loads(path.read_text())
    assert json.loads(json.dumps(notebooks.normalise(notebook))) == json.loads(json.dumps(read(path))), (
        "run `make notebooks`"
    )
    assert "widgets" not in stored["metadata"]


def test_it_names_no_folder_of_the_machine_it_ran_on(path):
    for cell in json.loads(path.read_text())["cells"]:
        shown = [cell["source"]]
        for output in cell.get("outputs", []):
            shown.append(output.get("text", ""))
            shown += [data for kind, data in output.get("data", {}).items() if not kind.startswith("image/")]
        assert not MACHINE_PATH.search(json.dumps(shown)), shown


def test_it_is_smaller_than_one_and_a_half_megabytes(path):
    assert path.stat().st_size < 1.5e6


def test_an_output_that_is_not_compared_has_a_reason_and_an_assertion_nearby(notebook):
    for cell in code_cells(notebook):
        ignored = NBVAL_TAGS & set(tags(cell)) or "NBVAL" in cell.source
        assert bool(ignored) == bool(cell.metadata.get("reason")), (
            f"tag and `reason` in the metadata belong together:\n{cell.source}"
        )
        assert "NBVAL" not in cell.source, "use the tag nbval-ignore-output, which does not show on the page"


def test_tags_are_claims_or_the_ones_that_nbval_knows(notebook):
    for cell in notebook.cells:
        assert set(tags(cell)) <= NBVAL_TAGS | {notebooks.README_TAG, notebooks.EXPLORER_TAG, *CLAIM_IDS}, (
            cell.source
        )


def test_every_figure_has_an_alternative_text(path, notebook):
    figures = list(figure_texts(notebook))
    assert figures or path.name == APPENDIX
    for cell, text in figures:
        assert text and len(text) > 30, (
            f"the Markdown behind this cell needs a line '*Figure:* …':\n{cell.source}"
        )
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"] == text


def test_no_figure_is_described_before_it_is_drawn(notebook):
    behind = [
        after
        for before, after in pairwise(notebook.cells)
        if before in [c for c, _ in figure_texts(notebook)]
    ]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and FIGURE.search(cell.source):
            assert cell in behind and cell.source.startswith("*Figure:*"), cell.source


def test_a_cell_that_asserts_shows_what_it_covered(notebook):
    for cell in code_cells(notebook):
        if re.search(r"^\s*assert\b|\bassert_", cell.source, re.MULTILINE):
            assert cell.outputs, f"say what was asserted:\n{cell.source}"


def test_links_lead_somewhere_and_to_both_neighbours(path, notebook):
    targets = set(LINK.findall("\n".join(markdown(notebook))))
    local = {target for target in targets if not urlparse(target).scheme}
    for target in local:
        assert (FOLDER / target.partition("#")[0]).exists(), target
    place = PATHS.index(path)
    for neighbour in PATHS[max(place - 1, 0) : place] + PATHS[place + 1 : place + 2]:
        first, last = markdown(notebook)[0], markdown(notebook)[-1]
        assert f"({neighbour.name})" in first, f"the opening should link to {neighbour.name}"
        assert neighbour < path or f"({neighbour.name})" in last, (
            f"the ending should link on to {neighbour.name}"
        )


def test_it_opens_and_ends_as_every_notebook_does(path, notebook):
    opening, ending = markdown(notebook)[0], markdown(notebook)[-1]
    headings = re.findall(r"^#+ .*$", "\n".join(markdown(notebook)), re.MULTILINE)
    assert opening.startswith(f"# {int(path.name[:2])} · ")
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    assert notebooks.TIME.search(opening), "**Time:** N minutes to read, N seconds to run on two CPU cores"
    assert "(CLAIMS.md)" in ending
    if path.name == APPENDIX:
        return
    for part in ("**What you'll do:**", "**What you'll be able to do**", "**You'll need:**"):
        assert part in opening, part
    for part in ("## What you can now do", "**In practice**", "**References**"):
        assert part in ending, part
    assert sum("redict" in text for text in markdown(notebook)) >= 3


def test_exercises_are_graded_and_solved(path, notebook):
    """Four to six, at least one to predict and one to break, each with a checker and a folded solution."""
    if path.name == APPENDIX:
        return
    place = next(i for i, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    part = notebook.cells[place:-1]  # "## Exercises" may end the cell of the last section
    titles = re.findall(
        rf"^\*\*{int(path.name[:2])}\.\d · (.+?)\*\*", "\n".join(c.source for c in part), re.MULTILINE
    )
    assert 4 <= len(titles) <= 6
    assert any(title.startswith("Predict") for title in titles)
    assert any(title.startswith("Break") for title in titles)
    assert sum("exercises.check(" in cell.source for cell in part) == len(titles)
    assert sum("<details><summary>Solution</summary>" in cell.source for cell in part) == len(titles)


def test_code_cells_are_short(path, notebook):
    cells = code_cells(notebook)
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in cells]
    assert statistics.median(lengths) <= 8 or path.name == APPENDIX
    assert max(lengths) <= 25
    first = [line for line in cells[0].source.splitlines() if line.strip()]
    assert len(first) <= 8 and all(re.match(r"(import|from) ", line) for line in first), "imports only"


def test_prose_is_neither_thin_nor_endless(path, notebook):
    text = "\n".join(markdown(notebook))
    text = re.sub(r"<details>.*?</details>|\$\$.*?\$\$", "", FIGURE.sub("", text), flags=re.DOTALL)
    story = next((i for i, cell in enumerate(notebook.cells) if "## Exercises" in cell.source), 0)
    if path.name == APPENDIX:
        assert len(text.split()) <= 2000 and len(notebook.cells) <= 60
    else:
        assert 1200 <= len(text.split()) <= 2000, len(text.split())
        assert 30 <= story + 1 <= 60, "cells, the exercises not counted"


def test_a_number_that_another_notebook_computes_is_quoted_as_it_is_there():
    for number, computed, quoted in (("120_382", "06", "01"),):
        source, reader = (
            read(next(path for path in PATHS if path.name.startswith(n))) for n in (computed, quoted)
        )
        assert any(f"== {number}" in cell.source for cell in code_cells(source))
        assert f"{int(number):,}" in "\n".join(markdown(reader))


def test_the_picture_in_the_readme_is_the_one_in_the_notebook():
    pictures = [picture for path in PATHS if (picture := notebooks.readme_picture(read(path)))]
    assert pictures == [notebooks.README_PICTURE.read_bytes()], "run `make notebooks`"


def test_the_readme_lists_every_notebook_and_its_links_resolve():
    readme = FOLDER.parent / "README.md"
    targets = set(LINK.findall(readme.read_text()))
    assert {f"notebooks/{path.name}" for path in PATHS} <= targets
    for target in targets:
        assert urlparse(target).scheme or (readme.parent / target).exists(), target


def test_the_readme_says_the_same_times_as_the_notebooks(path, notebook):
    row = next(
        line for line in notebooks.README.read_text().splitlines() if f"](notebooks/{path.name}) |" in line
    )
    assert [cell.strip() for cell in row.split("|")[-3:-1]] == notebooks.times(notebook), (
        "run `make notebooks`"
    )


# ------------------------------------------------------------------------------------------------- the ledger of claims


def proofs():
    """Find the asserting cells: claim id -> notebook numbers."""
    found = {}
    for path in PATHS:
        for cell in code_cells(read(path)):
            for name in set(tags(cell)) & set(CLAIM_IDS):
                found.setdefault(name, set())
                if re.search(r"\bassert\b|\bassert_", cell.source):
                    found[name].add(path.name[:2])
    return found


def test_the_ledger_lists_every_claim_once_and_in_order():
    assert list(ledger()) == CLAIM_IDS


def test_a_claim_is_proved_exactly_where_the_ledger_says():
    proved = proofs()
    for name, (_, where, verdict) in ledger().items():
        assert where == proved.get(name, set()), (
            f"{name}: the ledger says {sorted(where)}, tagged cells that assert are in {sorted(proved.get(name, set()))}"
        )
        if where:
            assert verdict.split()[0].rstrip(".,:") in ("holds", "corrected"), (
                f"{name}: the verdict starts with 'holds' or 'corrected'"
            )
        else:
            assert verdict == "open", f"{name}: nothing proves it, so its verdict is 'open'"


def test_a_number_in_a_verdict_is_one_that_its_notebooks_show():
    """A percentage, or a number with a decimal point, is printed in a cell or is the bound of an assertion."""
    shown, code = {}, {}
    for path in PATHS:
        cells = code_cells(read(path))
        shown[path.name[:2]] = "\n".join(output.get("text", "") for cell in cells for output in cell.outputs)
        code[path.name[:2]] = "\n".join(cell.source for cell in cells)
    for name, (_, where, verdict) in ledger().items():
        for number, percent in re.findall(r"(\d+(?:\.\d+)?)(?: to \d+(?:\.\d+)?)?( %)?", verdict):
            if not percent and "." not in number:
                continue
            printed = rf"(?<![\d.]){re.escape(number)}(?!\d){' ?%' if percent else ''}"
            bound = rf"\b{float(number) / 100:g}\b" if percent else rf"\b{re.escape(number)}\b"
            found = any(re.search(printed, shown[n]) or re.search(bound, code[n]) for n in where)
            assert found, f"{name} says {number}{percent}, which no cell of {sorted(where)} shows"


def test_every_tagged_cell_asserts():
    for path in PATHS:
        for cell in code_cells(read(path)):
            if set(tags(cell)) & set(CLAIM_IDS):
                assert re.search(r"\bassert\b|\bassert_", cell.source), (
                    f"{path.name}: tagged {tags(cell)}, asserts nothing:\n{cell.source}"
                )


def test_claims_of_the_core_notebooks_are_proved():
    core = (
        {f"A{n}" for n in range(1, 7)}
        | {f"B{n}" for n in range(1, 14)}
        | {f"C{n}" for n in range(1, 8)}
        | {f"D{n}" for n in range(1, 9)}
        | {f"E{n}" for n in range(1, 6)}
        | {f"F{n}" for n in range(1, 8)}
        | {f"G{n}" for n in range(1, 4)}
        | {f"H{n}" for n in range(1, 10)}
        | {f"I{n}" for n in range(1, 4)}
    )
    assert {name for name, (_, where, _) in ledger().items() if where} >= core
