"""Attacks with forged runs: nothing is executed, no memory is exhausted, nothing outside is touched.

One line gives the reason.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import eqrl
from eqrl.checkpoint.manifest import Entry
from eqrl.commands import main as command
from eqrl.errors import UsageError
from faults.children import KILLED, in_child
from faults.damage import die_at_save
from faults.forge import DELETED, Forgery, archive, claiming, npy_header, tensor_file
from faults.jobs import Job, off_policy, ppo, register_gymnasium_environments
from faults.kills import runs_in

Attack = Callable[[Forgery], Any]
_MEMORY = 1 << 30  # more address space than this, on top of what a process has, is taken for a successful attack
_PATIENCE = 60.0
_ODD: tuple[Any, ...] = (
    DELETED,
    None,
    -1,
    2**70,
    1e308,
    "x" * 100,
    [],
    {},
    True,
    {"$": "float", "value": "nan"},
    [[[]]],
)
_GUARD = 3  # exit code of a training that met a number that is not finite


def hostile_jobs() -> list[Job]:
    """Environments of both kinds, with and without a replay buffer."""
    return [
        ppo("ppo", "eqrl/Reach-v0"),
        off_policy("sac + her", "sac", "eqrl/Reach-v0", params="learning_starts:300 buffer_size:2000"),
        ppo("ppo, dummy", "faults/Ant-v0", "--network MlpPolicy"),
    ]


def attacks(forgery: Forgery) -> Iterator[tuple[str, Attack]]:
    """Every attack by its name; those that must be noticed begin with a capital letter."""
    yield from _on_the_manifest()
    yield from _on_the_configuration()
    yield from _with_links()
    yield from _with_other_contents(forgery)
    yield from _on_tensors(forgery)
    yield from _on_arrays(forgery)


def run(work: Path, seed: int, odd_values: int, most: int | None = None) -> dict[str, Any]:
    """Try all attacks.

    Args:
        work: an empty folder.
        seed: of everything random.
        odd_values: how many odd values are put into ``state.json`` of each run, one at a time.
        most: try only so many attacks of each run, chosen at random.
    """
    begun = time.monotonic()
    register_gymnasium_environments()
    rng, outcomes, failures = random.Random(seed), Counter[str](), list[str]()
    tried = 0
    for number, job in enumerate(hostile_jobs()):
        original = _interrupted(job, work / f"original_{number}")
        shutil.copytree(original, work / "sample")
        sample = Forgery(work / "sample", work)
        plans = list(attacks(sample))
        if most is not None and len(plans) > most:
            plans = rng.sample(plans, most)
        leaves = sample.leaves()
        for _ in range(odd_values):
            where, value = rng.choice(leaves), rng.choice(_ODD)
            name = f"odd value {'deleted' if value is DELETED else str(value)[:20]!r} at {'/'.join(map(str, where))}"
            plans.append((name, lambda forgery, where=where, value=value: forgery.set_leaf(where, value)))
        shutil.rmtree(work / "sample")
        for name, attack in plans:
            tried += 1
            for outcome in _try(original, attack, work / "attacked", notice=name[0].isupper()):
                outcomes[outcome.split(";")[0]] += 1
                if "WRONG" in outcome:
                    failures.append(f"{job.name}: {name}: {outcome}")
                    print(f"FAILED {failures[-1]}", flush=True)
    return {
        "attacks": tried,
        "outcomes": dict(outcomes),
        "executions": sum("executed" in text for text in failures),
        "failures": failures,
        "seconds": round(time.monotonic() - begun, 1),
    }


def _interrupted(job: Job, folder: Path) -> Path:
    def train() -> int:
        die_at_save(6)
        return command(job.command(folder))

    in_child(train, folder.with_suffix(".txt"))
    run = runs_in(folder)[0]
    from eqrl.checkpoint.store import Store

    store = Store(run)
    for step in store.steps()[1:]:  # nothing to fall back to
        shutil.rmtree(store.at(step))
    return run


def _try(original: Path, attack: Attack, folder: Path, *, notice: bool) -> Iterator[str]:
    """Outcomes of loading and resuming it."""
    for way in ("load", "go on"):
        shutil.rmtree(folder, ignore_errors=True)
        outside = folder / "outside"
        outside.mkdir(parents=True)
        (outside / "precious.txt").write_text("precious\n")
        (outside / ".precious.1.abcdef.tmp").write_text("precious\n")
        (outside / "canary_module.py").write_text(
            f"import pathlib; pathlib.Path({str(outside / 'canary')!r}).touch()\n"
        )
        run = folder / "run"
        shutil.copytree(original, run, symlinks=True)
        attack(Forgery(run, outside))
        before = _contents(outside)
        output, errors = folder / "out.txt", folder / "err.txt"

        def work(run: Path = run, way: str = way, outside: Path = outside) -> int:
            sys.path.insert(0, str(outside))
            held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (held + _MEMORY, held + _MEMORY))
            if way == "go on":
                return command(["train", "--resume", str(run), "--no-progress"])
            try:
                eqrl.load(run)
            except UsageError as error:
                print(f"eqrl: error: {error}", file=sys.stderr)
                return 2
            return 0

        code = in_child(work, output, kill_after=_PATIENCE, errors=errors)
        said = errors.read_text(errors="replace")
        after = _contents(outside)
        # a log folder that is a link gets log files; what was there stays as it was
        touched = [name for name, content in before.items() if after.get(name) != content]
        if "canary" in after or touched:
            yield f"{way}: WRONG; {'executed' if 'canary' in after else f'touched {touched}'}"
        else:
            yield f"{way}: {_judged(code, said, notice and way == 'go on')}"


def _judged(code: int, said: str, notice: bool) -> str:
    # a checkpoint that is passed over is told before, with the line of code as Python does it
    lines = [line for line in said.splitlines() if "is passed over" not in line and not line.startswith("  ")]
    if code == KILLED:
        return "WRONG; it hangs"
    if code == _GUARD:  # MuJoCo says something itself when a simulation diverges
        lines = [line for line in lines if line.startswith("eqrl: error: ")]
    if code in (2, _GUARD) and len(lines) == 1 and "Traceback" not in said:
        return "refused in one line"
    if code == 0 and "Traceback" not in said:
        return "WRONG; accepted" if notice else "accepted"
    return f"WRONG; exit code {code}, {len(lines)} lines: {said[-300:]}"


def _contents(folder: Path) -> dict[str, bytes]:
    contents = {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
    }
    return {name: content for name, content in contents.items() if "__pycache__" not in name}


# ---------------------------------------------------------------------- attacks
def _on_the_manifest() -> Iterator[tuple[str, Attack]]:
    for name in ("../../../outside/precious.json", "/etc/hostname", "..", "a/b.json", "a\0.json", "policy.pkl", ""):
        entry = Entry(9, "0" * 64)
        yield f"File name {name!r} in the manifest", lambda f, n=name, e=entry: f.sign(files={**f.manifest.files, n: e})
        yield (
            f"Replay name {name!r} in the manifest",
            lambda f, n=name, e=entry: f.sign(replay={**f.manifest.replay, n: e}),
        )
    for name in ("policy.safetensors", "training.safetensors", "state.json", "state.npz"):
        yield (
            f"{name.capitalize()} not in the manifest",
            lambda f, n=name: f.sign(files={k: v for k, v in f.manifest.files.items() if k != n}),
        )
    for step in (-1, 2**70, 10**300, 1.5, float("1e308"), "7", None, True):
        yield f"Step {str(step)[:20]!r}", lambda f, s=step: f.sign(step=s)
    for complete in (False, "yes", None, 1):
        yield f"Complete is {complete!r}", lambda f, c=complete: f.sign(complete=c)
    for what in ("config", "spaces", "versions", "extra"):
        for value in (None, [], "x", 3):
            yield f"Manifest's {what} is {value!r}", lambda f, w=what, v=value: f.sign(**{w: v})
    yield "extra is nested", lambda f: f.sign(extra={"a": _nested(400)})
    yield "Manifest is nested too deeply", lambda f: f.raw_manifest(b"[" * 200_000 + b"]" * 200_000)
    yield "Manifest is large", lambda f: f.raw_manifest(b" " * (65 << 20))
    yield (
        "Manifest has a huge number",
        lambda f: f.raw_manifest(b'{"format": "eqrl-checkpoint-2", "step": ' + b"9" * 9999 + b"}"),
    )
    yield "Manifest is a pickle", lambda f: f.raw_manifest(f.pickle())
    yield "Manifest is a list", lambda f: f.raw_manifest(b"[1, 2]")
    yield "inexact is a table", lambda f: f.sign(inexact={"a": [1]})
    yield "created is a number", lambda f: f.sign(created=3)


def _on_the_configuration() -> Iterator[tuple[str, Attack]]:
    evil: list[tuple[str, dict[str, Any]]] = [
        ("Environment of a module", {"env": "canary_module:Env-v0"}),
        ("Package", {"gym_packages": ["canary_module"]}),
        ("Unknown environment", {"env": "x" * 500}),
        ("Network", {"network": "canary_module:touch"}),
        ("Activation", {"policy_kwargs": {"activation_fn": "canary_module.touch"}}),
        ("Policy option", {"policy_kwargs": {"optimizer_class": "canary_module.touch"}}),
        ("Hyperparameter", {"hyperparams": {"policy": "canary_module"}}),
        ("Buffer", {"hyperparams": {"replay_buffer_class": "os.system"}}),
        ("Schedule", {"hyperparams": {"learning_rate": "lin___import__('os')"}}),
        ("Environment option", {"env_kwargs": {"xml_file": "/etc/hostname", "render_mode": 3}}),
        ("Algorithm", {"algo": "canary_module"}),
        ("Nested option", {"env_kwargs": {"a": _nested(300)}}),
        ("Unknown option", {"canary": 1}),
        ("Many environments", {"n_envs": 10**9}),
        ("Large network", {"policy_kwargs": {"net_arch": [10**9, 10**9]}}),
        ("Device", {"device": "canary"}),
    ]
    for name, change in evil:
        yield f"{name} in the configuration", lambda f, c=change: _configured(f, {**f.manifest.config, **c})
    yield "Empty configuration", lambda f: _configured(f, {})
    for text in (
        "!!python/object/apply:pathlib.Path.touch [canary]",
        "env: !!python/object/new:os.system ['touch canary']",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" + "".join(f"d{i}: &d{i} [*c, *c]\n" for i in range(99)),
        "[" * 5000,
        "n_timesteps: " + "9" * 5000,
    ):
        yield f"Config.yaml is {text[:30]!r}", lambda f, t=text: (f.run / "config.yaml").write_text(t)
    yield "Config.yaml is a pickle", lambda f: (f.run / "config.yaml").write_bytes(f.pickle())
    for name in (
        "result.json",
        "progress.csv",
        "evaluations.csv",
        "owner.json",
        "lock",
        "README.md",
        "checkpoints/latest",
    ):
        yield f"pickle as {name}", lambda f, n=name: (f.run / n).write_bytes(f.pickle())


def _configured(forgery: Forgery, config: dict[str, Any]) -> None:
    (forgery.run / "config.yaml").unlink()  # else it contradicts
    forgery.sign(config=config)


def _with_links() -> Iterator[tuple[str, Attack]]:
    for name in ("policy.safetensors", "training.safetensors", "state.json", "state.npz", "manifest.json"):
        yield f"{name.capitalize()} is a link", lambda f, n=name: _moved_out(f, f.checkpoint / n)
    yield "checkpoint is a link", lambda f: _moved_out(f, f.checkpoint)
    for name in ("lock", "owner.json", "progress.csv", "evaluations.csv", "README.md", "result.json", "config.yaml"):
        yield f"link to something precious as {name}", lambda f, n=name: _linked(f.run / n, f.outside / "precious.txt")
    yield "replay is a link", lambda f: _linked(f.run / "replay", f.outside)
    yield "tensorboard is a link", lambda f: _linked(f.run / "tensorboard", f.outside)
    yield "a leftover is a link", lambda f: _linked(f.run / "checkpoints" / ".a.1.abcdef.tmp", f.outside)
    yield "latest is a link", lambda f: _linked(f.run / "checkpoints" / "latest", f.outside / "precious.txt")
    for name in ("policy.safetensors", "state.json"):
        yield f"{name.capitalize()} is a pipe", lambda f, n=name: _piped(f.checkpoint / n)
    for name in ("config.yaml", "progress.csv", "evaluations.csv", "owner.json"):
        yield f"{name} is a pipe", lambda f, n=name: _piped(f.run / n)


def _moved_out(forgery: Forgery, path: Path) -> None:
    away = forgery.outside / path.name
    shutil.move(path, away)
    path.symlink_to(away)


def _linked(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _piped(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _with_other_contents(sample: Forgery) -> Iterator[tuple[str, Attack]]:
    """Something else instead of every file."""
    bomb = archive(bytes(64 << 20), compression=zipfile.ZIP_DEFLATED)
    shape = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,)}"
    many = 500_000_000
    header = npy_header(shape % many)
    objects = archive(npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + sample.pickle())
    contents: dict[str, Callable[[Forgery], bytes]] = {
        "A pickle": lambda f: f.pickle(),
        "Nothing": lambda f: b"",
        "A zip bomb": lambda f: bomb,
        "Objects": lambda f: archive(npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + f.pickle()),
        "A pickle in an archive": lambda f: archive(f.pickle(), "a0.pkl"),
        "An oversized shape": lambda f: archive(header),
        "An oversized shape and member": lambda f: claiming(archive(header), len(header) + 8 * many),
        "Numbers of no size": lambda f: archive(npy_header("{'descr': '|S0', 'fortran_order': False, 'shape': (10,)}")),
        "An unparsable header": lambda f: archive(npy_header("(" * 300)),
        "A nested header": lambda f: archive(npy_header("-" * 5000 + "1")),
        "Nested JSON": lambda f: b"[" * 100_000,
        "A huge number": lambda f: b'{"a": ' + b"9" * 9999 + b"}",
        "A header of 2^63 bytes": lambda f: tensor_file(b"{}", length=2**63 - 1),
        "Nested tensors": lambda f: tensor_file(b'{"a":' * 5000 + b"1" + b"}" * 5000),
        "An oversized tensor": lambda f: tensor_file(
            {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
        ),
        "An overflowing tensor": lambda f: tensor_file(
            {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}
        ),
    }
    assert len(objects) < 1000
    chunks = sorted(sample.manifest.replay)
    for file in [*sorted(sample.manifest.files), *chunks[:1]]:
        for name, make in contents.items():
            yield f"{name} as {file}", lambda f, n=file, m=make: f.replace(n, m(f))


def _on_tensors(sample: Forgery) -> Iterator[tuple[str, Attack]]:
    for file in ("policy.safetensors", "training.safetensors"):
        names = sample.names_of(file)
        for name in dict.fromkeys([names[0], names[len(names) // 2], names[-1]]):
            yield (
                f"Shape of {name}",
                lambda f, p=file, n=name: f.tensors(p, lambda t, _: t.update({n: np.zeros((7, 5), np.float32)})),
            )
            yield (
                f"Type of {name}",
                lambda f, p=file, n=name: f.tensors(p, lambda t, _: t.update({n: t[n].astype(np.int16)})),
            )
            yield f"{name.capitalize()} is missing", lambda f, p=file, n=name: f.tensors(p, lambda t, _: t.pop(n))
            yield (
                f"nan in {name}",
                lambda f, p=file, n=name: f.tensors(p, lambda t, _: t.update({n: np.full_like(t[n], np.nan)})),
            )
        yield (
            "another tensor",
            lambda f, p=file: f.tensors(p, lambda t, _: t.update({"policy.optimizer/x": np.zeros(3)})),
        )
    odd: list[tuple[str, Any]] = [
        ("lr", "x"), ("lr", None), ("betas", ["a", "b"]), ("betas", 3), ("eps", []), ("params", [0, 0, 0]), ("params",
        "x"),
        ("capturable", "yes"), ("foreach", 3), ("weight_decay", {}), ("canary", 1), ("amsgrad", True), ("maximize",
        "x"),
    ]  # fmt: skip
    for key, value in odd:

        def change(tensors: Any, plain: Any, key: str = key, value: Any = value) -> None:
            for optimizer in plain["optimizers"].values():
                optimizer["param_groups"][0][key] = value

        yield f"Optimiser's {key} is {value!r}", lambda f, c=change: f.tensors("training.safetensors", c)
    for value in (None, [], "x", {"policy.optimizer": 3}, {}):
        yield (
            f"Optimisers are {value!r}",
            lambda f, v=value: f.tensors("training.safetensors", lambda _, p: p.update(optimizers=v)),
        )
    for value in ([], "x", {"mean": "x"}):
        yield (
            f"rewards are {value!r}",
            lambda f, v=value: f.tensors("policy.safetensors", lambda _, p: p.update(rewards=v)),
        )


def _on_arrays(sample: Forgery) -> Iterator[tuple[str, Attack]]:
    files = [
        "state.npz",
        *(["episodes.npz"] if "episodes.npz" in sample.manifest.files else []),
        *sorted(sample.manifest.replay)[:1],
    ]
    for file in files:
        for name in sample.names_of(file):
            where = f"{name} in {file}"
            yield (
                f"shape of {where}",
                lambda f, p=file, n=name: f.arrays(p, lambda a: a.update({n: np.zeros((3, 2, 1))})),
            )
            yield f"type of {where}", lambda f, p=file, n=name: f.arrays(p, lambda a: a.update({n: a[n].astype("U9")}))
            yield f"size of {where}", lambda f, p=file, n=name: f.arrays(p, lambda a: a.update({n: np.zeros((0,))}))
            yield f"extremes in {where}", lambda f, p=file, n=name: f.arrays(p, lambda a: a.update({n: _extreme(a[n])}))
            yield f"no {where}", lambda f, p=file, n=name: f.arrays(p, lambda a: a.pop(n))
    methods = {
        "step": 3,
        "close": "x",
        "__class__": 3,
        "__dict__": {},
        "model": 3,
        "action_space": [],
        "canary": 1,
        "data": None,
    }
    for name, value in methods.items():

        def change(state: Any, name: str = name, value: Any = value) -> None:
            for layer in _environment_layers(state["environment"]):
                layer[name] = value

        yield f"environment's state names {name!r}", lambda f, c=change: f.state(c)


def _environment_layers(state: Any) -> Iterator[dict[str, Any]]:
    if isinstance(state, dict):
        if isinstance(state.get("plain"), dict):
            yield state["plain"]
        for value in state.values():
            yield from _environment_layers(value)
    elif isinstance(state, list):
        for value in state:
            yield from _environment_layers(value)


def _extreme(array: Any) -> Any:
    kind = array.dtype.kind
    value = np.nan if kind == "f" else True if kind == "b" else np.iinfo(array.dtype).max if kind in "iu" else "x"
    return np.full_like(array, value)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value
