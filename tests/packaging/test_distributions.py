"""What `python -m build` makes: a source distribution that holds what tests need, and a wheel that works installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = ("eqrl", "envs", "agents", "tests", "scripts", "docs", "results")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[cod]", "generated")
SMOKE = """
import importlib.metadata, importlib.resources, pathlib, sys
import gymnasium, eqrl
from eqrl.agents import preset
from eqrl.commands import main
from eqrl.declare import CLASSIC

site = pathlib.Path(sys.argv[1])
assert pathlib.Path(eqrl.__file__).is_relative_to(site), eqrl.__file__
assert eqrl.__version__ == importlib.metadata.version("eqrl") == sys.argv[2]
assert (importlib.resources.files("eqrl") / "py.typed").is_file()
assert preset("ppo", "eqrl/Reach-v0")["n_steps"]  # from a data file
assert CLASSIC and eqrl.with_symmetry(gymnasium.make("Pendulum-v1")).types.group.name  # likewise
assert all(env_id in gymnasium.registry for env_id in eqrl.ENVIRONMENTS)
gymnasium.make("eqrl/Push-v0").reset(seed=0)
size = "-n 256 --n-envs 8 -params n_steps:16 batch_size:64 --eval-freq 0 --eval-episodes 1 --rotations 2"
main(f"train --env eqrl/Reach-v0 {size} -f logs".split())
"""


def build(source, out, *arguments):
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *arguments, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, so that building leaves nothing in it."""
    copy = tmp_path_factory.mktemp("project")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=LEFT_OUT)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    return copy


@pytest.fixture(scope="module")
def built(project, tmp_path_factory):
    """The source distribution, and the wheel that is made from it, as `python -m build` does."""
    out = tmp_path_factory.mktemp("dist")
    build(project, out)
    return {"sdist": next(out.glob("*.tar.gz")), "wheel": next(out.glob("*.whl"))}


def test_the_source_distribution_holds_what_tests_need(project, built):
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {str(f.relative_to(project)) for folder in FOLDERS for f in (project / folder).rglob("*") if f.is_file()}
    assert files - names == set()
    top = {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "CITATION.cff",
        "LICENSE",
    }
    assert top - names == set()


def test_the_wheel_holds_the_package_alone(project, built):
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"eqrl"}
    for folder, package in (("eqrl", "eqrl"), ("envs", "eqrl/envs"), ("agents", "eqrl/agents")):
        for file in (project / folder).rglob("*"):
            if file.is_file() and "egg-info" not in str(file):
                assert f"{package}/{file.relative_to(project / folder)}" in names


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_it_works_where_it_is_installed(kind, built, tmp_path):
    site = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(built[kind])]
    subprocess.run(command, check=True, capture_output=True, text=True)
    version = built["wheel"].name.split("-")[1]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-W", "error::DeprecationWarning:eqrl", "-c", SMOKE, str(site), version]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "success" in done.stdout


def test_the_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
