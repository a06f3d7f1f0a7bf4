"""The process executor: worker processes that share the memory of a run.

There is a group of processes, one for each rank, for each workspace of a shard: so one can compute the backward pass of
a batch while another computes the forward pass of the next. A workspace stays in the processes of its group. All of
them share the parameters, the gradients, and the hidden states of the lanes, of which only the forward pass in turn
makes use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from ...core.base.arena import Arena, DryArena
from ...core.base.parameters import Array
from ...core.base.ranks import Pass, Rank
from ...core.model.batch import BatchBuffer, SequenceBatch
from ...core.model.run_memory import RunMemory
from ...core.model.sequence_model import SequenceModel
from ...core.model.shard import ShardRank
from ...core.model.workspace import shared_bytes
from ..flow.worker_process import obstacle
from ..plan.messages import Ticket
from ..plan.plan import Plan
from .executor import Work
from .place import Place
from .rank_group import RankGroup, lay_out_counters
from .shared_memory import SharedMemory

__all__ = ["ProcessExecutor", "ProcessPlace", "RemoteRank"]


class RemoteRank:
    """What one rank does for a workspace of a shard; see `recurrio.pipeline.executors.rank_group.GroupMember`."""

    passes: ClassVar[tuple[str, ...]] = ("forward", "backward", "weight_gradient")

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None:
        model = SequenceModel.from_config(arguments["model"])
        steps, widths, shard, workspace = (arguments[name] for name in ("steps", "widths", "shard", "workspace"))
        shared = RunMemory(model, widths, **arguments["counts"], arena=Arena(memory))
        self._batch = BatchBuffer(model.network.spec(steps, widths[shard]), arena)
        self._rank = ShardRank(
            model,
            steps,
            widths[shard],
            shared.parameters,
            shared.gradients[shard][rank.index, workspace : workspace + 1],
            [before[rank.index] for before in shared.states[shard]] if shared.states else [],
            rank,
            arena,
            (arguments["seed"], shard),
            None if shared.keys is None else shared.keys.of_rank(shard, rank),
        )

    def forward(self, version_row: float, batch_number: float, *flags: float) -> Pass[float]:
        """`ShardRank.forward` of the batch that was written."""
        return self._rank.forward(0, int(version_row), int(batch_number), self._batch.read(*flags[:5]))

    def backward(self, scale: float, whole: float, *_: float) -> Pass[None]:
        """`ShardRank.backward`."""
        return self._rank.backward(0, scale, bool(whole))

    def weight_gradient(self, *_: float) -> Pass[None]:
        """`ShardRank.weight_gradient`."""
        return self._rank.weight_gradient(0)


class ProcessPlace:
    """Computes one shard in the processes of its `groups`, one for each workspace; a `Place`."""

    def __init__(self, groups: list[RankGroup], batches: list[BatchBuffer], gradients: Array) -> None:
        self._groups, self._batches, self._gradients = groups, batches, gradients

    async def forward(self, ticket: Ticket, version_row: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        flags = self._batches[ticket.workspace].write(batch)
        return await self._groups[ticket.workspace].run("forward", version_row, ticket.batch_number, *flags)

    async def backward(self, ticket: Ticket) -> Array:
        """See `Place`."""
        await self._groups[ticket.workspace].run("backward", 1 / ticket.total, True)
        return self._gradients[:, ticket.workspace]

    async def recurrence(self, ticket: Ticket) -> None:
        """See `Place`."""
        await self._groups[ticket.workspace].run("backward", 1 / ticket.total, False)

    async def weight_gradient(self, ticket: Ticket) -> Array:
        """See `Place`."""
        await self._groups[ticket.workspace].run("weight_gradient")
        return self._gradients[:, ticket.workspace]

    def give_up(self) -> None:
        """See `Place`; a wait for a process can be cancelled."""


class _Layout:
    """What the processes of a run share, one behind the other in `arena`: laid out dry to know its size, then real.

    First comes the ``memory`` of the run. For each shard and each workspace, ``starts`` says where the rest of that
    group begins: its counters, its batch in ``batches``, and what its ranks share.
    """

    def __init__(self, work: Work, arena: Arena) -> None:
        model, ranks, workspaces = work.state.model, work.plan.ranks, range(work.plan.workspaces())
        self.memory = work.state.memory(len(workspaces), arena)
        self.starts: list[list[int]] = []
        self.batches: list[list[BatchBuffer]] = []
        for width in work.state.widths:
            starts, batches = [], []
            for _ in workspaces:
                starts.append(arena.size)
                lay_out_counters(arena, ranks)
                batches.append(BatchBuffer(model.network.spec(work.steps, width), arena))
                arena.skip(shared_bytes(model.network, work.steps, width, ranks, 1))
            self.starts.append(starts)
            self.batches.append(batches)


class ProcessExecutor:
    """See `Executor`."""

    name: ClassVar[str] = "process"
    holds_up_the_loop: ClassVar[bool] = False
    starts_slowly: ClassVar[bool] = True

    @staticmethod
    def refuses(plan: Plan) -> str | None:
        """See `Executor`."""
        return obstacle()

    @staticmethod
    def workers(plan: Plan) -> int:
        """See `Executor`."""
        return plan.passes() * plan.ranks

    def __init__(self, work: Work) -> None:
        plan, state = work.plan, work.state
        dry = DryArena()
        _Layout(work, dry)
        arguments = {
            "model": state.model.config,
            "steps": work.steps,
            "widths": state.widths,
            "seed": state.seed,
            "counts": state.counts(plan.workspaces()),
        }
        with ExitStack() as stack:
            self._shared = shared = SharedMemory(dry.size)
            stack.callback(shared.close)
            layout = _Layout(work, Arena(shared.array))
            self.memory = layout.memory
            self._groups: list[RankGroup] = []
            places: list[Place] = []
            for shard, starts in enumerate(layout.starts):
                groups = []
                for workspace, start in enumerate(starts):
                    here = {**arguments, "shard": shard, "workspace": workspace}
                    options = {"ranks": plan.ranks, "blas_threads": plan.blas_threads}
                    groups.append(RankGroup(RemoteRank, here, shared, start, **options))
                    stack.callback(groups[-1].close)  # before the memory
                self._groups += groups
                places.append(ProcessPlace(groups, layout.batches[shard], layout.memory.gradients[shard]))
            self.places: Sequence[Place] = places
            self._close = stack.pop_all()

    async def ready(self) -> None:
        """See `Executor`. Raises WorkerError where a worker cannot start."""
        for group in self._groups:
            await group.ready()

    def watches(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """See `Executor`."""
        return [watch for group in self._groups for watch in group.watches()]

    def close(self) -> None:
        """See `Executor`."""
        self._close.close()

    def release(self) -> None:
        """See `Executor`. Nobody has to wait until the last array in the shared memory is gone."""
        self._shared.release()
