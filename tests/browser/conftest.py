"""A real JupyterLab and a real Chromium, shared by all browser tests; no request leaves the machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

TOKEN = "test"
HOW = "apt-get install chromium, and pip install playwright"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that can reach 127.0.0.1 only. Without one, tests skip unless they are required."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        stop = pytest.fail if os.environ.get("CNN_UTILS_BROWSER") == "required" else pytest.skip
        stop(f"no browser to test in: {HOW}")
    flags = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"]
    with sync_playwright() as playwright:
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
    page.evaluate("window.jupyterapp?.serviceManager.sessions.shutdownAll()")  # leave no kernel behind
    context.close()
    local = {"127.0.0.1", None}  # None: data and blob addresses
    assert [url for url in asked if urlsplit(url).hostname not in local] == []


@pytest.fixture
def page(browser):
    with local_page(browser) as page:
        yield page


class Lab:
    """A running JupyterLab, its folder and its address."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address

    def open(self, page, name):
        """Open a notebook of the folder and wait for its kernel."""
        page.goto(f"{self.address}/lab/tree/{name}?reset&token={TOKEN}")
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def run_all(self, page, timeout=300):
        """Run all cells; return them as the notebook file would hold them, outputs included."""
        page.evaluate("window.done = false")
        page.evaluate(
            "() => { const run = window.jupyterapp.commands.execute('notebook:run-all-cells');"
            " run.then(() => { window.done = true }) }"
        )
        page.wait_for_function("window.done", timeout=timeout * 1000)
        return page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON()")["cells"]

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
    private = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "RUNTIME")}
    private |= {"IPYTHONDIR": str(home / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    private |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=os.environ | private, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api/status?token={TOKEN}", server, home / "log")
        yield Lab(Path(folder), address)
    finally:
        server.terminate()  # JupyterLab shuts its kernels down on this signal
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for(url, server, log, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(url, timeout=2)
        except (urllib.error.URLError, OSError):
            if server.poll() is not None:
                break
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")
