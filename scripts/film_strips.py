"""Film strips of trained policies: some frames of one episode, side by side.

MUJOCO_GL=egl python scripts/film_strips.py RUN OUT.png
MUJOCO_GL=egl python scripts/film_strips.py RUN OUT.png --start 3 --every 0.16
MUJOCO_GL=egl python scripts/film_strips.py RUN OUT.png --member star  # of a fleet
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium
import numpy as np
from PIL import Image

import eqrl


def strip(
    run: Path, env_id: str | None, member: str | None, frames: int, every: float, start: float, seed: int
) -> Image.Image:
    """Frames of an episode of the deterministic policy, from left to right.

    Args:
        run: run folder.
        env_id: environment to play in; None for the one trained in.
        member: of a fleet; None without one.
        frames: number of frames.
        every: seconds between two of them.
        start: seconds before the first one.
        seed: of the episode.
    """
    model, config = eqrl.load(run)
    kwargs = {**config.env_kwargs, **config.eval_env_kwargs}
    if member is not None:
        kwargs["member"] = member
    env = gymnasium.make(env_id or config.env, render_mode="rgb_array", width=360, height=300, **kwargs)
    observation, _ = env.reset(seed=seed)
    pictures: list[Image.Image] = []
    dt = env.unwrapped.dt  # type: ignore[attr-defined]  # every eqrl environment has it
    step = 0
    while len(pictures) < frames:
        if step * dt >= start + len(pictures) * every:
            pictures.append(Image.fromarray(np.asarray(env.render())))
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, truncated, _ = env.step(action)
        step += 1
        if terminated or truncated:
            break
    env.close()
    sheet = Image.new("RGB", (sum(p.width for p in pictures), pictures[0].height))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k * picture.width, 0))
    return sheet


def main() -> None:
    """Write one strip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--env", metavar="ID", help="by default the one trained in")
    parser.add_argument("--member", help="of a fleet")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--every", type=float, default=0.3, help="seconds")
    parser.add_argument("--start", type=float, default=0.0, help="seconds")
    parser.add_argument("--seed", type=int, default=10_000)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    strip(args.run, args.env, args.member, args.frames, args.every, args.start, args.seed).save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
