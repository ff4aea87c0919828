"""Write docs/environments.md, the page of all environments, from what their tasks declare."""

from __future__ import annotations

from pathlib import Path

from eqrl import ENVIRONMENTS
from eqrl.envs import task_class
from eqrl.envs.core import page

PAGE = Path(__file__).parents[1] / "docs" / "environments.md"


def environments_page() -> str:
    """The page as it should be."""
    return page(
        {
            env_id: task_class(where.task)
            for env_id, where in ENVIRONMENTS.items()
            if env_id.startswith("eqrl/") and where.members is None
        }
    )


if __name__ == "__main__":
    PAGE.write_text(environments_page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
