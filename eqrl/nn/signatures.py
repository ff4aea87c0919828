"""Full signatures of constructors that pass ``**options`` on to their base classes, for documentation and checks."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints


def whole_signature(owner: type, root: type) -> inspect.Signature:
    """The signature of a constructor, with the options that it passes on to base classes written out by name.

    Where the options are typed, ``**options: Unpack[SomeTypedDict]``, only the keys of that dictionary are listed.

    Args:
        owner: the class.
        root: the last base class that is looked at; it and its subclasses define the options.
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
