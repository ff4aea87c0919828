"""Find the symmetry of Gymnasium's environments: that of the model, and the part of it that the task keeps.

python scripts/gymnasium_symmetries.py                # writes results/gymnasium/
python scripts/gymnasium_symmetries.py --write-data   # and the data files of eqrl.declare
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from eqrl.declare import CLASSIC, MUJOCO, describe_model, find_symmetries

ROOT = Path(__file__).parents[1]


class Rows(yaml.SafeDumper):
    """Writes lists of numbers on one line."""


def _list(dumper: Rows, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=all(not isinstance(x, dict | str) for x in data)
    )


Rows.add_representer(list, _list)


def row(name: str, task: dict[str, Any], model: dict[str, Any] | None) -> str:
    """One line of the table."""
    exact = [
        f"{g['name']} ({g['drift'][0]:.0e}, {g['drift'][-1]:.0e})"
        for g in task["generators"]
        if g["holds"] == "exactly"
    ]
    nearly = [f"{g['name']}: {'; '.join(g.get('differs', []))}" for g in task["generators"] if g["holds"] != "exactly"]
    if model is None:
        return f"| {name} | - | {2 ** len(exact)} | {', '.join(exact) or '-'} | - |"
    derived = f"{model['dynamic']['group']}, {model['dynamic']['order']}"
    return f"| {name} | {derived} | {model['task_order']} | {', '.join(exact) or '-'} | {'; '.join(nearly) or '-'} |"


def main() -> None:
    """Find, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-data", action="store_true", help="write the data files of eqrl.declare too")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "gymnasium")
    options = parser.parse_args()
    table, summary = [], {}
    for name in (*MUJOCO, *CLASSIC):
        task = find_symmetries(name)
        model = describe_model(name) if name in MUJOCO else None
        table.append(row(name, task, model))
        print(table[-1], flush=True)
        generators = [{k: v for k, v in g.items() if k != "element"} for g in task["generators"]]
        summary[name] = {"model": model, "task": generators}
        if options.write_data:
            path = ROOT / "eqrl" / "declare" / "data" / f"{name.lower().replace('-', '_')}.yaml"
            head = "# Found by scripts/gymnasium_symmetries.py --write-data; a test finds it again.\n"
            path.write_text(head + yaml.dump(task, Dumper=Rows, sort_keys=False, width=120), encoding="utf-8")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "symmetries.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    text = [
        "# Symmetries of Gymnasium's environments",
        "",
        (
            "Written by `python scripts/gymnasium_symmetries.py`. *Model*: exact group of the MuJoCo model (`SO2`:"
            " rotations about gravity) and order"
        ),
        (
            "of its finite part. *Order kept*: of what observation, reward and end of the episode keep of it, exactly."
            " In brackets the median"
        ),
        (
            "difference of states after 1 and 50 steps with random actions and elliptic friction cones (classic"
            " control: 1 and 10 steps)."
        ),
        "*Nearly*: kept approximately, and what breaks it; `with_symmetry(env, approximate=True)` declares these too.",
        "",
        "| environment | model | order kept | generators kept | nearly |",
        "|---|---|---|---|---|",
        *table,
    ]
    (options.results / "README.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
