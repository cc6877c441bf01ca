"""Build the course as a static site: ``python -m pages`` turns what the notebooks hold into ``pages/_site``.

No notebook is run. `conf` is Sphinx' part; here the sources are laid out as it wants them: the notebooks with a place to
link to at every claim, a link to download them and, where there is a trained network, the explorer under its picture.
"""

import re
import shutil
import sys
from pathlib import Path

import nbformat

from tools import notebooks

HERE = Path(__file__).resolve().parent
BUILD, SITE, NETWORKS = HERE / "_build", HERE / "_site", HERE / "networks"
SOURCE = BUILD / "source"
LINK = re.compile(r"\]\((\.\./[^)#]+\.py)")


def main():
    from sphinx.cmd.build import main as build  # not above: the tests import this module without Sphinx

    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(HERE / "_static", SOURCE / "_static")
    (SOURCE / "notebooks").mkdir()
    for path in notebooks.paths():
        print(path.name)
        notebook = page_of(path)
        nbformat.write(notebook, SOURCE / "notebooks" / path.name)
        shutil.copy(path, SOURCE / "_static")  # to download, as it is
        for file in {link for cell in notebook.cells for link in LINK.findall(cell.source)}:
            target = SOURCE / "notebooks" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(notebooks.FOLDER / file, target)
    (SOURCE / "notebooks/CLAIMS.md").write_text(ledger())
    shutil.copy(notebooks.README_PICTURE, SOURCE / "notebooks")
    (SOURCE / "index.md").write_text(front((HERE / "index.md").read_text()))
    shutil.copy(HERE / "reference.md", SOURCE)
    for path in sorted(NETWORKS.glob("*.npz")):
        save_explorer(path, SOURCE / "_static" / f"{path.stem}.html")
    failed = build(
        ["-q", "-W", "--keep-going", "-c", str(HERE), str(SOURCE), str(BUILD / "html"), *sys.argv[1:]]
    )
    if not failed:  # the last site stays until there is a new one
        shutil.rmtree(SITE, ignore_errors=True)
        (BUILD / "html").replace(SITE)
    return failed


def page_of(path):
    """A notebook as Sphinx is to read it."""
    notebook, seen, cells = notebooks.read(path), set(), []
    texts = {cell.id: text for cell, text in notebooks.figure_texts(notebook)}
    download = f"<p class='download'><a href='../_static/{path.name}' download>Download this notebook</a></p>"
    notebook.cells[0].source = notebook.cells[0].source.replace("\n", f"\n\n{download}\n", 1)
    for cell in notebook.cells:
        places = [tag for tag in notebooks.tags(cell) if tag in notebooks.ledger()]
        if new := [tag for tag in places if tag not in seen]:
            cells.append(nbformat.v4.new_markdown_cell("".join(f"<span id='{tag}'></span>" for tag in new)))
        seen |= set(places)
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../README.md)", "](../index.md)")
            continue
        if texts.get(cell.id):
            cell.metadata["mystnb"] = {"image": {"alt": texts[cell.id]}}
        alive = notebooks.EXPLORER_TAG in notebooks.tags(cell) and (NETWORKS / f"{path.stem}.npz").exists()
        if alive or "@interact(size=" in cell.source:  # in the place of the still picture
            cell.outputs = []
            live = frame(f"../_static/{path.stem}.html") if alive else "<div class='windows'></div>"
            cells.append(nbformat.v4.new_markdown_cell(live))
    notebook.cells = cells
    return notebook


def frame(address):
    """The explorer, alive; loaded when it comes into view."""
    return (
        f"<iframe class='explorer' src='{address}' loading='lazy' title='The explorer with the trained network'></iframe>"
        f"\n<p><a href='{address}'>The explorer on a page of its own</a></p>"
    )


def ledger():
    """CLAIMS.md; each notebook that proves a claim is linked at its first cell for it."""
    lines = []
    for line in (notebooks.FOLDER / "CLAIMS.md").read_text().splitlines():
        if claim := re.match(r"\| ([A-Z]\d+) \|", line):
            line = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", rf"](project:\1.html#{claim[1]})", line)
            line = re.sub(r"\[(\d+)\]\(project:([^)]+)\)", r"<a href='\2'>\1</a>", line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def front(text):
    """The first page: its text, and the README's table of notebooks, whose links are the site's."""
    readme = notebooks.README.read_text()
    table = re.search(r"^\|.+?(?=\n\n)", readme[readme.index("## The notebooks") :], re.MULTILINE | re.DOTALL)
    names = "\n".join(f"notebooks/{path.stem}" for path in notebooks.paths())
    return text.replace("<!-- table -->", table[0]).replace("<!-- notebooks -->", names)


def save_explorer(path, page):
    """The explorer with a notebook's network, as ``make notebooks`` has kept it."""
    from cnn_utils.explorer import LayerExplorer

    print(f"the explorer of {path.stem}")
    model, images, selected = notebooks.kept_network(path)
    explorer = LayerExplorer(model, images)
    explorer.select(*selected)
    explorer.save(page)


if __name__ == "__main__":
    sys.exit(main())
