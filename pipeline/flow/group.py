"""Groups of tasks: one failure ends all of them, once, and is what the caller sees. Go's errgroup, in trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

__all__ = ["Group", "open_group"]

Task = Callable[..., Awaitable[object]]


class Group:
    """Tasks that end together; `open_group` makes one.

    The first of them to fail, in time, cancels the others. A neighbour that then finds a channel broken comes later,
    and a nursery's group of all of them says nothing of the order.
    """

    def __init__(self) -> None:
        self._nursery: trio.Nursery
        self._left = 1  # tasks that are not in the background, and the block itself
        self._background: list[trio.CancelScope] = []
        self.error: BaseException | None = None

    def start_soon(self, task: Task, *arguments: Any, name: str | None = None) -> None:  # noqa: ANN401 (the task's)
        """Start `task`."""
        self._left += 1
        self._nursery.start_soon(self._foreground, task, arguments, name=name)

    def start_background(self, task: Task, *arguments: Any, shield: bool = False) -> None:  # noqa: ANN401 (the task's)
        """Start a `task` that ends with the last of the others. With `shield` it goes on where they are cancelled."""
        scope = trio.CancelScope(shield=shield)
        self._background.append(scope)
        self._nursery.start_soon(self._behind, scope, task, arguments)

    async def start(self, task: Callable[..., Awaitable[object]]) -> Any:  # noqa: ANN401 (what the task says)
        """Start `task` in the background, and wait for what it says of itself: see trio's ``nursery.start``."""
        scope = trio.CancelScope()
        self._background.append(scope)
        return await self._nursery.start(self._begin, scope, task)

    async def _begin(self, scope: trio.CancelScope, task: Task, *, task_status: trio.TaskStatus[Any]) -> None:
        await self._behind(scope, partial(task, task_status=task_status), ())

    async def _foreground(self, task: Task, arguments: tuple[Any, ...]) -> None:
        try:
            await task(*arguments)
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self.done()

    async def _behind(self, scope: trio.CancelScope, task: Task, arguments: tuple[Any, ...]) -> None:
        with scope:
            try:
                await task(*arguments)
            except BaseException as error:
                self.failed(error)
                raise

    def failed(self, error: BaseException) -> None:
        """Note that a task has raised `error`."""
        if self.error is None and not _is_cancellation(error):
            self.error = error

    def done(self) -> None:
        """Note that a task has ended, or the block; the last one ends those in the background."""
        self._left -= 1
        if not self._left:
            for scope in self._background:
                scope.cancel()


@asynccontextmanager
async def open_group() -> AsyncIterator[Group]:
    """A group, for ``async with``: the block ends when all its tasks have.

    It raises the error of the task that failed first, as it is. The errors of others are among its notes.
    """
    error: BaseException | None = None
    group = Group()
    try:
        async with trio.open_nursery() as group._nursery:
            try:
                yield group
            except BaseException as raised:
                group.failed(raised)
                raise
            finally:
                group.done()
    except BaseExceptionGroup as several:
        leaves = _leaves(several)
        failed, group.error = group.error, None
        # Where no task has failed it is the one in the nursery itself, such as KeyboardInterrupt, or a cancellation.
        error = failed or next((leaf for leaf in leaves if not _is_cancellation(leaf)), leaves[0])
        own = _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
        others = [leaf for leaf in leaves if not _is_cancellation(leaf) and not any(leaf is part for part in own)]
        for note in [f"another task then raised {type(other).__name__}: {other}" for other in others]:
            error.add_note(note)
        del several, leaves, failed, own, others  # whose frames would hold them in a cycle
    if error is not None:
        try:
            raise error  # not in the except block, which would make the group its context, and a cycle
        finally:
            del error


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for part in group.exceptions:
        found += _leaves(part) if isinstance(part, BaseExceptionGroup) else [part]
    return found


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_cancellation, error.exceptions))
    return isinstance(error, trio.Cancelled)
