"""A shard whose ranks compute at once, as a team of processes, and the crews of all shards of a run."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

from ..core.batch import SequenceBatch
from ..core.model import SequenceModel
from ..core.parameters import Array
from ..core.ranks import ALIGNMENT, Arena, Pass, Rank
from ..core.shard import Member, arena_bytes
from .team import SharedMemory, Team

__all__ = ["Crew", "CrewMember", "Crews"]


class CrewMember:
    """What one rank does for a shard: a `Member`, and the batch where all ranks can read it."""

    passes = ("forward", "backward")

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None:
        model = SequenceModel(**arguments["model"], seed=None)
        steps, lanes, size = arguments["steps"], arguments["lanes"], model.layout.size
        slots, workspaces = arguments["slots"], arguments["workspaces"]
        parameters = Arena(memory, arguments["parameters"]).zeros((slots, size), model.dtype)
        gradients = Arena(memory, arguments["gradients"]).zeros((rank.count, workspaces, size), model.dtype)
        self._batch = {name: arena.zeros(*array) for name, array in model.network.arrays(steps, lanes).items()}
        seed = tuple(arguments["seed"])
        self._member = Member(model, steps, lanes, parameters, gradients[rank.index], rank, arena, seed)

    def write(self, batch: SequenceBatch) -> tuple[bool, bool, bool]:
        """Put `batch` where all ranks can read it; what there is of it beside inputs and targets, for `forward`."""
        self._batch["inputs"][...], self._batch["targets"][...] = batch.inputs, batch.targets
        some = not isinstance(batch.reset, bool)
        if some:
            self._batch["reset"][...] = batch.reset
        if batch.lengths is not None:
            self._batch["lengths"][...] = batch.lengths
        return batch.reset is True, some, batch.lengths is not None

    def forward(
        self, workspace: float, slot: float, reset: float, resets: float, lengths: float, *_: float
    ) -> Pass[float]:
        """`Member.forward` of the batch that was written: with `reset` of all lanes, `resets` of some, `lengths`."""
        arrays = self._batch
        batch = SequenceBatch(
            arrays["inputs"],
            arrays["targets"],
            arrays["reset"] if resets else bool(reset),
            arrays["lengths"] if lengths else None,
        )
        return self._member.forward(int(workspace), int(slot), batch)

    def backward(self, workspace: float, scale: float, *_: float) -> Pass[None]:
        """`Member.backward`."""
        return self._member.backward(int(workspace), scale)


class Crew:
    """Computes one shard with several ranks; the calls are those of `recurrio.core.shard.Shard`."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """See `recurrio.core.shard.Member.forward`."""
        return float(self._team.run("forward", workspace, slot, *self._team.member.write(batch)))

    def backward(self, workspace: int, scale: float) -> None:
        """See `recurrio.core.shard.Member.backward`."""
        self._team.run("backward", workspace, scale)


class Crews:
    """The crews of all shards of a run and the memory that they share; a context manager that ends them.

    ``parameters`` ``(slots, size)`` and, for each shard, ``gradients`` ``(ranks, workspaces, size)`` are in it.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: list[int],
        *,
        ranks: int,
        slots: int,
        workspaces: int,
        blas_threads: int = 1,
        seed: int = 0,
    ) -> None:
        vectors = slots + len(lanes) * ranks * workspaces
        size = vectors * (model.layout.size * model.dtype.itemsize + ALIGNMENT)
        for count in lanes:
            size += arena_bytes(model, steps, count, ranks, workspaces) + (2 + ranks) * ALIGNMENT
            for shape, dtype in model.network.arrays(steps, count).values():
                size += math.prod(shape) * dtype.itemsize + ALIGNMENT
        self._teams: list[Team] = []
        self._memory = SharedMemory(size)
        arena = Arena(self._memory.array)
        self.parameters = arena.zeros((slots, model.layout.size), model.dtype)
        shares, starts = [], []
        for _ in lanes:
            starts.append(arena.size)
            shares.append(arena.zeros((ranks, workspaces, model.layout.size), model.dtype))
        self.gradients: list[Array] = shares
        end = arena.size
        try:
            for index, count in enumerate(lanes):
                arguments = {
                    "model": model.config,
                    "steps": steps,
                    "lanes": count,
                    "slots": slots,
                    "workspaces": workspaces,
                    "parameters": 0,
                    "gradients": starts[index],
                    "seed": (seed, index),
                }
                team = Team(CrewMember, arguments, self._memory, end, ranks=ranks, blas_threads=blas_threads)
                self._teams.append(team)
                end = team.end
        except BaseException:
            self.close()
            raise
        self.crews = [Crew(team) for team in self._teams]

    def close(self) -> None:
        """End the workers and give the memory back."""
        for team in self._teams:
            team.close()
        self._memory.close()

    def __enter__(self) -> Crews:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ready(self) -> None:
        """Wait until all workers have started. Raises WorkerError where one cannot."""
        for team in self._teams:
            team.ready()
