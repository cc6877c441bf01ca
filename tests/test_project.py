"""What stands around the notebooks: style, the package as it would be installed, licence, citation, workflow."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools import setup

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command, cwd=ROOT):
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_has_nothing_to_say(command):
    done = run("-m", "ruff", *command, "--no-cache", "--quiet", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_reads_the_notebooks_too():
    read = run("-m", "ruff", "check", "--show-files", "--no-cache", ".").stdout.splitlines()
    there = [path for kind in ("*.py", "*.ipynb") for path in ROOT.glob(f"[!.]*/**/{kind}")]
    made = {".ipynb_checkpoints", "_build", "_site", "runs"}
    assert {str(path) for path in there if not made & set(path.parts)} <= set(read)


def test_a_built_wheel_holds_the_whole_package(tmp_path):
    """An editable install reads the project's folder, and would not miss a file."""
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    source = tmp_path / "cnn_utils"
    shutil.copytree(ROOT / "cnn_utils", source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    done = run("-c", build, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(tmp_path).as_posix() for path in source.rglob("*") if path.is_file()}
    assert wanted - packed == set()
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    assert {name.split("/")[0] for name in packed} == {
        "cnn_utils",
        f"cnn_utils-{PROJECT['version']}.dist-info",
    }


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        (".github/workflows/test.yml", "github-workflows"),
        (".github/workflows/pages.yml", "github-workflows"),
        ("CITATION.cff", "citation-file-format"),
    ],
)
def test_it_keeps_to_its_published_schema(name, schema, tmp_path):
    pytest.importorskip("check_jsonschema", reason="no check-jsonschema: `make setup`")
    from check_jsonschema import main  # in this process: its imports take seconds
    from click.testing import CliRunner

    check = ("--builtin-schema", f"vendor.{schema}", "--force-filetype", "yaml")
    done = CliRunner().invoke(main, [*check, str(ROOT / name)])
    assert done.exit_code == 0, done.output
    broken = tmp_path / "broken"
    broken.write_text((ROOT / name).read_text().replace("runs-on:", "run-on:").replace("title:", "titel:"))
    done = CliRunner().invoke(main, [*check, str(broken)])
    assert done.exit_code == 1 and "Schema validation errors" in done.output, done.output


def test_the_same_pythons_are_named_everywhere():
    low, high = (int(minor) for minor in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    versions = [f"3.{minor}" for minor in range(low, high)]
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert sorted(setup.VERSIONS) == versions
    assert re.search(r"python: \[(.+)\]", workflow)[1] == ", ".join(f'"{version}"' for version in versions)
    for text in (setup.WRONG_PYTHON, (ROOT / "README.md").read_text()):
        assert f"{', '.join(versions[:-1])} or {versions[-1]}" in text
    image = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())["image"]
    assert re.search(r"python:(3\.\d+)-", image)[1] in versions


def test_every_dependency_is_pinned_within_its_range():
    from packaging.requirements import Requirement

    lines = re.findall(r"^(\w[^ ]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    pins = {Requirement(line).name: Requirement(line).specifier for line in lines}
    for name, pin in pins.items():
        assert re.fullmatch(r"==[\d.]+", str(pin)), f"{name}: pin one version"
    for needed in map(Requirement, PROJECT["dependencies"]):
        assert needed.specifier.contains(str(pins[needed.name]).removeprefix("==")), needed


def test_the_weekly_run_takes_every_pin_out_and_nothing_else():
    command = re.search(
        r"sed -i '(s/.+/.*/)' requirements.txt", (ROOT / ".github" / "workflows" / "test.yml").read_text()
    )
    pattern = re.fullmatch(r"s/(.+)/(.*)/", command[1])
    text = (ROOT / "requirements.txt").read_text()
    loose = "\n".join(re.sub(pattern[1], pattern[2], line, count=1) for line in text.splitlines())
    assert "==" not in loose
    assert re.findall(r"^[\w-]+", loose, re.MULTILINE) == re.findall(r"^[\w-]+", text, re.MULTILINE)


def test_one_version_and_one_licence():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {PROJECT['version']}\n" in citation and "license: MIT\n" in citation
    assert PROJECT["license"] == "MIT" and (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)\s#]+)", (ROOT / name).read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target
