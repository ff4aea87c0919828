"""Signatures of constructors that share arguments through their base classes, whole again for people and for checks."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints


def whole_signature(owner: type, root: type) -> inspect.Signature:
    """The signature of a constructor that hands ``**options`` on to its base classes, with their arguments by name.

    Options that are typed, ``**options: Unpack[SomeTypedDict]``, are no more than those.

    Args:
        owner: the class.
        root: the base class that takes the last of the options; what lies beyond it is not looked at.
    """
    positional: list[inspect.Parameter] = []
    named: dict[str, inspect.Parameter] = {}
    allowed: set[str] | None = None
    for base in owner.__mro__:
        if not issubclass(base, root) or "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        positional = positional or [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        for p in parameters:
            taken = allowed is None or p.name in allowed
            if taken and p not in positional and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                named.setdefault(p.name, p.replace(kind=p.KEYWORD_ONLY))
        rest = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest:
            break
        if allowed is None and "Unpack[" in str(rest[0].annotation):
            allowed = set(get_args(get_type_hints(vars(base)["__init__"])[rest[0].name])[0].__annotations__)
    known = {p.name for p in positional}
    return inspect.Signature([*positional, *(p for name, p in named.items() if name not in known), *rest])
