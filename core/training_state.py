"""The state of a training between two batches: all that the next batch depends on, beside the batch itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from .base.arena import Arena
from .base.checks import ArgumentError, check_array, check_count
from .base.parameters import Array
from .base.ranks import Rank
from .base.state import Part
from .base.table import rows_of
from .cells.buffers import State
from .model.batch import SequenceBatch, shard_lanes
from .model.key_states import state_units
from .model.run_memory import RunMemory
from .model.trainable import Trainable
from .optim.ahead import Ahead
from .optim.updater import Updater

__all__ = ["TrainingState"]


class TrainingState:
    """What a training of `model` by `updater` is at. It outlives the runs, which count their batches on.

    `shards`, `ranks` and `delay` cut the computation up, and `seed` is that of the dropout; see `recurrio.core.serial`.
    ``applied`` is how many batches have been, which is also the version of ``model.parameters``. The state goes into
    the memory of a run (`enter`) and comes back from it (`leave`). Raises ArgumentError.
    """

    def __init__(
        self,
        model: Trainable,
        updater: Updater,
        *,
        shards: int = 1,
        ranks: int = 1,
        delay: int = 0,
        seed: int = 0,
    ) -> None:
        shards, ranks = check_count("shards", shards), check_count("ranks", ranks)
        delay, seed = check_count("delay", delay, 0), check_count("seed", seed, 0)
        if ranks > model.network.most_ranks:
            raise ArgumentError("ranks", f"at most {model.network.most_ranks} for this model", ranks)
        self.model, self.updater = model, updater
        updater.restart_head, updater.ahead = model.restart_head, Ahead(delay) if delay else None
        self.shards, self.ranks, self.delay, self.seed = shards, ranks, delay, seed
        self.applied = 0
        self.steps = self.lanes = 0  # of the largest batch; 0: no batch has come yet
        self.keys = 0  # rows of the table of states; 0: batches are of lanes
        self._spare = 0  # the last ones of these, whose states nobody needs any more after a batch
        self._older: list[Array] = []  # the versions before the latest one that are still needed, the oldest first
        self._states: list[list[list[State]]] | None = None  # of each shard and rank; None: zeros
        self._tables: list[Array] | None = None  # of each rank the states of keys; None: zeros
        self._used = 0  # rows of them, from the first
        self._entered: int | None = None  # how many were applied when a run took the state; None: none has it

    @property
    def parts(self) -> list[slice]:
        """The lanes of each shard."""
        return shard_lanes(self.lanes, self.shards)

    @property
    def widths(self) -> list[int]:
        """How many lanes each shard has room for. Keys can all be of one."""
        return [self.lanes] * self.shards if self.keys else [part.stop - part.start for part in self.parts]

    def divide(self, batch: SequenceBatch, used: int = 0) -> list[SequenceBatch]:
        """The part of each shard of `batch`, in arrays of their own. Raises ArgumentError where it does not fit.

        With a number of rows that are in `used` there is nothing to be checked: the batch is of rows below that.
        """
        if used:
            self._used = max(self._used, used)
            if self.shards == 1:
                return [batch]
        batch.check_size(self.model.network.steps(batch), self.steps, self.lanes)
        if (batch.rows is None) == bool(self.keys):
            raise ArgumentError("rows", "a row of each key" if self.keys else "none", "the other")
        if batch.rows is None:
            return batch.shards(self.parts)
        rows = rows_of(batch.rows)
        if rows.max(initial=0) >= self.keys:
            raise ArgumentError("rows", f"rows of a table of {self.keys}", rows.max())
        kept = rows[rows < self.keys - self._spare]
        self._used = max(self._used, int(kept.max(initial=-1)) + 1)
        if self.shards == 1:
            return [batch]
        bounds = np.searchsorted(rows % self.shards, np.arange(self.shards + 1)).tolist()
        return batch.shards([slice(start, stop) for start, stop in pairwise(bounds)])

    def open(self, steps: int, lanes: int, keys: int = 0, spare: int = 0) -> None:
        """Say that batches have up to `steps` T of `lanes` B, and for how many `keys` there is to be a table.

        The last `spare` of them always begin from zeros.

        Raises ArgumentError where there were fewer lanes, or another number of keys.
        """
        begun = self._states is not None or self._tables is not None
        if begun and (lanes > self.lanes or keys != self.keys):
            before = f"a table of {self.keys} keys" if self.keys else f"at most {self.lanes} lanes"
            expected = f"{before}, as in the batches before (reset_lanes() starts anew)"
            raise ArgumentError("inputs", expected, f"{lanes} lanes" + f" and {keys} keys" * bool(keys))
        if not keys:
            shard_lanes(lanes, self.shards)  # or an error
        self.updater.claim(self.model)
        if not begun:
            self.steps, self.lanes, self.keys = 0, lanes, keys
        self._spare = spare
        self.steps = max(self.steps, steps)

    def counts(self, workspaces: int) -> dict[str, int]:
        """What a `RunMemory` has room for: the versions in use and the next one, so many workspaces, the keys."""
        return {"ranks": self.ranks, "rows": self.delay + 2, "workspaces": workspaces, "keys": self.keys}

    def memory(self, workspaces: int, arena: Arena | None = None) -> RunMemory:
        """Memory for a run, with room for its `counts`; in `arena`, or of its own.

        The table of keys is not copied where it need not be: without an arena it is that of this state.
        """
        if self.keys and arena is None:
            self._tables = self._tables or self._empty_tables(self.keys)
        tables = self._tables if arena is None else None
        counts = self.counts(workspaces)
        return RunMemory(self.model, self.widths, **counts, arena=arena or Arena(), tables=tables)

    def enter(self, memory: RunMemory) -> None:
        """Copy this state into `memory`; the latest version is the model's parameters as they are now."""
        rows = memory.parameters
        if self.updater.ahead is not None:
            self.updater.ahead.follow(self.model.parameters)
        for age, version in enumerate([self.model.parameters, *reversed(self._older)]):
            np.copyto(rows[(self.applied - age) % len(rows)], version)
        if self._states is not None:
            _copy(self._states, memory.state_before(self.applied))
        if memory.keys is not None and self._tables is not None and memory.keys.tables is not self._tables:
            self._copy_tables(self._tables, memory.keys.tables)
        self._entered = self.applied

    def leave(self, memory: RunMemory, applied: int) -> None:
        """Copy what `memory` is at after `applied` batches into this state, and into the model."""
        rows, states = memory.parameters, self._states
        older = [rows[(applied - age) % len(rows)].copy() for age in range(min(self.delay, applied), 0, -1)]
        if memory.keys is not None:
            memory.keys.undo(applied)
            if memory.keys.tables is not self._tables:
                self._tables = self._tables or self._empty_tables(self.keys)
                self._copy_tables(memory.keys.tables, self._tables)
        elif states is not None or applied != self._entered:  # else no batch has fixed the lanes
            states = self._zeros(self.lanes)
            _copy(memory.state_before(applied), states)
        np.copyto(self.model.parameters, rows[applied % len(rows)])
        self._older, self._states, self.applied, self._entered = older, states, applied, None

    def version(self, number: int) -> Array:
        """The parameters of this version, one of those that the next batches need; not to be written to.

        Raises LookupError, and RuntimeError while a run has the state.
        """
        self._check_left()
        age = self.applied - number
        if not 0 <= age <= len(self._older):
            raise LookupError(f"parameter version {number} is not kept; the latest is {self.applied}")
        return self._older[-age] if age else self.model.parameters

    @property
    def entered(self) -> bool:
        """Whether a run has the state, in memory of its own."""
        return self._entered is not None

    def _check_left(self) -> None:
        if self.entered:
            raise RuntimeError("this state is in a run, which gives it back at its end")

    def _empty_tables(self, keys: int) -> list[Array]:
        units = [state_units(self.model, Rank(index, self.ranks)) for index in range(self.ranks)]
        return [np.zeros((keys, count), self.model.dtype) for count in units]

    def _copy_tables(self, tables: list[Array], into: list[Array]) -> None:
        """Only the rows that are in use: the others stay memory that nobody has touched."""
        for table, other in zip(tables, into, strict=True):
            np.copyto(other[: self._used], table[: self._used])

    def _zeros(self, lanes: int) -> list[list[list[State]]]:
        ranks, parts = [Rank(index, self.ranks) for index in range(self.ranks)], shard_lanes(lanes, self.shards)
        return [[self.model.initial_state(part.stop - part.start, rank) for rank in ranks] for part in parts]

    def reset_lanes(self) -> None:
        """The next batch starts from hidden states of zero, and may have another number of lanes."""
        self._check_left()
        self.steps = self.lanes = self.keys = self._used = 0
        self._states = self._tables = None

    def reset(self) -> None:
        """Start anew from the model as it is: batch number 0, no hidden state, nothing in optimizer and schedule."""
        self.reset_lanes()
        self.applied, self._older = 0, []
        self.updater.reset()

    def dump(self) -> Part:
        """A copy of the state: the versions still needed, the hidden states, the updater's.

        Raises RuntimeError while a run has it.
        """
        self._check_left()
        versions = np.array([*self._older, self.model.parameters])
        tables = None if self._tables is None else [table[: self._used].copy() for table in self._tables]
        return self._part(versions, self._states, tables)

    def snapshot(self, memory: RunMemory) -> Part:
        """What `dump` would give if the run that has the state left it now; its later batches can go on meanwhile.

        Call it where ``applied`` batches have been, and before another one is.
        """
        applied, rows, states, tables = self.applied, memory.parameters, self._states, None
        ages = range(min(self.delay, applied), -1, -1)
        versions = np.array([rows[(applied - age) % len(rows)] for age in ages])
        if memory.keys is not None:
            tables = memory.keys.before(applied, self._used)
        elif states is not None or applied != self._entered:
            states = memory.state_before(applied)
        return self._part(versions, states, tables)

    def _part(self, versions: Array, states: list[list[list[State]]] | None, tables: list[Array] | None) -> Part:
        arrays = {"versions": versions}
        for name, array in self._named(states or []).items():
            arrays[name] = array.copy()
        # Rows of zeros at the end say nothing: they are of keys with no batch that was applied.
        used = max([_used_rows(table) for table in tables or []], default=0)
        arrays |= {f"keys.{rank}": table[:used] for rank, table in enumerate(tables or [])}
        sizes = {"applied": self.applied, "steps": self.steps, "lanes": self.lanes, "keys": self.keys}
        about = {**sizes, "used": used, "hidden": states is not None or tables is not None}
        updater = Part.of(updater=self.updater.dump())
        return Part(arrays | updater.arrays, {**self._settings(), **about, **updater.about})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is of another training."""
        self._check_left()
        arrays, about = dict(part.arrays), part.about
        sizes = {"applied", "steps", "lanes", "keys", "used", "hidden"}
        if missing := {*sizes, "updater", *self._settings()} - about.keys():
            raise ArgumentError("state", "what dump gave", f"none of {', '.join(sorted(missing))}")
        for name, value in self._settings().items():
            if about[name] != value:
                raise ArgumentError(name, f"{value}, as in this training", about[name])
        applied, size = check_count("applied", about["applied"], 0), self.model.layout.size
        versions = arrays.pop("versions", None)
        check_array("versions", versions, (min(self.delay, applied) + 1, size), self.model.dtype)
        assert versions is not None
        updater = part.part("updater")
        for name, slot in updater.arrays.items():
            del arrays[f"updater.{name}"]
            if name.startswith(("optimizer.", "ahead.")):
                check_array(name, slot, (size,), self.model.dtype)
        keys, states, tables = check_count("keys", about["keys"], 0), None, None
        used = check_count("used", about["used"], 0, keys)
        if about["hidden"] and keys:
            tables = self._empty_tables(keys)
        elif about["hidden"]:
            states = self._zeros(check_count("lanes", about["lanes"]))
        named = self._named(states or []) | {f"keys.{rank}": table[:used] for rank, table in enumerate(tables or [])}
        if named.keys() != arrays.keys():
            raise ArgumentError("state", f"the arrays {', '.join(named)}", ", ".join(arrays))
        for name, array in named.items():
            check_array(name, arrays[name], array.shape, array.dtype)
            np.copyto(array, arrays[name])
        steps = check_count("steps", about["steps"], 0)
        self.updater.load(updater)
        self.applied, self.steps, self.lanes, self._states = applied, steps, about["lanes"], states
        self.keys, self._used, self._tables = keys, used, tables
        self._older = [version.copy() for version in versions[:-1]]
        np.copyto(self.model.parameters, versions[-1])

    def _settings(self) -> dict[str, Any]:
        return {"shards": self.shards, "ranks": self.ranks, "delay": self.delay, "seed": self.seed}

    @staticmethod
    def _named(states: list[list[list[State]]]) -> dict[str, Array]:
        """The arrays of `states` by shard, rank, layer and direction, and part."""
        return {
            f"hidden.{shard}.{rank}.{layer}.{part}": array
            for shard, ranks in enumerate(states)
            for rank, layers in enumerate(ranks)
            for layer, parts in enumerate(layers)
            for part, array in enumerate(parts)
        }


def _used_rows(table: Array) -> int:
    """Up to which row there is anything but zeros."""
    end = len(table)
    while end:
        start = max(0, end - 1024)
        some = np.flatnonzero(table[start:end].any(axis=1))
        if len(some):
            return start + int(some[-1]) + 1
        end = start
    return 0


def _copy(states: list[list[list[State]]], into: list[list[list[State]]]) -> None:
    for source, array in zip(_flat(states), _flat(into), strict=True):
        np.copyto(array, source)


def _flat(states: list[list[list[State]]]) -> Iterator[Array]:
    for ranks in states:
        for layers in ranks:
            for parts in layers:
                yield from parts
