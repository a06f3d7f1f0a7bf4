"""The state of a training between two batches: all that the next batch depends on, beside the batch itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base.arena import Arena
from .base.checks import ArgumentError, check_array, check_count
from .base.parameters import Array
from .base.ranks import Rank
from .base.state import Part
from .cells.buffers import State
from .model.batch import shard_lanes
from .model.run_memory import RunMemory
from .model.sequence_model import SequenceModel
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
        model: SequenceModel,
        updater: Updater,
        *,
        shards: int = 1,
        ranks: int = 1,
        delay: int = 0,
        seed: int = 0,
    ) -> None:
        shards, ranks = check_count("shards", shards), check_count("ranks", ranks)
        delay, seed = check_count("delay", delay, 0), check_count("seed", seed, 0)
        if ranks > model.network.stack.most_ranks:
            raise ArgumentError("ranks", f"at most {model.network.stack.most_ranks} for this model", ranks)
        self.model, self.updater = model, updater
        self.shards, self.ranks, self.delay, self.seed = shards, ranks, delay, seed
        self.applied = 0
        self.lanes = 0  # of a batch; 0: no batch has come yet
        self._older: list[Array] = []  # the versions before the latest one that are still needed, the oldest first
        self._states: list[list[list[State]]] | None = None  # of each shard and rank; None: zeros

    @property
    def parts(self) -> list[slice]:
        """The lanes of each shard."""
        return shard_lanes(self.lanes, self.shards)

    @property
    def widths(self) -> list[int]:
        """How many lanes each shard has."""
        return [part.stop - part.start for part in self.parts]

    def open(self, lanes: int) -> None:
        """Say that the batches have `lanes` B. Raises ArgumentError where those before had fewer."""
        if not self.lanes:
            shard_lanes(lanes, self.shards)  # or an error
            self.lanes = lanes
        elif lanes > self.lanes:
            expected = f"at most {self.lanes} lanes, as in the batches before (reset_lanes() starts anew)"
            raise ArgumentError("inputs", expected, lanes)
        self.updater.claim(self.model)

    def memory(self, workspaces: int, arena: Arena | None = None) -> RunMemory:
        """Memory for a run, with room for the versions in use and the next one; in `arena`, or of its own."""
        counts = {"ranks": self.ranks, "rows": self.delay + 2, "workspaces": workspaces}
        return RunMemory(self.model, self.widths, **counts, arena=arena or Arena())

    def enter(self, memory: RunMemory) -> None:
        """Copy this state into `memory`; the latest version is the model's parameters as they are now."""
        rows = memory.parameters
        for age, version in enumerate([self.model.parameters, *reversed(self._older)]):
            np.copyto(rows[(self.applied - age) % len(rows)], version)
        if self._states is not None:
            _copy(self._states, memory.state_before(self.applied))

    def leave(self, memory: RunMemory, applied: int) -> None:
        """Copy what `memory` is at after `applied` batches into this state, and into the model."""
        rows, self.applied = memory.parameters, applied
        ages = range(min(self.delay, applied), 0, -1)
        self._older = [rows[(applied - age) % len(rows)].copy() for age in ages]
        np.copyto(self.model.parameters, rows[applied % len(rows)])
        self._states = self._zeros()
        _copy(memory.state_before(applied), self._states)

    def _zeros(self) -> list[list[list[State]]]:
        ranks = [Rank(index, self.ranks) for index in range(self.ranks)]
        return [[self.model.initial_state(width, rank) for rank in ranks] for width in self.widths]

    def reset_lanes(self) -> None:
        """The next batch starts from hidden states of zero, and may have another number of lanes."""
        self.lanes, self._states = 0, None

    def reset(self) -> None:
        """Start anew from the model as it is: batch number 0, no hidden state, nothing in optimizer and schedule."""
        self.reset_lanes()
        self.applied, self._older = 0, []
        self.updater.reset()

    def dump(self) -> Part:
        """A copy of the state: the versions still needed, the hidden states, the updater's."""
        arrays = {"versions": np.array([*self._older, self.model.parameters])}
        for name, array in self._named(self._states or []).items():
            arrays[name] = array.copy()
        updater = self.updater.dump()
        arrays |= {f"updater.{name}": array for name, array in updater.arrays.items()}
        about = {"applied": self.applied, "lanes": self.lanes, "hidden": self._states is not None}
        return Part(arrays, {**self._settings(), **about, "updater": updater.about})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is of another training."""
        arrays, about = dict(part.arrays), part.about
        if missing := {"applied", "lanes", "hidden", "updater", *self._settings()} - about.keys():
            raise ArgumentError("state", "what dump gave", f"none of {', '.join(sorted(missing))}")
        for name, value in self._settings().items():
            if about[name] != value:
                raise ArgumentError(name, f"{value}, as in this training", about[name])
        size, versions = self.model.layout.size, arrays.pop("versions", None)
        check_array("versions", versions, (min(self.delay, about["applied"]) + 1, size), self.model.dtype)
        assert versions is not None
        names = [name for name in arrays if name.startswith("updater.")]
        updater = {name.removeprefix("updater."): arrays.pop(name) for name in names}
        for name, slot in updater.items():
            check_array(name, slot, (size,), self.model.dtype)
        before, self.lanes = self.lanes, about["lanes"]
        try:
            states = self._zeros() if about["hidden"] else None
            named = self._named(states or [])
            if named.keys() != arrays.keys():
                raise ArgumentError("state", f"the arrays {', '.join(named)}", ", ".join(arrays))
            for name, array in named.items():
                check_array(name, arrays[name], array.shape, array.dtype)
                np.copyto(array, arrays[name])
            self.updater.load(Part(updater, about["updater"]))
        except BaseException:
            self.lanes = before
            raise
        self.applied, self._states = about["applied"], states
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


def _copy(states: list[list[list[State]]], into: list[list[list[State]]]) -> None:
    for arrays in zip(TrainingState._named(states).values(), TrainingState._named(into).values(), strict=True):
        np.copyto(arrays[1], arrays[0])
