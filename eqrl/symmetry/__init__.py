"""Groups, representations and typed spaces: the language in which eqrl states a symmetry."""

from typing import TYPE_CHECKING, Any

from eqrl.symmetry.check_environment import GeneratorReport, SymmetricWorld, check_environment
from eqrl.symmetry.check_policy import PolicyReport, check_policy
from eqrl.symmetry.edges import adjacency
from eqrl.symmetry.element import Element, about_gravity
from eqrl.symmetry.errors import SymmetryError
from eqrl.symmetry.exchange import exchanges, random_exchange
from eqrl.symmetry.group import GROUPS, O2, O3, SO2, SO3, TRIVIAL, Generator, Group, finite_group
from eqrl.symmetry.measure_behaviour import Behaviour, measure_behaviour
from eqrl.symmetry.orbits import Orbits, orbits
from eqrl.symmetry.padding import mask_index
from eqrl.symmetry.proof import Cause, NonFiniteRolloutError, Verdict, Verdicts
from eqrl.symmetry.representation import Block, EntitySet, Field, Representation, direct_sum, scalars
from eqrl.symmetry.spaces import TypedBox, UntypedSpaceError, representation_of, vector_blocks

if TYPE_CHECKING:
    from eqrl.symmetry.morphology import derive
    from eqrl.symmetry.proof.verify import verify

__all__ = [
    "GROUPS",
    "O2",
    "O3",
    "SO2",
    "SO3",
    "TRIVIAL",
    "Behaviour",
    "Block",
    "Cause",
    "Element",
    "EntitySet",
    "Field",
    "Generator",
    "GeneratorReport",
    "Group",
    "NonFiniteRolloutError",
    "Orbits",
    "PolicyReport",
    "Representation",
    "SymmetricWorld",
    "SymmetryError",
    "TypedBox",
    "UntypedSpaceError",
    "Verdict",
    "Verdicts",
    "about_gravity",
    "adjacency",
    "check_environment",
    "check_policy",
    "derive",
    "direct_sum",
    "exchanges",
    "finite_group",
    "mask_index",
    "measure_behaviour",
    "orbits",
    "random_exchange",
    "representation_of",
    "scalars",
    "vector_blocks",
    "verify",
]


def __getattr__(name: str) -> Any:
    # derivation needs MuJoCo, which declaring a symmetry does not
    if name == "derive":
        from eqrl.symmetry.morphology import derive

        return derive
    if name == "verify":
        from eqrl.symmetry.proof.verify import verify

        return verify
    raise AttributeError(f"module 'eqrl.symmetry' has no attribute {name!r}")
