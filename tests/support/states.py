"""The whole state of a run, in a form that can be compared, and how it comes from one process to the next."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from recurrio.core.base.state import Part

__all__ = ["differing", "digest"]

# What depends on how the bytes came, or on the machine, and not on what they were.
OTHERS = ("fingerprint", "path", "reports", "journals")
# And of what comes live.
LIVE = ("pieces", "reception")


def digest(part: Part, *, live: bool = False) -> dict[str, str]:
    """The SHA-256 of each array, and of each leaf of what is said about them, by name."""
    others = OTHERS + LIVE * live
    found = {
        name: hashlib.sha256(repr((array.dtype, array.shape)).encode() + array.tobytes()).hexdigest()
        for name, array in part.arrays.items()
        if not any(f".{other}." in name for other in others)
    }
    return found | {name: json.dumps(value) for name, value in _leaves("", part.about, others)}


def _leaves(name: str, value: Any, others: tuple[str, ...]) -> list[tuple[str, Any]]:  # noqa: ANN401 (JSON)
    if not isinstance(value, dict) or not value:
        return [(name, value)]
    return [
        leaf for key in value if key not in others for leaf in _leaves(f"{name}.{key}".lstrip("."), value[key], others)
    ]


def differing(one: Part, other: Part, *, live: bool = False) -> list[str]:
    """The names of what is not the same."""
    mine, theirs = digest(one, live=live), digest(other, live=live)
    return [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
