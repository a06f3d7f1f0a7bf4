"""ProcessExecutor: the worker processes of all shards of a run.

A crew is a team of processes for each workspace of a shard, so that one can compute the backward pass of a batch while
another computes the forward pass of the next. A workspace stays in the processes of its team. All of them share the
parameters, the gradients, and the hidden states of the lanes, of which only the forward pass in turn makes use.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ClassVar

from ...core.base.arena import ALIGNMENT, Arena
from ...core.base.parameters import Array
from ...core.base.ranks import Pass, Rank
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.model.shard import ShardRank, arena_bytes
from .memory import Shared
from .rank_group import RankGroup, SharedMemory

__all__ = ["ProcessExecutor", "ProcessPlace", "RemoteRank"]


class _Batch:
    """The arrays of a batch, where all ranks can read it."""

    def __init__(self, model: SequenceModel, steps: int, lanes: int, arena: Arena) -> None:
        self._arrays = {name: arena.zeros(*array) for name, array in model.network.arrays(steps, lanes).items()}

    def write(self, batch: SequenceBatch) -> tuple[bool, bool, bool]:
        """Copy `batch`; what there is of it beside inputs and targets, for `read`."""
        arrays, some = self._arrays, not isinstance(batch.reset, bool)
        arrays["inputs"][...], arrays["targets"][...] = batch.inputs, batch.targets
        if some:
            arrays["reset"][...] = batch.reset
        if batch.lengths is not None:
            arrays["lengths"][...] = batch.lengths
        return batch.reset is True, some, batch.lengths is not None

    def read(self, reset: float, resets: float, lengths: float) -> SequenceBatch:
        """The batch: with `reset` of all lanes, `resets` of some, `lengths`."""
        arrays = self._arrays
        return SequenceBatch(
            arrays["inputs"],
            arrays["targets"],
            arrays["reset"] if resets else bool(reset),
            arrays["lengths"] if lengths else None,
        )


class RemoteRank:
    """What one rank does for a workspace of a shard."""

    passes: ClassVar[tuple[str, ...]] = ("forward", "backward", "weight_gradient")

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None:
        model = SequenceModel(**arguments["model"], seed=None)
        steps, lanes, shard, workspace = (arguments[name] for name in ("steps", "lanes", "shard", "workspace"))
        counts = {name: arguments[name] for name in ("slots", "workspaces")}
        shared = Shared(model, lanes, ranks=rank.count, **counts, arena=Arena(memory))
        self._batch = _Batch(model, steps, lanes[shard], arena)
        gradients = shared.carried[shard].gradients[rank.index, workspace : workspace + 1]
        state, seed = shared.carried[shard].states[rank.index], (arguments["seed"], shard)
        self._member = ShardRank(model, steps, lanes[shard], shared.parameters, gradients, state, rank, arena, seed)

    def forward(self, slot: float, number: float, *flags: float) -> Pass[float]:
        """`ShardRank.forward` of the batch that was written."""
        return self._member.forward(0, int(slot), int(number), self._batch.read(*flags[:3]))

    def backward(self, scale: float, whole: float, *_: float) -> Pass[None]:
        """`ShardRank.backward`."""
        return self._member.backward(0, scale, bool(whole))

    def weight_gradient(self, *_: float) -> Pass[None]:
        """`ShardRank.weight_gradient`."""
        return self._member.weight_gradient(0)


class ProcessPlace:
    """Computes one shard in processes; a `recurrio.pipeline.executors.place.Place`."""

    def __init__(self, teams: list[RankGroup], batches: list[_Batch]) -> None:
        self._teams, self._batches = teams, batches

    async def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return await self._teams[workspace].run("forward", slot, number, *self._batches[workspace].write(batch))

    async def backward(self, workspace: int, scale: float, whole: bool) -> None:
        """See `Place`."""
        await self._teams[workspace].run("backward", scale, whole)

    async def weight_gradient(self, workspace: int) -> None:
        """See `Place`."""
        await self._teams[workspace].run("weight_gradient")

    def give_up(self) -> None:
        """See `Place`; a wait for a process can be cancelled."""


class ProcessExecutor:
    """The crews of all shards of a run, in `memory`; a context manager that ends the processes.

    `memory` begins with what `Shared` makes of the same arguments.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: list[int],
        memory: SharedMemory,
        *,
        ranks: int,
        slots: int,
        workspaces: int,
        blas_threads: int = 1,
        seed: int = 0,
    ) -> None:
        counts = {"slots": slots, "workspaces": workspaces}
        arena = Arena(memory.array)
        Shared(model, lanes, ranks=ranks, **counts, arena=arena)
        self._teams: list[RankGroup] = []
        self.crews: list[ProcessPlace] = []
        arguments = {"model": model.config, "steps": steps, "lanes": lanes, "seed": seed, **counts}
        start = arena.size
        try:
            for shard, count in enumerate(lanes):
                teams, batches = [], []
                for workspace in range(workspaces):
                    here = {**arguments, "shard": shard, "workspace": workspace}
                    team = RankGroup(RemoteRank, here, memory, start, ranks=ranks, blas_threads=blas_threads)
                    self._teams.append(team)
                    teams.append(team)
                    batches.append(_Batch(model, steps, count, team.arena))
                    start = team.arena.size + arena_bytes(model, steps, count, ranks, 1)
                self.crews.append(ProcessPlace(teams, batches))
        except BaseException:
            self.close()
            raise
        assert start <= len(memory.array)

    @staticmethod
    def memory(
        model: SequenceModel, steps: int, lanes: list[int], *, ranks: int, slots: int, workspaces: int
    ) -> SharedMemory:
        """Memory for `Shared` and for the crews."""
        vectors = slots + len(lanes) * ranks * workspaces
        size = vectors * (model.layout.size * model.dtype.itemsize + ALIGNMENT)
        for count in lanes:
            for rank in range(ranks):
                for part in model.initial_state(count, Rank(rank, ranks)):
                    size += sum(array.nbytes + ALIGNMENT for array in part)
            team = arena_bytes(model, steps, count, ranks, 1) + (1 + ranks) * ALIGNMENT
            for shape, dtype in model.network.arrays(steps, count).values():
                team += math.prod(shape) * dtype.itemsize + ALIGNMENT
            size += workspaces * team
        return SharedMemory(size)

    def close(self) -> None:
        """End the workers."""
        for team in self._teams:
            team.close()

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def ready(self) -> None:
        """Wait until all workers have started. Raises WorkerError where one cannot."""
        for team in self._teams:
            await team.ready()

    def watches(self) -> list[Callable[[], Awaitable[None]]]:
        """See `RankGroup.watches`."""
        return [watch for team in self._teams for watch in team.watches()]
