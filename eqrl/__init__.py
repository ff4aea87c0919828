"""eqrl: reinforcement learning with policies that cannot break the symmetry of their world.

The names below are the public API. Each is imported when it is first used, so ``import eqrl`` only registers the
environments with Gymnasium. Everything else may move between versions.

- Environments: :data:`ENVIRONMENTS`, :func:`make_vec`, :func:`register`.
- Spaces that know their symmetry: :class:`TypedBox`, :class:`Representation`, :class:`Field`, :class:`EntitySet`,
  :func:`representation_of`; groups: :class:`Group`, :class:`Generator`, :class:`Element`, :func:`about_gravity`,
  :func:`finite_group`, :data:`SO2`, :data:`O2`, :data:`SO3`, :data:`O3`.
- Third-party environments: :func:`with_symmetry` types them, :func:`infer_types` proposes types.
- Policies for Stable-Baselines3: :class:`EquivariantPolicy` (PPO), :class:`EquivariantSACPolicy`,
  :class:`EquivariantTD3Policy`, :class:`EquivariantTQCPolicy`. Baselines and buffers that learn the symmetry are in
  :mod:`eqrl.agents`.
- Models: :func:`derive` finds a model's symmetry, and its ``symmetrise`` makes it exact.
- Proofs: :func:`verify` a model's or environment's symmetry, :func:`check_environment`, :func:`check_policy`,
  :func:`measure_behaviour`.
- Runs: :class:`Config` and :func:`load`; training and evaluation are :func:`eqrl.train.train` and
  :func:`eqrl.evaluate.evaluate`.
- Callbacks for your own training scripts: :class:`SaveTraining` (exact resume), :class:`ShareCores`.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).parent
if not (_here / "envs").is_dir() and (_here.parent / "pyproject.toml").is_file():
    # In a checkout, eqrl/ shadows the installed package, and envs/ and agents/ lie beside it.
    __path__.append(str(_here.parent))

from eqrl.envs.registration import ENVIRONMENTS, make_vec, register, register_all  # noqa: E402

if TYPE_CHECKING:
    from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, EquivariantTQCPolicy
    from eqrl.checkpoint import SaveTraining
    from eqrl.declare import infer_types, with_symmetry
    from eqrl.derivation import derive
    from eqrl.loading import load
    from eqrl.proof import check_environment, check_policy, measure_behaviour, verify
    from eqrl.runs.config import Config
    from eqrl.symmetry import (
        O2,
        O3,
        SO2,
        SO3,
        Element,
        EntitySet,
        Field,
        Generator,
        Group,
        Representation,
        TypedBox,
        about_gravity,
        finite_group,
        representation_of,
    )
    from eqrl.threads import ShareCores

__version__ = version("eqrl")
__all__ = [
    "ENVIRONMENTS",
    "O2",
    "O3",
    "SO2",
    "SO3",
    "Config",
    "Element",
    "EntitySet",
    "EquivariantPolicy",
    "EquivariantSACPolicy",
    "EquivariantTD3Policy",
    "EquivariantTQCPolicy",
    "Field",
    "Generator",
    "Group",
    "Representation",
    "SaveTraining",
    "ShareCores",
    "TypedBox",
    "__version__",
    "about_gravity",
    "check_environment",
    "check_policy",
    "derive",
    "finite_group",
    "infer_types",
    "load",
    "make_vec",
    "measure_behaviour",
    "register",
    "representation_of",
    "verify",
    "with_symmetry",
]

# Modules of the names that are imported on first use, because they need PyTorch, MuJoCo or Stable-Baselines3.
_ROOMS: Mapping[str, tuple[str, ...]] = {
    "agents": ("EquivariantPolicy", "EquivariantSACPolicy", "EquivariantTD3Policy", "EquivariantTQCPolicy"),
    "checkpoint": ("SaveTraining",),
    "declare": ("infer_types", "with_symmetry"),
    "derivation": ("derive",),
    "loading": ("load",),
    "proof": ("check_environment", "check_policy", "measure_behaviour", "verify"),
    "runs.config": ("Config",),
    "threads": ("ShareCores",),
    "symmetry": (
        *(
            "O2",
            "O3",
            "SO2",
            "SO3",
            "Element",
            "EntitySet",
            "Field",
            "Generator",
            "Group",
            "Representation",
            "TypedBox",
        ),
        *("about_gravity", "finite_group", "representation_of"),
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

register_all()


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'eqrl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"eqrl.{_ROOM_OF[name]}"), name)
    globals()[name] = value  # later uses are ordinary lookups
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
