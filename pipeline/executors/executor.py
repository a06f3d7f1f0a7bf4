"""The executor: a way to compute the shards of a run. One that is made has its memory and its workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

from ...core.model.run_memory import RunMemory
from ...core.training_state import TrainingState
from ..plan.plan import Plan
from .place import Place

__all__ = ["Executor", "Work"]


class Work(NamedTuple):
    """What is to be computed: batches of at most `steps` T, from `state` on."""

    plan: Plan
    state: TrainingState
    steps: int


class Executor(Protocol):
    """Where the shards of a run are computed: a class, and one of it for a run.

    ``places`` compute the shards, with what is in ``memory``. Whoever has made one closes it,
    takes what is wanted out of its memory, and releases that.
    """

    name: ClassVar[str]
    holds_up_the_loop: ClassVar[bool]  # a pass lets no other task run
    starts_slowly: ClassVar[bool]
    memory: RunMemory
    places: Sequence[Place]

    @staticmethod
    def refuses(plan: Plan) -> str | None:
        """Why this cannot be used for `plan` here; None where it can."""
        ...

    @staticmethod
    def workers(plan: Plan) -> int:
        """How many passes, or ranks of them, can go on at once."""
        ...

    def __init__(self, work: Work) -> None: ...

    async def ready(self) -> None:
        """Wait until the workers have started."""
        ...

    def watches(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """Tasks to run meanwhile, which raise an error where a worker ends."""
        ...

    def close(self) -> None:
        """End the workers; nothing writes into the memory any more. Twice is once."""
        ...

    def release(self) -> None:
        """Give the memory back, after `close`; nobody may read it any more."""
        ...
