"""What imports what: no circles, scripts on the public API only, and ``import eqrl`` stays cheap."""

import ast
import importlib.util
import inspect
import json
import shutil
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import eqrl

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
GRAPH = """
import json, grimp
graph = grimp.build_graph("eqrl", cache_dir=None)
print(json.dumps({module: sorted(graph.find_modules_directly_imported_by(module)) for module in graph.modules}))
"""

needs_scripts = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="needs the scripts of a checkout")


def circle(graph):
    """A circle in a graph of modules and what they import; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as it lies where it is installed, with environments and agents inside."""
    site = tmp_path_factory.mktemp("site")
    for package in ("eqrl", "eqrl.envs", "eqrl.agents"):
        for folder in map(Path, importlib.import_module(package).__path__):
            # a checkout is on the path of eqrl itself when Python runs in it; it is no package
            if (folder / "__init__.py").is_file():
                target = site / package.replace(".", "/")
                shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    return site


def test_no_module_imports_itself_by_way_of_others(installed):
    command = [sys.executable, "-c", GRAPH]
    done = subprocess.run(
        command, cwd=installed, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(installed)}
    )
    graph = json.loads(done.stdout)
    assert {"eqrl.envs.registration", "eqrl.agents.ppo_policy", "eqrl.proof.verify"} <= set(graph)
    assert circle(graph) == []


@needs_scripts
def test_every_folder_is_installed():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = set()
    for package, folder in setuptools["package-dir"].items():
        for file in (ROOT / folder).rglob("__init__.py"):
            packages.add(".".join((package, *file.parent.relative_to(ROOT / folder).parts)))
    assert packages == set(setuptools["packages"])


@needs_scripts
def test_no_script_imports_itself_by_way_of_others():
    graph = imports_of(SCRIPTS.glob("*.py"), "{}") | imports_of((ROOT / "tests/faults").glob("*.py"), "faults.{}")
    assert any(name.startswith("faults.") for name in graph)
    assert circle(graph) == []


@needs_scripts
@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.py")), ids=lambda path: path.stem)
def test_scripts_use_the_public_api_only(path):
    for module, name in imports(path):
        if module.split(".")[0] == "eqrl":
            # the interface of a room is its __init__; its modules may move
            is_room = importlib.util.find_spec(module).submodule_search_locations is not None
            assert is_room or module.count(".") == 1, f"{path.name} imports {module}, which is inside of a room"
            assert not name.startswith("_"), f"{path.name} imports {module}.{name}"


def test_a_circle_is_seen():
    assert circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})
    assert not circle({"a": ["b", "c"], "b": ["c"], "c": []})


@pytest.mark.parametrize("name", eqrl.__all__)
def test_public_names_are_there_and_documented(name):
    value = getattr(eqrl, name)
    assert name in dir(eqrl)
    assert name == "__version__" or name in eqrl.__doc__
    assert not callable(value) or inspect.getdoc(value)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        eqrl.nothing  # noqa: B018


def test_the_package_and_the_help_of_the_command_line_import_nothing_heavy():
    heavy = "{'torch', 'mujoco', 'stable_baselines3', 'scipy', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, eqrl; print({heavy}); from eqrl.commands import main; main(['--help']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("set()") == 2, done.stdout


def imports(path):
    """What a file imports, as (module, name), in functions too; the name is empty where the whole module is meant."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def imports_of(paths, pattern):
    """Modules, and what they import: the module, and what may be one inside of a package."""
    return {
        pattern.format(path.stem): {full for module, name in imports(path) for full in (module, f"{module}.{name}")}
        for path in paths
    }
