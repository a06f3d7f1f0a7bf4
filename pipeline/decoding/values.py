"""The values of records: what is a number, a text, a key; what is missing; and what cannot be used.

The same rules hold in every format, so the same data is the same to the bit:

- A number is an ASCII decimal number that is finite in float64: ``1``, ``-0.5``, ``.5``, ``5.``, ``1e5``, with spaces
  around it or not. A text that is exactly that is that number. Minus zero is zero.
- Missing is what is absent, null, empty or NA, and what `missing` names: tokens that are numbers are compared as
  numbers, others as texts.
- A category or class is a text as it stands; so are a whole number or ``true`` in JSON.
- A key is a text or a whole number of up to 4,096 bytes, which bounds what keys cost in memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TypeGuard

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array

__all__ = ["Cell", "Malformed", "TextCache", "Values", "are_keys", "key_text", "number_text", "quoted", "shown"]

Cell = str | int | None
"""A text, or a whole number, as a format gives it; None where there is none."""

NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
PLAIN = b"0123456789+-.eE"  # what Python reads of these alone is a number by the rules
COMMA = re.compile(r"[+-]?[0-9]++,[0-9]++(?:[eE][+-]?[0-9]++)?+")
NO_NUMBERS = frozenset({"nan", "inf", "infinity"})
MOST_KEY_BYTES = 4096
MOST_SHOWN = 40  # characters of a value in a reason
MOST_CACHED = 65_536  # texts, of at most
CACHED_LENGTH = 64  # characters each


class Malformed(ValueError):
    """A record cannot be used; the message is the reason."""


def shown(text: str, most: int = MOST_SHOWN) -> str:
    """`text` on one line, short, with escapes for what cannot be printed."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return "".join([c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in short])


def quoted(text: str) -> str:
    """`text` in quotes, as `shown` has it."""
    return f'"{shown(text)}"'


def number_text(text: str) -> float | None:
    """The number that `text` is, with a point; it may be infinite. None if it is no number."""
    return float(text) if NUMBER.fullmatch(text) else None


def key_text(name: str, value: Cell, what: str = "key") -> str:
    """The key, or `what` else it is called, that `value` of the field `name` is. Raises Malformed."""
    text = str(value) if type(value) is int else value
    if not text or not isinstance(text, str):
        raise Malformed(f"{what} {shown(name)} is missing")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Malformed(f"{what} {shown(name)}: expected text in UTF-8, got {quoted(text)}") from None
    if size > MOST_KEY_BYTES:
        raise Malformed(f"{what} {shown(name)}: expected at most {MOST_KEY_BYTES:,} bytes, got {size:,}")
    return text


def are_keys(cells: list[Cell]) -> TypeGuard[list[str | None]]:
    """Whether all of `cells` are keys as they stand, which is soon known; in doubt they are not."""
    try:
        sizes = set(map(len, cells))  # type: ignore[arg-type]
        "".join(cells).encode()  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return False
    return min(sizes, default=1) > 0 and max(sizes, default=1) * 4 <= MOST_KEY_BYTES


class Values:
    """The rules with the tokens that are `missing`, and the sign before the decimals, ``"."`` or ``","``."""

    def __init__(self, missing: Iterable[str] = (), decimal: str = ".") -> None:
        if decimal not in (".", ","):
            raise ArgumentError("decimal", "one of . and ,", repr(decimal))
        self.decimal = decimal
        tokens = [missing] if isinstance(missing, str) else list(missing)
        self._missing = frozenset({"", "NA", *tokens})
        codes = [number_text(text) for text in map(self._pointed, tokens)]
        codes += [number_text(text) for text in tokens]
        self._codes = sorted({code for code in codes if code is not None})

    def number(self, name: str, text: str, *, bare: bool = False) -> float:
        """The number that `text` is, NaN if it is missing. Raises Malformed. JSON's is `bare`: ``1.5``, ``true``."""
        inner = text.strip(" \t")
        if not bare and (inner in self._missing or text in self._missing):
            return math.nan
        value = number_text(inner if bare else self._pointed(inner))
        if value is not None and math.isfinite(value):
            return math.nan if value in self._codes else value + 0.0
        got, finite = shown(text) if bare else quoted(text), "" if value is None else "finite "
        raise Malformed(f"{shown(name)}: expected a {finite}number, got {got}{self._hint(name, inner)}")

    def column(self, name: str, cells: list[str], bad: dict[int, str]) -> Array:
        """The numbers ``(n,)`` that `cells` are; the reasons why some are none go into `bad`, by their index."""
        joined = "".join(cells)
        if self.decimal == "," and "." not in joined:
            joined, plain = joined.replace(",", "."), [cell.replace(",", ".") for cell in cells]
        else:
            plain = cells if self.decimal == "." else []
        if plain and joined.isascii() and not joined.encode().translate(None, PLAIN):
            try:
                numbers = np.array([float(cell) if cell else math.nan for cell in plain], np.float64)
            except ValueError:
                pass
            else:
                if not np.isinf(numbers).any():
                    return numbers
        numbers = np.full(len(cells), math.nan)
        for index, cell in enumerate(cells):
            try:
                numbers[index] = self.number(name, cell)
            except Malformed as reason:
                bad.setdefault(index, str(reason))
        return numbers

    def clean(self, numbers: Array) -> None:
        """Of finite numbers, in place: those that stand for missing become NaN, and minus zero becomes zero."""
        for code in self._codes:
            numbers[numbers == code] = math.nan
        numbers += 0.0

    def text(self, name: str, value: Cell) -> str | None:
        """The text that `value` is, None if it is missing. Raises Malformed if it is not Unicode."""
        if value is None:
            return None
        text = str(value)
        if text in self._missing or (self._codes and number_text(text) in self._codes):
            return None
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Malformed(f"{shown(name)}: expected text in UTF-8, got {quoted(text)}") from None
        return text

    def is_missing(self, text: str) -> bool:
        """Whether `text` is one of the tokens that are missing, as a text."""
        return text in self._missing

    def _pointed(self, text: str) -> str:
        if self.decimal == ".":
            return text
        return "" if "." in text else text.replace(",", ".")

    def _hint(self, name: str, text: str) -> str:
        if self.decimal == "." and COMMA.fullmatch(text):
            return " (--decimal , takes a comma before the decimals)"
        if text.lower().lstrip("+-") in NO_NUMBERS:
            return " (null or an empty cell is missing; so is what --missing names)"
        return f" ({shown(name)}:category takes it as a category)" if text[:1].isalpha() else ""


class TextCache(dict[Cell, str | None]):
    """What `convert` makes of the cells of a field; most come again and again, and are made once. It is bounded.

    `stand` says of cells whether `convert` would leave all of them as they are.
    """

    def __init__(
        self,
        name: str,
        convert: Callable[[str, Cell], str | None],
        stand: Callable[[list[Cell]], TypeGuard[list[str | None]]] | None = None,
    ) -> None:
        super().__init__()
        self._name, self._convert, self._stand = name, convert, stand
        self._doubt = False
        self.zero = False  # whether the whole number was among the last cells

    def column(self, cells: list[Cell], bad: dict[int, str]) -> list[str | None]:
        """The texts of `cells`; the reasons why some are none go into `bad`, by their index."""
        if len(self) > MOST_CACHED:
            self.clear()
        self._doubt = self.zero = False
        if self._stand is not None and self._stand(cells):
            return cells
        texts = list(map(self.__getitem__, cells))
        if self._doubt:
            for index, cell in enumerate(cells):
                try:
                    self._convert(self._name, cell)
                except Malformed as reason:
                    bad.setdefault(index, str(reason))
        return texts

    def __missing__(self, cell: Cell) -> str | None:
        try:
            text = self._convert(self._name, cell)
        except Malformed:
            self._doubt = True
            return None
        if cell == 0:
            self.zero = True
        elif text is None or len(text) <= CACHED_LENGTH:
            self[cell] = text
        return text
