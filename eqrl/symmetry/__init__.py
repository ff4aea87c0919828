"""Groups, representations and typed spaces: the language in which eqrl states a symmetry."""

from eqrl.symmetry.edges import adjacency
from eqrl.symmetry.element import Element, about_gravity
from eqrl.symmetry.errors import DeclarationError, SymmetryError
from eqrl.symmetry.exchange import exchanges, family, random_exchange
from eqrl.symmetry.generator import Generator
from eqrl.symmetry.group import GROUPS, O2, O3, SO2, SO3, TRIVIAL, Group, finite_group
from eqrl.symmetry.orbits import Orbits, orbits
from eqrl.symmetry.padding import mask_index
from eqrl.symmetry.representation import Block, EntitySet, Field, Representation, direct_sum, scalars
from eqrl.symmetry.spaces import TypedBox, UntypedSpaceError, representation_of, vector_blocks

__all__ = [
    "GROUPS",
    "O2",
    "O3",
    "SO2",
    "SO3",
    "TRIVIAL",
    "Block",
    "DeclarationError",
    "Element",
    "EntitySet",
    "Field",
    "Generator",
    "Group",
    "Orbits",
    "Representation",
    "SymmetryError",
    "TypedBox",
    "UntypedSpaceError",
    "about_gravity",
    "adjacency",
    "direct_sum",
    "exchanges",
    "family",
    "finite_group",
    "mask_index",
    "orbits",
    "random_exchange",
    "representation_of",
    "scalars",
    "vector_blocks",
]
