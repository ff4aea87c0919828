"""Write docs/environments.md, the page of all environments, from what their tasks declare."""

from __future__ import annotations

from pathlib import Path

from eqrl import ENVIRONMENTS
from eqrl.envs import task_class
from eqrl.envs.core import documentation, page

PAGE = Path(__file__).parents[1] / "docs" / "environments.md"


def environments_page() -> str:
    """The page as it should be: a chapter for each task, and a table of the sets of robots."""
    texts: dict[str, str] = {}
    known = set()
    for env_id, registered in ENVIRONMENTS.items():
        task = task_class(registered.task)
        if env_id.startswith("eqrl/") and task not in known:
            known.add(task)
            texts[env_id] = documentation(task)
    return page(texts, _sets())


def _sets() -> str:
    rows = [
        "`eqrl/Run-v0` takes any robot. Each robot of [3D-SGRL](benchmarks/sgrl.md) has an id too,\n"
        "`eqrl/SGRL-<name>-v0`, and so have the sets on which one policy trains ([fleets](fleets.md)):\n",
        "| id | robots | never seen |",
        "|---|---|---|",
    ]
    for env_id, registered in ENVIRONMENTS.items():
        if env_id.startswith("eqrl/") and registered.members is not None:
            unseen = [f"`{other.removeprefix('eqrl/SGRL-').removesuffix('-v0')}`" for other in registered.unseen]
            rows.append(
                f"| `{env_id}` | {', '.join(f'`{name}`' for name in registered.members)} | {', '.join(unseen)} |"
            )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(environments_page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
