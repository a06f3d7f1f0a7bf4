"""The first error of a run: what its caller is shown, whatever the other tasks then run into."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

__all__ = ["FirstError"]


T = TypeVar("T")


class FirstError:
    """Remembers, in ``error``, what the first of several tasks to fail has raised.

    It is the first in time. A neighbour that finds a channel broken comes later, and a nursery's group of all of them
    says nothing of the order.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    async def guard(self, task: Callable[..., Awaitable[T]], *arguments: Any) -> T:  # noqa: ANN401 (the task's)
        """Run `task`; what it returns or raises goes on its way."""
        try:
            return await task(*arguments)
        except BaseException as error:
            if self.error is None and not _is_cancellation(error):
                self.error = error
            raise

    def take(self, group: BaseExceptionGroup[BaseException]) -> BaseException:
        """The first error; where no task has failed, the one in the nursery itself, such as KeyboardInterrupt."""
        error, self.error = self.error, None
        if error is not None:
            return error
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup):
            parts: tuple[BaseException, ...] = leaf.exceptions
            leaf = next((part for part in parts if not _is_cancellation(part)), parts[0])
        return leaf


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_cancellation, error.exceptions))
    return isinstance(error, trio.Cancelled)
