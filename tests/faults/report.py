"""The table of what was tried and what failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Numbers = Mapping[str, Any]
Row = tuple[str, int, int | None]  # what was tried, how often, how often it failed
_MOST = 20


def failures_in(numbers: Numbers) -> list[str]:
    """Failures of a part, which stores them as a list or by kind."""
    failures = numbers["failures"]
    return (
        [f"{kind}: {text}" for kind, texts in failures.items() for text in texts]
        if isinstance(failures, dict)
        else list(failures)
    )


def write_readme(folder: Path) -> None:
    """Write ``README.md`` from the numbers in a folder."""
    parts = {name: json.loads(path.read_text()) for name in _ROWS if (path := folder / f"{name}.json").exists()}
    lines = [
        "# What was tried against trainings and their files",
        "",
        (
            "Made by `python scripts/fault_injection.py`; every number here is computed from the `.json` files beside"
            " it. Small"
        ),
        (
            "trainings by the public command, on a CPU, one thread each. A run that goes on is compared with one that"
            " nobody"
        ),
        (
            "interrupted: parameters, optimisers, counters, random numbers, states of the environments, replay buffer,"
            " evaluations,"
        ),
        "logged values and TensorBoard, entry by entry, bit for bit.",
        "",
        "| part | what was tried | how often | failures |",
        "|---|---|---:|---:|",
    ]
    for name, numbers in parts.items():
        rows = _ROWS[name](numbers)
        lines += [
            f"| {name} | {what} | {count:,} | {'' if failed is None else failed} |" for what, count, failed in rows
        ]
    lines += ["", *_details(parts), "## Again", "", "```"]
    lines += [
        f"python scripts/fault_injection.py --parts {name} --seed"
        f" {numbers['seed']}{' --quick' if numbers['quick'] else ''}    # {numbers['seconds'] / 60:.0f} min"
        for name, numbers in parts.items()
    ]
    lines += ["```", ""]
    versions = next(iter(parts.values()))["versions"] if parts else {}
    lines += [
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items() if name != "commit") + ".",
        "",
    ]
    if wrong := [f"{name}: {text}" for name, numbers in parts.items() for text in failures_in(numbers)]:
        lines += [f"## Failures ({len(wrong)})", ""]
        lines += [f"- `{' '.join(text.replace('`', ' ').split())[:300]}`" for text in wrong[:_MOST]]
        lines += [f"- and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
        lines.append("")
    (folder / "README.md").write_text("\n".join(lines))


def _details(parts: Mapping[str, Numbers]) -> Iterator[str]:
    if "kills" in parts:
        kills = parts["kills"]
        where = ", ".join(
            f"{phase} {count}" for phase, count in sorted(kills["where"].items(), key=lambda item: -item[1])
        )
        yield (
            f"Where the kills hit: {where}. A training lost at most {kills['largest_loss_in_steps']} environment steps,"
            " which is"
        )
        yield (
            f"{kills['largest_loss_in_intervals']:.2f} of what one interval between checkpoints, and the rollout that"
            " runs over its end, may cost."
        )
        yield ""
    if "damage" in parts:
        yield "What became of damaged runs, by what was asked of them:"
        yield ""
        yield from ("| asked: outcome | times |", "|---|---:|")
        yield from (f"| {outcome} | {count} |" for outcome, count in sorted(parts["damage"]["outcomes"].items()))
        yield ""
        yield (
            "`progress.csv`, the TensorBoard log, `result.json` and `README.md` are notes for people and have no"
            " checksum: what"
        )
        yield "is damaged in them stays so, and nothing that is loaded comes from them."
        yield ""
    for name, numbers in parts.items():
        for note in numbers.get("notes", []):
            yield f"- {name}: {note}"


def _kills(n: Numbers) -> Iterator[Row]:
    failed = {kind: len(texts) for kind, texts in n["failures"].items()}
    yield "SIGKILL", n["kills"], failed["cannot continue"]
    yield "of them inside a save", n["kills_inside_a_save"], None
    yield "resumed (failures: lost more than an interval)", n["resumed"], failed["lost too much"]
    yield (
        "checkpoints compared with the uninterrupted run",
        n["checkpoints_compared_with_the_uninterrupted_run"],
        failed["loads wrong"],
    )
    yield "entries of finished runs compared", n["entries_compared"], failed["differing"]
    yield "runs searched for what is half-written", n["runs"], failed["litter"]


def _resume(n: Numbers) -> Iterator[Row]:
    for job, row in n["jobs"].items():
        yield f"{job}: entries compared after {row['resumed']} resumes", row["entries_compared"], row["failures"]


def _damage(n: Numbers) -> Iterator[Row]:
    for way, count in n["by_way"].items():
        yield way, count, sum(text.startswith(f"{way}: ") for text in n["failures"])
    yield "all, each loaded in three ways and resumed", n["damages"], len(n["failures"])


def _hostile(n: Numbers) -> Iterator[Row]:
    yield "made-up runs, loaded and resumed, in 1 GiB of address space", n["attacks"], len(n["failures"])
    yield "of them executed something", n["attacks"], n["executions"]


def _tried(n: Numbers) -> Iterator[Row]:
    for what, count in n["tried"].items():
        yield what, count, sum(what in text for text in failures_in(n))
    yield "all", sum(n["tried"].values()), len(n["failures"])


_ROWS: Mapping[str, Callable[[Numbers], Iterator[Row]]] = {
    "kills": _kills,
    "resume": _resume,
    "damage": _damage,
    "hostile": _hostile,
    "disks": _tried,
    "signals": _tried,
    "guards": _tried,
}
