"""What can be written down and taken up again: a part of a training's state, and what has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .checks import ArgumentError, check_array
from .parameters import Array

__all__ = ["Checkpointable", "Part", "text_arrays", "texts_in"]

BYTES, LENGTHS = np.dtype(np.uint8), np.dtype(np.int64)


class Part(NamedTuple):
    """``arrays`` by name, and ``about``, what else there is, as plain JSON."""

    arrays: dict[str, Array]
    about: dict[str, Any]

    @classmethod
    def of(cls, about: Mapping[str, Any] | None = None, /, **parts: Part) -> Part:
        """One of several, each under its name, and what else there is `about` them."""
        arrays = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays.items()}
        return cls(arrays, {name: part.about for name, part in parts.items()} | dict(about or {}))

    def part(self, name: str) -> Part:
        """That of this name. Raises ArgumentError where there is none."""
        about = self.about.get(name)
        if not isinstance(about, dict):
            raise ArgumentError("state", f"a part named {name}", "none")
        start = f"{name}."
        return Part({key[len(start) :]: array for key, array in self.arrays.items() if key.startswith(start)}, about)

    def array(self, name: str, shape: tuple[str | int, ...], dtype: np.dtype) -> Array:
        """The array of this name. Raises ArgumentError where there is none of this shape and dtype."""
        array = self.arrays.get(name)
        check_array(name, array, shape, dtype)
        assert array is not None
        return array


class Checkpointable(Protocol):
    """What has a state between two batches."""

    def dump(self) -> Part:
        """A copy of the state."""
        ...

    def load(self, part: Part) -> None:
        """Take up a state that `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        ...


def text_arrays(texts: Sequence[str]) -> dict[str, Array]:
    """Many texts as two arrays: their UTF-8, one behind the other, and how many bytes each has."""
    together = "".join(texts)
    joined = together.encode("utf-8", "surrogatepass")
    # Where each character is a byte the texts have as many bytes; else each has to be looked at.
    coded = texts if len(joined) == len(together) else [text.encode("utf-8", "surrogatepass") for text in texts]
    return {"text": np.frombuffer(joined, BYTES).copy(), "lengths": np.fromiter(map(len, coded), LENGTHS, len(texts))}


def texts_in(part: Part) -> list[str]:
    """The texts of `text_arrays`. Raises ArgumentError."""
    data = part.array("text", ("bytes",), BYTES).tobytes()
    ends = np.cumsum(part.array("lengths", ("n",), LENGTHS)).tolist()
    if ends and (ends[-1] != len(data) or part.arrays["lengths"].min() < 0):
        raise ArgumentError("lengths", f"{len(data)} bytes in all", ends[-1])
    try:
        return [data[start:end].decode("utf-8", "surrogatepass") for start, end in zip([0, *ends], ends, strict=False)]
    except UnicodeDecodeError as error:
        raise ArgumentError("text", "UTF-8", str(error)) from None
