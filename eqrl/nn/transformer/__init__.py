"""Transformers over the limbs of robots, the points of objects, or the members of any other entity set."""

from eqrl.nn.transformer.set_transformer import SubequivariantTransformer
from eqrl.nn.transformer.transformer import Transformer

__all__ = ["SubequivariantTransformer", "Transformer"]
