"""A short video: the same episode under several rotations, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.errors import UsageError
from eqrl.evaluation.protocol import Protocol
from eqrl.headless import choose_renderer
from eqrl.rng import preserved_rng

_BORDER = 4  # even, because the codec needs even sizes


def record(
    model: BaseAlgorithm,
    env_id: str,
    env_kwargs: Mapping[str, Any],
    path: str | Path,
    *,
    angles_deg: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
    protocol: Protocol = "scene",
    seconds: float = 6.0,
    seed: int = 10_000,
    size: tuple[int, int] = (320, 320),
    members: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Film an agent on the same episodes under several rotations, or with the members of a fleet.

    Args:
        model: the agent.
        env_id: Gymnasium id.
        env_kwargs: options of the environment.
        path: ``.mp4`` or ``.gif``.
        angles_deg: rotations, one panel each.
        protocol: what is turned.
        seconds: length of the video; when an episode ends, the next one follows.
        seed: of the first episode.
        size: width and height of a panel in pixels.
        members: for a fleet, the options of each member's environment by name; then each member has one unrotated
            panel.

    Raises:
        UsageError: for another file type, or if nothing can be rendered here.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".gif"):
        raise UsageError(f"video {path}: unknown kind {path.suffix!r}; use .mp4 or .gif")
    choose_renderer()
    path.parent.mkdir(parents=True, exist_ok=True)
    options = members or {f"{a:g}°": {**env_kwargs, f"{protocol}_rotation": a} for a in angles_deg}
    panels = {label: _film(model, env_id, kwargs, seconds, seed, size) for label, kwargs in options.items()}
    rate, length = next((rate, len(film)) for film, rate in panels.values())
    frames: list[Any] = [
        _grid([_labelled(film[i], label) for label, (film, _) in panels.items()]) for i in range(length)
    ]
    if path.suffix == ".gif":
        imageio.mimsave(path, frames[::2], duration=2000.0 / rate, loop=0)
    else:
        imageio.mimsave(path, frames, fps=rate, macro_block_size=2)


def _film(
    model: BaseAlgorithm, env_id: str, kwargs: Mapping[str, Any], seconds: float, seed: int, size: tuple[int, int]
) -> tuple[list[NDArray[np.uint8]], int]:
    try:
        env = gymnasium.make(env_id, render_mode="rgb_array", width=size[0], height=size[1], **kwargs)
    except TypeError:  # the environment has a fixed frame size
        env = gymnasium.make(env_id, render_mode="rgb_array", **kwargs)
    rate = int(env.metadata.get("render_fps", 30))
    frames: list[NDArray[np.uint8]] = []
    with preserved_rng():
        observation, _ = env.reset(seed=seed)
        for _ in range(round(seconds * rate)):
            try:
                frame: Any = env.render()
            except Exception as error:  # every GL library fails in its own way
                raise UsageError(
                    f"nothing can be rendered here ({type(error).__name__}: {error}); try MUJOCO_GL=egl or"
                    " MUJOCO_GL=osmesa"
                ) from error
            frames.append(np.array(frame))
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                seed += 1
                observation, _ = env.reset(seed=seed)
    env.close()
    return frames, rate


def _labelled(frame: NDArray[np.uint8], text: str) -> Any:
    picture = Image.fromarray(frame)
    font = ImageFont.load_default(size=max(frame.shape[0] // 16, 12))
    ImageDraw.Draw(picture).text((10, 8), text, font=font, fill="#22313f")
    return np.asarray(picture)


def _grid(panels: Sequence[Any]) -> Any:
    """Up to three panels in a row; four and more in rows of two."""
    columns = len(panels) if len(panels) <= 3 else 2
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // columns)
    sheet = np.full(
        (rows * (height + _BORDER) + _BORDER, columns * (width + _BORDER) + _BORDER, 3), 255, dtype=np.uint8
    )
    for i, panel in enumerate(panels):
        top, left = _BORDER + (i // columns) * (height + _BORDER), _BORDER + (i % columns) * (width + _BORDER)
        sheet[top : top + height, left : left + width] = panel
    return sheet
