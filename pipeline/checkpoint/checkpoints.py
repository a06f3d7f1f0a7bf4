"""When a run makes checkpoints, what is in them, and where they go."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import trio

from ...core.base.checks import check_count, check_number
from ...core.base.parameters import Array
from ...core.base.state import Part
from .file import CheckpointError
from .store import CheckpointStore

__all__ = ["Checkpoints", "Output"]

Work = Callable[[], object]


class Output(Protocol):
    """A file that a run appends to."""

    def position(self) -> Any:  # noqa: ANN401 (what JSON has)
        """How long it is, as JSON, with all that has been written so far."""
        ...

    def sync(self) -> Work | None:
        """What sees, in a thread, that all that was written by now stays, and may raise OSError; None: nothing does."""
        ...


class Checkpoints:
    """The checkpoints of a run, in `folder`: one `every` so many batches, or as a float seconds, and one at its end.

    With None there is that alone. The last `keep` stay. ``settings`` is what a run that goes on must have too.
    ``outputs`` are the files that it appends to as its source comes, by name, and ``reports`` the one as batches are
    applied; they are synced before a checkpoint says how long they are. ``beside`` is asked what else is to be written
    then, with the parameters of the checkpoint; ``on_problem`` is told, in a line, where one could not be written, and
    when they are written again; ``on_saved`` is told of each that was, and says what is to be done in a thread then.

    Raises ArgumentError.
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: float | None = 60.0, keep: int = 3) -> None:
        if isinstance(every, float):
            every = check_number("every", every, 0, open_low=True)
        elif every is not None:
            every = check_count("every", every)
        self.every, self.store = every, CheckpointStore(folder, keep)
        self.settings: Mapping[str, Any] = {}
        self.outputs: dict[str, Output] = {}
        self.reports: Output | None = None
        self.beside: Callable[[Array], Work] | None = None
        self.on_problem: Callable[[str], object] = lambda text: None
        self.on_saved: Callable[[int, Part], Work] = lambda step, part: int
        self.problem: str | None = None  # why the last one could not be written
        self.saved: int | None = None  # the steps of the last that was written,
        self.saved_at = 0.0  # and when, by trio's clock
        self._waiting: tuple[int, Part, list[Work]] | None = None
        self._unwritten: tuple[int, Part] | None = None
        self._busy = False
        self._news, self._tried = trio.Event(), trio.Event()

    def positions(self) -> dict[str, Any]:
        """How long the outputs are."""
        return {name: output.position() for name, output in self.outputs.items()}

    def of_reports(self) -> Any:  # noqa: ANN401 (what JSON has)
        """How long the reports are, None where there are none."""
        return None if self.reports is None else self.reports.position()

    def put(self, step: int, part: Part) -> None:
        """Let the state after `step` batches be written; one that still waits makes room for it."""
        works: list[Work] = [lambda: self.store.write(step, part)]
        if self.beside is not None:
            works.append(self.beside(part.arrays["training.versions"][-1]))
        self._waiting = step, part, works
        self._news.set()

    async def write(self) -> None:
        """Write what is put, one behind the other, in a thread, for ever; to be run beside the run."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await self.drain()

    async def next(self) -> None:
        """Wait until one has been written, behind those that are. Raises CheckpointError where it could not be."""
        if self._busy:
            await self._tried.wait()
        await self._tried.wait()
        if self.problem is not None:
            raise CheckpointError(self.problem)

    async def drain(self) -> None:
        """Write what waits."""
        while self._waiting is not None:
            (step, part, works), self._waiting = self._waiting, None
            before, self._busy = self.problem, True
            outputs = [*self.outputs.values(), *([] if self.reports is None else [self.reports])]
            syncs = [sync for output in outputs if (sync := output.sync()) is not None]
            with trio.CancelScope(shield=True):
                self.problem = await trio.to_thread.run_sync(self._do, step, syncs, works)
            self._busy, tried, self._tried = False, self._tried, trio.Event()
            tried.set()
            self._unwritten = None if self.problem is None else (step, part)
            if self.problem is None:
                self.saved, self.saved_at = step, trio.current_time()
                with trio.CancelScope(shield=True):
                    try:
                        await trio.to_thread.run_sync(self.on_saved(step, part))
                    except OSError as error:
                        self.on_problem(f"{os.fsdecode(error.filename or '')}: {error.strerror}")
            if before is None and self.problem is not None:
                self.on_problem(f"{self.problem}; it will be tried again")
            elif before is not None and self.problem is None:
                self.on_problem(f"checkpoints are written again, that of step {step}")

    def _do(self, step: int, syncs: list[Work], works: list[Work]) -> str | None:
        """In a thread: what has been written is there before a checkpoint says so. Why that failed, if it did."""
        problem: OSError | None = None
        for sync in syncs:  # all of them, as each has files open
            try:
                sync()
            except OSError as error:
                problem = problem or error
        try:
            if problem is not None:
                raise problem
            for work in works:
                work()
        except OSError as error:
            where = os.fsdecode(error.filename) if error.filename else str(self.store.path(step))
            return f"the checkpoint of step {step} was not written: {where}: {error.strerror}"
        return None

    def rescue(self, folder: str | os.PathLike[str]) -> Path | None:
        """Write the last state, if it could not be written, to `folder`, and say where. Raises OSError."""
        if self._unwritten is None:
            return None
        return CheckpointStore(folder).write(*self._unwritten)
