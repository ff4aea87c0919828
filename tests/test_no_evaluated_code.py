"""No file of the project evaluates code or reads pickles: a scan of the syntax of all shipped files.

Ruff's rules on the same matters (pyproject.toml) see single calls; this one also knows names under which something was
imported, and what ruff has no rule for: ``torch.load``, ``np.load``, and the ``load`` of Stable-Baselines3's classes.
"""

import ast
import importlib
from pathlib import Path

import pytest

BUILTINS = {"eval", "exec", "compile", "__import__"}
MODULES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"),
    *("code", "codeop", "runpy", "imp"),
}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
UNSAFE_YAML = {
    f"yaml.{name}"
    for name in (
        *("load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"),
        *("Loader", "CLoader", "FullLoader", "CFullLoader", "UnsafeLoader", "CUnsafeLoader"),
    )
}
CODE_IN_FILES = {"torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "pandas.read_pickle"}
ARRAYS = {"numpy.load", "numpy.lib.format.read_array", "numpy.lib.npyio.load"}
# loaders of plain values; every other ``.load(...)`` may be one of Stable-Baselines3, which unpickles
PLAIN_LOADERS = {"json.load", "tomllib.load", "torch.load", *ARRAYS}
UNPICKLING_METHODS = {"load", "load_replay_buffer", "load_from_pkl", "load_from_zip_file", "json_to_data"}

# (file, call): why the call is allowed
ALLOWED = {
    ("eqrl/loading/archive.py", "load"): "Stable-Baselines3's own load, reached only with trusted=True",
    ("tests/faults/forge.py", "import pickle"): "makes the hostile files that nothing may unpickle",
    **{
        (
            f"scripts/drop_in/{name}.py",
            "load",
        ): "the example of Stable-Baselines3, with the file that it wrote itself just before"
        for name in ("ppo", "sac", "sac_her", "td3", "tqc")
    },
}


def sources():
    """Every Python file of the installed packages.

    Of what a checkout runs besides, by the name that it has in a checkout.
    """
    files = {}
    for package in ("eqrl", "eqrl.envs", "eqrl.agents"):
        for root in importlib.import_module(package).__path__:
            # a checkout is on the path of eqrl itself when Python runs in it; it is no package
            if (Path(root) / "__init__.py").is_file():
                for path in Path(root).rglob("*.py"):
                    files[f"{package.removeprefix('eqrl.')}/{path.relative_to(root)}"] = path
    root = Path(__file__).parents[1]
    for folder in ("scripts", "tests/faults"):
        files.update({str(path.relative_to(root)): path for path in (root / folder).rglob("*.py")})
    return files


class Scan(ast.NodeVisitor):
    """Collects what is forbidden in one file as ``(line, what)``."""

    def __init__(self):
        self.names = {}
        self.calls = []

    def note(self, node, what):
        self.calls.append((node.lineno, what))

    def dotted(self, node):
        """The full name of an expression such as ``np.load``, with imported names resolved; None for anything else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self.names.get(node.id, node.id), *reversed(parts)])

    def visit_Import(self, node):
        for alias in node.names:
            self.imported(node, alias.name)
            self.names[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def visit_ImportFrom(self, node):
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.imported(node, node.module or "")
            self.names[alias.asname or alias.name] = full
            self.reference(node, full)

    def imported(self, node, module):
        if module.split(".")[0] in MODULES:
            self.note(node, f"import {module.split('.')[0]}")

    def reference(self, node, full):
        if full in BUILTINS or full.removeprefix("builtins.") in BUILTINS:
            self.note(node, full.removeprefix("builtins."))
        if full in SHELLS or full.startswith(("os.exec", "os.spawn")):
            self.note(node, full)
        if full in UNSAFE_YAML | CODE_IN_FILES:
            self.note(node, full)
        if full.split(".")[-1] in UNPICKLING_METHODS - {"load"}:
            self.note(node, full.split(".")[-1])

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.reference(node, self.names.get(node.id, node.id))

    def visit_Attribute(self, node):
        self.reference(node, self.dotted(node) or f"?.{node.attr}")
        self.generic_visit(node)

    def visit_Call(self, node):
        full = self.dotted(node.func)
        given = {keyword.arg: keyword.value for keyword in node.keywords}

        def is_literal(name, value):
            return isinstance(given.get(name), ast.Constant) and given[name].value is value

        if full == "torch.load" and not is_literal("weights_only", True):
            self.note(node, "torch.load")
        if full in ARRAYS and (
            len(node.args) > 2
            or None in given
            or not (is_literal("allow_pickle", False) or "allow_pickle" not in given)
        ):
            self.note(node, "allow_pickle")
        if "shell" in given and not is_literal("shell", False):
            self.note(node, "shell")
        if (
            full in ("importlib.import_module", "importlib.__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            self.imported(node, str(node.args[0].value))
        ours = full == "eqrl.load" and not {"trusted", None} & set(given)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "load"
            and full not in PLAIN_LOADERS | UNSAFE_YAML
            and not ours
        ):
            self.note(node, "load")
        self.generic_visit(node)


def forbidden(text):
    """Names of the forbidden calls in a text, in the order of the lines."""
    scan = Scan()
    scan.visit(ast.parse(text))
    return [what for _, what in sorted(scan.calls)]


def test_nothing_that_is_shipped_evaluates_code():
    files = sources()
    assert {"eqrl/commands/entry.py", "eqrl/symmetry/group.py", "envs/core/task.py", "agents/critic.py"} <= set(files)
    violations, used = [], set()
    for name, path in sorted(files.items()):
        scan = Scan()
        scan.visit(ast.parse(path.read_text(encoding="utf-8")))
        for line, what in scan.calls:
            if (name, what) in ALLOWED:
                used.add((name, what))
            else:
                violations.append(f"{name}:{line}: {what}")
    assert not violations
    expected = {key for key in ALLOWED if key[0] in files}  # an installed package has no scripts
    assert used == expected, "an exception that nothing needs any more"


def test_the_exception_is_behind_trusted():
    """The one call of Stable-Baselines3's ``load`` stands in a function that is called once, below ``if trusted``."""
    tree = ast.parse(sources()["eqrl/loading/archive.py"].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    holders = [f.name for f in functions if "load" in forbidden(ast.unparse(f))]
    assert holders == ["_run_archive"]
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "_run_archive"]
    guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "trusted"]
    assert len(calls) == len(guards) == 1
    assert calls[0] in [inner for statement in guards[0].body for inner in ast.walk(statement)]


BAD = {
    "eval('1')": "eval",
    "exec(text)": "exec",
    "compile(text, '', 'exec')": "compile",
    "__import__('os')": "__import__",
    "run = eval": "eval",
    "import builtins\nbuiltins.exec(text)": "exec",
    "from builtins import eval as e\ne(text)": "eval",
    "import pickle": "import pickle",
    "import pickle as p": "import pickle",
    "from pickle import loads": "import pickle",
    "def f():\n    import cloudpickle": "import cloudpickle",
    "import dill": "import dill",
    "import marshal": "import marshal",
    "import shelve": "import shelve",
    "import joblib": "import joblib",
    "import runpy": "import runpy",
    "import importlib\nimportlib.import_module('pickle')": "import pickle",
    "import torch\ntorch.load(f)": "torch.load",
    "import torch\ntorch.load(f, weights_only=False)": "torch.load",
    "import torch\ntorch.load(f, weights_only=flag)": "torch.load",
    "import torch as th\nth.load(f, **options)": "torch.load",
    "from torch import load\nload(f)": "torch.load",
    "import torch\ntorch.jit.load(f)": "torch.jit.load",
    "import torch\ntorch.hub.load(a, b)": "torch.hub.load",
    "import numpy as np\nnp.load(f, allow_pickle=True)": "allow_pickle",
    "import numpy as np\nnp.load(f, allow_pickle=flag)": "allow_pickle",
    "import numpy as np\nnp.load(f, None, True)": "allow_pickle",
    "import numpy\nnumpy.load(f, **options)": "allow_pickle",
    "from numpy import load\nload(f, allow_pickle=True)": "allow_pickle",
    "import numpy as np\nnp.lib.format.read_array(f, allow_pickle=True)": "allow_pickle",
    "import yaml\nyaml.load(t, yaml.SafeLoader)": "yaml.load",
    "import yaml\nyaml.unsafe_load(t)": "yaml.unsafe_load",
    "import yaml\nyaml.full_load(t)": "yaml.full_load",
    "from yaml import UnsafeLoader": "yaml.UnsafeLoader",
    "import yaml\nclass L(yaml.FullLoader): pass": "yaml.FullLoader",
    "import os\nos.system('ls')": "os.system",
    "from os import system": "os.system",
    "import os\nos.popen('ls')": "os.popen",
    "import os\nos.execv(a, b)": "os.execv",
    "import subprocess\nsubprocess.run('ls', shell=True)": "shell",
    "from subprocess import Popen\nPopen('ls', shell=flag)": "shell",
    "import subprocess\nsubprocess.getoutput('ls')": "subprocess.getoutput",
    "from stable_baselines3 import PPO\nPPO.load(f)": "load",
    "from stable_baselines3 import PPO\nALGORITHMS['ppo'].load(f)": "load",
    "from stable_baselines3.common.vec_env import VecNormalize\nVecNormalize.load(f, env)": "load",
    "model.load_replay_buffer(f)": "load_replay_buffer",
    "from stable_baselines3.common.save_util import load_from_zip_file": "load_from_zip_file",
}
GOOD = [
    "net.eval()",
    "import re\nre.compile('a')",
    "spec.compile()",
    "import torch\ntorch.compile(net)",
    "import ast\nast.literal_eval('1')",
    "import torch\ntorch.load(f, weights_only=True)",
    "import numpy as np\nnp.load(f)",
    "import numpy as np\nnp.load(f, allow_pickle=False)",
    "import yaml\nyaml.safe_load(t)",
    "import json\njson.load(f)",
    "import subprocess\nsubprocess.run(['git'], shell=False)",
    "import pickletools",
    "# eval('1')\n'exec(text)'",
]


@pytest.mark.parametrize("text", BAD)
def test_the_scan_sees(text):
    assert BAD[text] in forbidden(text)


@pytest.mark.parametrize("text", GOOD)
def test_the_scan_lets_pass(text):
    assert forbidden(text) == []
