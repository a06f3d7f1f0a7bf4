"""Another future: records of which all that comes after one of them has been changed.

What a value becomes is drawn; that it stays as it is does not happen.
"""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array
from ...core.online.schema import Schema
from ..decoding.block import Block

__all__ = ["changed_after"]

FACTORS = (-1.0, 0.0, 3.0)  # a column is negated, forgotten or made larger; then each value has something random added
GAPS = 1 / 8  # of the values become missing, and as many of the missing ones become known
LARGEST = 1e290  # a number beyond counts as this, so that sums stay finite


def changed_after(block: Block, place: int, schema: Schema, random: np.random.Generator) -> Block:
    """`block`, in which all is another that no forecast up to that of the record at `place` may know.

    So are all records behind it, but their keys, times and ids, which say whose they are and when they came; and of the
    record itself its label, or its targets of the same record, which come after its forecast. Where labels come later,
    what is missing stays missing, as that says which records are labels by themselves.
    """
    said = {target.name for target in schema.targets if not target.horizon}
    own = [index for index, name in enumerate(schema.numbers) if name in said]
    gaps = GAPS if block.ids is None else 0.0
    return block._replace(
        numbers=_numbers(block.numbers, place, own, gaps, random),
        categories=[[*texts[: place + 1], *_texts(texts, place + 1, gaps, random)] for texts in block.categories],
        labels=None if block.labels is None else [*block.labels[:place], *_texts(block.labels, place, gaps, random)],
    )


def _numbers(numbers: Array, place: int, own: list[int], gaps: float, random: np.random.Generator) -> Array:
    """Others than the `numbers` ``(n, F)`` behind `place`, and at it in the columns `own`; finite, or NaN."""
    found, tail = numbers.copy(), np.clip(numbers[place:], -LARGEST, LARGEST)
    noise = random.standard_normal(tail.shape) * [_size(column[~np.isnan(column)]) for column in tail.T]
    other = tail * random.choice(FACTORS, tail.shape[1]) + noise
    turned = random.random(tail.shape) < gaps
    other = np.where(turned, np.where(np.isnan(tail), noise, np.nan), other)
    found[place + 1 :] = other[1:]
    found[place, own] = (tail * 3.0 + noise)[0, own]
    return found


def _size(numbers: Array) -> float:
    """The mean size of the known values of a column, or 1."""
    return float(np.abs(numbers).mean()) if numbers.any() else 1.0


def _texts(texts: list[str | None], start: int, gaps: float, random: np.random.Generator) -> list[str | None]:
    """Others than the `texts` from `start` on: of each the same other one, of some a text that was never there.

    New ones are the first and the last in order. The first record is missing only if it was.
    """
    known = ["", *sorted({text for text in texts if text is not None})]
    known.append(f"{known[-1]}+")
    shift = int(random.integers(2, max(3, len(known))))  # from 2 on, so that one becomes ""
    others: dict[str | None, str | None] = {text: known[(at + shift) % len(known)] for at, text in enumerate(known)}
    turned = random.random(len(texts) - start) < gaps
    turned[:1] = False
    return [
        (known[0] if text is None else None) if turn else others.get(text)
        for text, turn in zip(texts[start:], turned.tolist(), strict=True)
    ]
