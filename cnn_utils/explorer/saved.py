"""The explorer as one file: network, images and page, for a browser that needs no server, kernel or connection."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import re
import tempfile
from pathlib import Path

LARGEST = 64e6  # bytes of a file that a phone still opens

_PAGE = (Path(__file__).parent / "saved.html").read_text("utf-8")


def write(path, explorer, title):
    """Write the page of `explorer` to `path`, whole or not at all; return how many bytes that is.

    Raises ValueError if the file would be larger than a browser on a phone can be expected to open, or `path` names
    a folder, or a file in none.
    """
    packed = {name: _packed(getattr(explorer, name)) for name in ("_images", "_image")}
    packed |= {"_network": explorer._network | {"arrays": _packed(explorer._network["arrays"])}}
    state = json.dumps(packed | {"_selected": explorer._selected, "_target": explorer._target}).replace(
        "<", "\\u003c"
    )
    parts = {"title": html.escape(title), "css": explorer._css, "script": explorer._esm, "state": state}
    data = re.sub("@(title|css|script|state)@", lambda mark: parts[mark[1]], _PAGE).encode()
    if len(data) > LARGEST:
        weights, images = len(explorer._network["arrays"]), len(explorer._images)
        raise ValueError(
            f"path={str(path)!r} would be {len(data) / 1e6:.3g} MB, of which {weights / 1e6:.3g} MB are weights and "
            f"{images / 1e6:.3g} MB images before they are packed: a file may have {LARGEST / 1e6:.3g} MB. "
            "Offer fewer images, or save a smaller network"
        )
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"path={str(path)!r} must be a file's, in a folder that exists")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    return len(data)


def _packed(data):
    return base64.b64encode(gzip.compress(bytes(data), mtime=0)).decode()
