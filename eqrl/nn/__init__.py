"""Networks as maps between representations: one constructor, one property, ``f(g x) = g f(x)``."""

from eqrl.nn.backbone import Backbone
from eqrl.nn.ensemble import Ensemble, constants
from eqrl.nn.frame import Frame, Goal, Heading
from eqrl.nn.layout import Layout, layout
from eqrl.nn.mlp import MLP
from eqrl.nn.padding import Padding, cleared
from eqrl.nn.registry import BACKBONES, build
from eqrl.nn.regular import Regular
from eqrl.nn.steerable import Steerable
from eqrl.nn.tokens import Parts, Tokens, TokenSet, TokenTypes
from eqrl.nn.turn import Turn
from eqrl.nn.vector import Vector

__all__ = [
    "BACKBONES",
    "MLP",
    "Backbone",
    "Ensemble",
    "Frame",
    "Goal",
    "Heading",
    "Layout",
    "Padding",
    "Parts",
    "Regular",
    "Steerable",
    "TokenSet",
    "TokenTypes",
    "Tokens",
    "Turn",
    "Vector",
    "build",
    "cleared",
    "constants",
    "layout",
]
