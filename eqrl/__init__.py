"""eqrl: reinforcement learning with policies that cannot break the symmetry of their world.

Importing the package registers its environments with Gymnasium and imports nothing heavy besides Gymnasium.
"""

from importlib.metadata import version

from eqrl.envs.registration import ENVIRONMENTS, make_vec, register_all

__version__ = version("eqrl")
__all__ = ["ENVIRONMENTS", "__version__", "make_vec"]

register_all()
