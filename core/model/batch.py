"""The sequence batch, the arrays that it has, and its division into shards of lanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.checks import ArgumentError, check_count
from ..base.parameters import Array

__all__ = ["BatchBuffer", "BatchSpec", "SequenceBatch", "shard_lanes"]


class _Fields(NamedTuple):
    inputs: Array
    targets: Array
    reset: bool | Array = False
    lengths: Array | None = None
    rows: Array | None = None
    classes: int = 0
    carry: Array | None = None
    actions: tuple[str, ...] = ()


class SequenceBatch(_Fields):
    """`T` time steps of `B` lanes.

    ``inputs`` are indices ``(T, B)``, integers in ``0…V−1``, or features ``(T, B, I)``. ``targets`` are classes
    ``(S, B)`` or numbers ``(S, B, F)``, with S = T for one output a step, and S = 1 for one output a sequence; or with
    a `CTCLoss` the labels of each lane, up to S of them, and then negative numbers.
    ``reset`` says where the hidden state starts from zero: with True all of it does, for both directions, or
    ``(T, B)`` bool says it for each lane before each step that exists. ``lengths`` ``(B,)`` are the steps of each lane
    that exist; None is all of them. ``rows`` ``(B,)`` int64 is for lanes that carry no state to the next batch: each is
    the row of its key in the table of states, or ``~row`` where the key begins from zeros. A row is in a batch at most
    once; with M shards it is of shard ``row % M``, and the lanes are in the order of their shards. ``classes`` is how
    many of the classes there are so far, the first ones: outputs for others are taken for −∞; 0 is all of them.
    ``carry`` ``(B,)`` int64, beside ``rows``, is after how many of its steps the state of each lane goes on, where its
    next chunk begins with steps that this one has too; None is after all of them. ``actions`` are done with its update,
    see `recurrio.core.optim.actions`.
    """

    __slots__ = ()

    def __new__(
        cls,
        inputs: Array,
        targets: Array,
        reset: bool | Array = False,
        lengths: Array | None = None,
        rows: Array | None = None,
        classes: int = 0,
        carry: Array | None = None,
        actions: tuple[str, ...] = (),
    ) -> SequenceBatch:
        """A NumPy bool, as a comparison of NumPy numbers gives, is a `reset` too."""
        reset = bool(reset) if isinstance(reset, np.bool_) else reset
        return super().__new__(cls, inputs, targets, reset, lengths, rows, classes, carry, actions)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> SequenceBatch:  # type: ignore[override]  # which `_replace` calls
        return cls(*iterable)

    @property
    def size(self) -> int:
        """T·B, the time steps of all lanes."""
        return int(self.inputs.shape[0] * self.inputs.shape[1])

    def lanes(self, lanes: slice | Array) -> SequenceBatch:
        """The same steps of some lanes, the second axis of an array or the only one, in arrays of their own."""
        return tuple.__new__(SequenceBatch, [_cut(each, lanes) for each in self])

    def shards(self, lanes: list[slice]) -> list[SequenceBatch]:
        """The batch cut into shards of these `lanes`; with fewer lanes than they are for, the last have few or none."""
        return [self.lanes(part) for part in lanes]

    def check_size(self, steps: int, lanes: int) -> None:
        """Raise ArgumentError where this batch is larger than what `steps` of `lanes` have room for."""
        if self.inputs.shape[0] > steps or self.inputs.shape[1] > lanes:
            expected = f"at most {steps} steps of {lanes} lanes, as the first batch has"
            raise ArgumentError("inputs", expected, self.inputs.shape)


def _cut(value: Any, lanes: slice | Array) -> Any:  # noqa: ANN401 (what a field of a batch is)
    if not isinstance(value, np.ndarray):
        return value
    found = value[lanes] if value.ndim == 1 else value[:, lanes]
    return found.copy() if isinstance(lanes, slice) else found


class BatchSpec(NamedTuple):
    """The arrays of batches of up to `steps` × `lanes`.

    ``arrays`` gives, for steps and lanes, the shape and dtype of each array by its name in `SequenceBatch`, which need
    not have all of them. The targets can have fewer rows; any further ones are not read.
    """

    steps: int
    lanes: int
    arrays: Callable[[int, int], Mapping[str, tuple[tuple[int, ...], np.dtype]]]


class BatchBuffer:
    """Room for a batch in an arena: who has laid out the same one over the same memory reads what another has written.

    A batch goes from one to the other as the numbers that `write` returns.
    """

    def __init__(self, spec: BatchSpec, arena: Arena) -> None:
        self._spec = spec
        largest = self._shapes(spec.steps, spec.lanes)
        self._room = {name: arena.empty((math.prod(shape),), dtype) for name, (shape, dtype) in largest.items()}
        self._shape = (-1, -1, -1)
        self._views: dict[str, Array] = {}

    def _shapes(self, steps: int, lanes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        return {**self._spec.arrays(steps, lanes), **dict.fromkeys(("rows", "carry"), ((lanes,), np.dtype(np.int64)))}

    def write(self, batch: SequenceBatch) -> tuple[int, int, int, int, int]:
        """Copy `batch` in; its steps, its lanes, what there is of it, its classes and rows of targets, for `read`."""
        steps, lanes = batch.inputs.shape[:2]
        rows, kinds = len(batch.targets), 0
        for place, (name, room) in enumerate(self._arrays(steps, lanes, rows).items()):
            value = getattr(batch, name)
            if isinstance(value, np.ndarray):
                room[...] = value[: len(room)]
                kinds |= 2 << 2 * place
            else:
                kinds |= (value is True) << 2 * place
        return steps, lanes, kinds, batch.classes, rows

    def read(self, steps: float, lanes: float, kinds: float, classes: float, rows: float) -> SequenceBatch:
        """The batch that was written, in this memory."""
        values: dict[str, Any] = {}
        for place, (name, room) in enumerate(self._arrays(int(steps), int(lanes), int(rows)).items()):
            kind = int(kinds) >> 2 * place & 3
            if kind:
                values[name] = room if kind == 2 else True
        return SequenceBatch(**values, classes=int(classes))

    def _arrays(self, steps: int, lanes: int, rows: int) -> dict[str, Array]:
        if self._shape != (steps, lanes, rows):
            self._shape = (steps, lanes, rows)
            shapes = self._shapes(steps, lanes)
            (most, *others), dtype = shapes["targets"]
            shapes["targets"] = (min(rows, most), *others), dtype
            self._views = {
                name: self._room[name][: math.prod(shape)].reshape(shape) for name, (shape, _) in shapes.items()
            }
        return self._views


def shard_lanes(lanes: int, shards: int) -> list[slice]:
    """`lanes` split into `shards` neighbouring slices, the first ones longer by one where it does not divide."""
    lanes, shards = check_count("lanes", lanes), check_count("shards", shards, None)
    if not 1 <= shards <= lanes:
        raise ArgumentError("shards", f"1 to {lanes} (the lanes of a batch)", shards)
    size, longer = divmod(lanes, shards)
    starts = [shard * size + min(shard, longer) for shard in range(shards + 1)]
    return [slice(start, stop) for start, stop in pairwise(starts)]
