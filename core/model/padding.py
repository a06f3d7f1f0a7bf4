"""Sequences of different lengths side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..base.checks import check_count
from ..base.parameters import Array

__all__ = ["PADDING", "by_length", "pad"]

PADDING = -100  # a target that is none: the `ignore_index` of the losses


def pad(sequences: Sequence[Array], fill: int, steps: int = 1) -> Array:
    """`B` sequences ``(T, …)`` side by side, ``(T, B, …)``: of the steps of the longest, or `steps`, and filled up."""
    steps = max(steps, *map(len, sequences))
    padded: Array = np.full((steps, len(sequences), *sequences[0].shape[1:]), fill, sequences[0].dtype)
    for lane, sequence in enumerate(sequences):
        padded[: len(sequence), lane] = sequence
    return padded


def by_length(inputs: Sequence[Array], batch_size: int = 64) -> Iterator[tuple[Array, Array, Array]]:
    """The sequences `inputs` in batches of about one length: their numbers ``(B,)``, padded inputs, and ``lengths``.

    Each is there once, the short ones first, for a model that is asked and not trained.
    """
    lengths = np.array([len(one) for one in inputs], np.int64)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), check_count("batch_size", batch_size)):
        rows = order[start : start + batch_size]
        yield rows, pad([inputs[row] for row in rows], 0), lengths[rows]
