"""Write docs/environments.md, and a page for each environment in docs/environments/, from what the tasks declare.

python scripts/document_environments.py             # also draws the pictures that are missing
python scripts/document_environments.py --pictures  # draws all of them again
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import gymnasium

from eqrl import ENVIRONMENTS
from eqrl.envs import task_class
from eqrl.headless import choose_renderer

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "environments" / "pictures"
WIDTH, HEIGHT, QUALITY = 640, 480, 85  # pixels, and per cent
HEAD = """# Environments

Each is written once for a batch of simulations on `mujoco.batch` and comes as `gymnasium.make(id)`,
`gymnasium.make_vec(id)` and `eqrl.make_vec(id, n_envs)` with the same bits. `scene_rotation` turns the whole scene,
`goal_rotation` the goal alone; `breaking` with `breaking_size` breaks the symmetry by a known amount, everywhere or,
as `"patch"`, in `breaking_patch` alone.
[A new environment](new_environment.md) takes sixty lines.

These pages are made from what the tasks declare, by `python scripts/document_environments.py`.

| id | task |
|---|---|
"""


def pages() -> dict[Path, str]:
    """All pages as they should be: one for each task, and one that lists them and the sets of robots."""
    from eqrl.envs.core import documentation  # imports MuJoCo, so only when the renderer is chosen

    texts: dict[str, str] = {}
    known = set()
    for env_id, registered in ENVIRONMENTS.items():
        task = task_class(registered.task)
        if env_id.startswith("eqrl/") and task not in known:
            known.add(task)
            texts[env_id] = documentation(task)
    environments = {
        DOCS / "environments" / f"{_name(env_id)}.md": _page(env_id, text) for env_id, text in texts.items()
    }
    return {DOCS / "environments.md": _list(texts), **environments}


def draw(env_id: str, file: Path) -> None:
    """Draw the first state of an environment.

    Raises:
        RuntimeError: where nothing can be rendered.
    """
    import imageio.v3 as imageio

    env = gymnasium.make(env_id, render_mode="rgb_array", width=WIDTH, height=HEIGHT)
    try:
        env.reset(seed=0)
        file.parent.mkdir(parents=True, exist_ok=True)
        imageio.imwrite(file, env.render(), quality=QUALITY, optimize=True)
    finally:
        env.close()


def _page(env_id: str, text: str) -> str:
    picture = _picture(env_id)
    note = "*There is no picture of it: nothing could be rendered where this page was made.*"
    shown = f"![A scene of {env_id}](pictures/{picture.name})" if picture.is_file() else note
    first, _, rest = text.partition("\n")
    return f"# {env_id}\n\n{first}\n\n{shown}\n{rest}"


def _list(texts: Mapping[str, str]) -> str:
    rows = [
        f"| [`{env_id}`](environments/{_name(env_id)}.md) | {text.splitlines()[0].rstrip('.')} |"
        for env_id, text in texts.items()
    ]
    return HEAD + "\n".join(rows) + "\n\n" + _sets()


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


def _name(env_id: str) -> str:
    return env_id.removeprefix("eqrl/")


def _picture(env_id: str) -> Path:
    return PICTURES / f"{_name(env_id)}.jpg"


def main() -> None:
    """Draw pictures and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", action="store_true", help="draw all pictures again, not only missing ones")
    again = parser.parse_args().pictures
    choose_renderer()
    for page in pages():
        env_id = f"eqrl/{page.stem}"
        if env_id in ENVIRONMENTS and (again or not _picture(env_id).is_file()):
            try:
                draw(env_id, _picture(env_id))
            except RuntimeError as error:
                print(f"no picture of {env_id}: {error}")
    written = pages()
    for page, text in written.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    print(f"wrote {len(written)} pages")


if __name__ == "__main__":
    main()
