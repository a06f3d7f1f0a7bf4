"""Checking a run: from one checkpoint by the serial loop to the next."""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise

import numpy as np
import trio

from ...core.base.state import Part
from ..checkpoint import CheckpointError, CheckpointStore, Found
from .folder import states_path
from .rerun import Again, rerun, say_differences

__all__ = ["verify"]


def verify(arguments: argparse.Namespace) -> int:
    """Say how far the serial loop is from each checkpoint that follows another; the exit code: 1 where it is not there.

    Raises CheckpointError, OSError, SourceError.
    """
    store = CheckpointStore(states_path(arguments.folder))
    whole = [found for step in store.steps() if (found := store.newest(step)) is not None and found.step == step]
    pairs = [(one, other) for one, other in pairwise(whole) if other.step > one.step]
    if not pairs:
        raise CheckpointError(f"{store.folder}: expected two checkpoints at least, with batches between them")
    say_differences(whole[0], lambda text: print(text, file=sys.stderr))
    worst = 0.0
    for one, other in pairs:
        largest, where = trio.run(_compare, arguments.folder, one, other)
        worst = max(worst, largest)
        print(
            f"steps {one.step + 1:,} to {other.step:,}: largest difference {largest:g}"
            + (f", in {where}" if where else "")
        )
    return 0 if worst == 0 else 1


async def _compare(folder: str, one: Found, other: Found) -> tuple[float, str]:
    """The largest difference between what comes of `one`, and `other`; and in what it is."""
    ends: list[Part] = []

    def tell(again: Again) -> None:
        if again.step.step == other.step:
            ends.append(again.state.dump())

    reached = await rerun(folder, one, other.step, tell)
    if not ends:
        raise CheckpointError(f"{other.path}: the source ends at step {reached}, before it")
    return _largest(ends[0], other.part.part("training"))


def _largest(mine: Part, theirs: Part) -> tuple[float, str]:
    worst, where = 0.0, ""
    for name in {**mine.arrays, **theirs.arrays}:
        one, other = mine.arrays.get(name), theirs.arrays.get(name)
        if one is None or other is None or one.shape != other.shape:
            return float("inf"), name
        if one.size and one.tobytes() != other.tobytes():
            difference = float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)))) or 5e-324
            worst, where = max((worst, where), (difference, name))
    return (worst, where) if mine.about == theirs.about else (float("inf"), "what is said of them")
