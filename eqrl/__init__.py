"""eqrl: reinforcement learning with policies that cannot break the symmetry of their world.

Importing the package registers its environments with Gymnasium and imports nothing heavy besides Gymnasium.
"""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).parent
if not (_here / "envs").is_dir() and (_here.parent / "pyproject.toml").is_file():
    # Python runs in a checkout, whose eqrl/ shadows the installed package: envs/ and agents/ lie beside it there
    __path__.append(str(_here.parent))

from eqrl.envs.registration import ENVIRONMENTS, make_vec, register_all  # noqa: E402

if TYPE_CHECKING:
    from eqrl.declare import infer_types, with_symmetry
    from eqrl.loading import load

__version__ = version("eqrl")
__all__ = ["ENVIRONMENTS", "__version__", "infer_types", "load", "make_vec", "with_symmetry"]

register_all()


def __getattr__(name: str) -> Any:
    # these need torch, MuJoCo or Stable-Baselines3, which registration must not import
    if name == "load":
        from eqrl import loading

        return loading.load
    if name in ("with_symmetry", "infer_types"):
        from eqrl import declare

        return getattr(declare, name)
    raise AttributeError(f"module 'eqrl' has no attribute {name!r}")
