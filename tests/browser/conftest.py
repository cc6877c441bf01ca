"""A real JupyterLab and a real Chromium, shared by all browser tests; no request leaves the machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from tools import notebooks

TOKEN = "test"
HOW = "no Chromium; `apt-get install chromium`, or `.venv/bin/playwright install chromium`"


def missing(what):
    """Skip what cannot be tested without it, unless these tests are required."""
    if os.environ.get("CNN_UTILS_BROWSER") == "required":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that can reach 127.0.0.1 only."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no Playwright to drive a browser with: `pip install -r requirements.txt`")
    flags = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"]
    with sync_playwright() as playwright:
        installed = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        chromium = next(filter(None, installed), playwright.chromium.executable_path)
        if not Path(chromium).exists():
            missing(HOW)
        opened = playwright.chromium.launch(executable_path=chromium, args=[*flags, "--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def local_page(browser):
    """A fresh page. It is an error if anything on it asks another host than 127.0.0.1."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    asked = []
    page = context.new_page()
    context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda channel: asked.append(channel.url))
    yield page
    page.evaluate("window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()")  # its own kernel only
    context.close()
    local = {"127.0.0.1", None}  # None: data and blob addresses
    assert [url for url in asked if urlsplit(url).hostname not in local] == []


@pytest.fixture
def page(browser):
    with local_page(browser) as page:
        yield page


class Lab:
    """A running JupyterLab: its address, the folder it shows, and its kernels' folders for logs and temporary files."""

    def __init__(self, address, folder, runs, temporary):
        self.address, self.folder, self.runs, self.temporary = address, folder, runs, temporary

    def open(self, page, name):
        """Open a notebook of the folder and wait for its kernel."""
        page.goto(f"{self.address}/lab/tree/{name}?reset&token={TOKEN}")
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def run_all(self, page, timeout=600):
        """Run all cells; return them as the notebook file would hold them, outputs included."""
        page.evaluate("window.done = false")
        page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.done = true }) }"
        )
        page.wait_for_function("window.done", timeout=timeout * 1000)
        return page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON()")["cells"]

    def run_notebook(self, page, path):
        """Run one of the course's notebooks from top to bottom as a reader does; nothing in it may be red."""
        notebook = notebooks.read(path)
        for cell in notebooks.code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, self.folder / path.name)
        self.open(page, path.name)
        cells = [cell for cell in self.run_all(page) if cell["cell_type"] == "code"]
        for cell in cells:
            for output in cell["outputs"]:
                red = output["output_type"] == "error" or output.get("name") == "stderr"
                assert not red, f"{cell['source']}\n---\n{output.get('text') or output.get('evalue')}"
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))

    def write(self, name, *sources):
        """Write a notebook with these code cells; return its name."""
        cells = [
            {"cell_type": "code", "id": f"c{i}", "source": source, "metadata": {}, "outputs": []}
            | {"execution_count": None}
            for i, source in enumerate(sources)
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(notebook))
        return name


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """JupyterLab on a folder of its own, with settings of its own."""
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--expose-app-in-browser", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    options += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--allow-root"]
    options += ["--LabApp.extension_manager=readonly", "--ServerApp.port_retries=0"]
    private = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    private |= {"IPYTHONDIR": str(home / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    private |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    private |= {"CNN_UTILS_RUNS": str(home / "runs"), "TMPDIR": str(home / "temporary")}
    private |= {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    }  # as in `make lab`
    (home / "temporary").mkdir()
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    command = [sys.executable, "-m", "jupyterlab", *options]
    environment = os.environ | private
    environment.pop(
        "PYTEST_CURRENT_TEST", None
    )  # where it is set, ipykernel does not show what C++ writes to stderr
    with running(command, home / "log", environment) as server:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: fetch(f"{address}/api/status?token={TOKEN}"), server, home / "log")
        yield Lab(address, folder, home / "runs", home / "temporary")


@contextmanager
def running(command, log, environment):
    """A server, from its start to an orderly end. (JupyterLab then shuts its kernels down.)"""
    with log.open("w") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def fetch(url):
    """What this address answers; None while nothing does."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()
    except (OSError, HTTPException):
        return None


def wait_until(ready, server, log, seconds=60):
    """Ask again until ``ready()`` is true, and return what it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        if answer := ready():
            return answer
        time.sleep(0.2)
    raise RuntimeError(f"{server.args[:3]} is not ready:\n{log.read_text()}")
