"""The whole state of a run, in a form that can be compared, and how it comes from one process to the next."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from recurrio.core.base.state import Part

__all__ = ["differing", "digest"]

# What depends on how the bytes came, or on the machine, and not on what they were.
OTHERS = ("fingerprint", "path", "reports")


def digest(part: Part) -> dict[str, str]:
    """The SHA-256 of each array, and of each leaf of what is said about them, by name."""
    found = {
        name: hashlib.sha256(repr((array.dtype, array.shape)).encode() + array.tobytes()).hexdigest()
        for name, array in part.arrays.items()
    }
    return found | {name: json.dumps(value) for name, value in _leaves("", part.about)}


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 (JSON)
    if not isinstance(value, dict) or not value:
        return [(name, value)]
    return [leaf for key in value if key not in OTHERS for leaf in _leaves(f"{name}.{key}".lstrip("."), value[key])]


def differing(one: Part, other: Part) -> list[str]:
    """The names of what is not the same."""
    mine, theirs = digest(one), digest(other)
    return [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
