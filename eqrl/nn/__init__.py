"""Networks as maps between representations: one constructor, one property, ``f(g x) = g f(x)``."""

from eqrl.nn.backbone import Backbone
from eqrl.nn.ensemble import Ensemble, constants
from eqrl.nn.frame import Frame, Goal, Heading
from eqrl.nn.gated import Gated
from eqrl.nn.layout import Layout, layout
from eqrl.nn.mlp import MLP
from eqrl.nn.padding import Padding, cleared
from eqrl.nn.pathways import SoftBackbone
from eqrl.nn.registry import BACKBONES, build
from eqrl.nn.regular import Regular
from eqrl.nn.residual import Residual
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
    "Gated",
    "Goal",
    "Heading",
    "Layout",
    "Padding",
    "Parts",
    "Regular",
    "Residual",
    "SoftBackbone",
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
