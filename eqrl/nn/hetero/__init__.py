"""A heterogeneous graph network: typed nodes and edges, scalars and vectors, exact for rotations and mirrors."""

from eqrl.nn.hetero.network import Hetero

__all__ = ["Hetero"]
