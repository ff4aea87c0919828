"""All parts of the fault injection, one after the other, with their numbers written down."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import eqrl.agents
import eqrl.nn  # noqa: F401  forked trainings find everything imported
from eqrl.versions import versions
from faults import damage, disks, guards, hostile, kills, resumes, signals
from faults.jobs import kill_jobs, register_gymnasium_environments, resume_jobs
from faults.report import failures_in, write_readme

Part = Callable[[Path, int, bool], dict[str, Any]]
PARTS: Mapping[str, Part] = {
    "kills": lambda work, seed, quick: kills.run(work, seed, *((8, kill_jobs()[1::3]) if quick else (220, None))),
    "resume": lambda work, seed, quick: resumes.run(
        work, seed, 1 if quick else 3, resume_jobs()[8:9] if quick else None
    ),
    "damage": lambda work, seed, quick: damage.run(work, seed, *((60, 4, 0) if quick else (1000, 120, 6))),
    "hostile": lambda work, seed, quick: hostile.run(work, seed, *((2, 10) if quick else (60, None))),
    "disks": lambda work, seed, quick: disks.run(work, seed, 1 if quick else 20, quick=quick),
    "signals": lambda work, seed, quick: signals.run(work, seed, *((1, 2, False) if quick else (6, 8, True))),
    "guards": lambda work, seed, quick: guards.run(work, seed, quick=quick),
}


def main(description: str) -> int:
    """Run the parts that were asked for on the command line.

    Args:
        description: of the script, for its help.

    Returns:
        The exit code: 1 if anything failed.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="names with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    parser.add_argument("--out", type=Path, default=Path("results/reliability"))
    args = parser.parse_args()
    if unknown := [name for name in args.parts.split(",") if name not in PARTS]:
        parser.error(f"unknown parts {unknown}; choose from {', '.join(PARTS)}")
    torch.set_num_threads(1)
    # resumed runs hide what came after the checkpoint, by design
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    register_gymnasium_environments()
    args.out.mkdir(parents=True, exist_ok=True)
    out, failed = args.out.resolve(), []
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="faults") as work:
        os.chdir(work)  # MuJoCo writes its log where it is
        for name in args.parts.split(","):
            folder = Path(work) / name
            folder.mkdir()
            numbers = PARTS[name](folder, args.seed, args.quick)
            said = {"seed": args.seed, "quick": args.quick, **numbers, "versions": versions()}
            (out / f"{name}.json").write_text(json.dumps(said, indent=1) + "\n")
            wrong = failures_in(numbers)
            failed += [f"{name}: {text}" for text in wrong]
            print(f"{name}: {len(wrong)} failures in {numbers['seconds']:.0f} s", flush=True)
        os.chdir(here)
    write_readme(out)
    for text in failed:
        print(f"FAILED {text}", file=sys.stderr)
    return 1 if failed else 0
