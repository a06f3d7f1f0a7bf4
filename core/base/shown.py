"""How a thing shows itself: as the call that makes an equal one."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["show_call"]


def show_call(thing: object, **arguments: Any) -> str:  # noqa: ANN401 (anything may be an argument)
    """``Name(first, option=value)``, the call of the type of `thing` that makes an equal one.

    An argument is the one given here, or else the attribute of its name. What has no default stands in front, without
    its name where it need not be named; what is at its default is left out.
    """
    shown = []
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        value = arguments.get(name, getattr(thing, name, parameter.default))
        if parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
            shown.append(repr(value))
        elif value != parameter.default:
            shown.append(f"{name}={value!r}")
    return f"{type(thing).__name__}({', '.join(shown)})"
