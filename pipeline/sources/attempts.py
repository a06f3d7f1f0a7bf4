"""Connections to a server that are made again and again, with what is said of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .address import hide, shown
from .net import Backoff, reason_of
from .source import SourceError

__all__ = ["Attempts"]


class Attempts:
    """Connects to the server at `address`, and again whenever that has ended, with longer and longer waits in between.

    What is raised of a connection is one of `errors`; where it is one of `fatal`, and none of those, another attempt
    would be of no use, and a SourceError says so. The first failure of several is told to `notice`, and that it is
    connected again. ``is_connected`` is whether it is, and ``count`` how many connections have ended.
    """

    def __init__(
        self,
        address: str,
        notice: Callable[[str], None],
        errors: tuple[type[Exception], ...],
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name, self.count = shown(address), 0
        self._address, self._notice, self._errors, self._fatal = address, notice, errors, fatal
        self._backoff, self._said = Backoff(), False
        self.is_connected = False

    async def keep(self, connect: Callable[[], Awaitable[object]]) -> None:
        """Let `connect` connect, for ever; it returns, or raises an error, where the connection has ended."""
        while True:
            try:
                await connect()
            except Exception as error:
                if (other := _other_than(self._errors, error)) is not None:
                    known = isinstance(other, self._fatal)
                    raise (SourceError(f"{self.name}: {self._reason(other)}") if known else other) from None
                if not self._said:
                    self._notice(f"{self.name}: {self._reason(error)}; trying again")
                self._said = True
            self.count += self.is_connected
            self.is_connected = False
            await self._backoff.wait()

    def _reason(self, error: Exception) -> str:
        return hide(reason_of(error), self._address)

    def connected(self) -> None:
        """It is connected."""
        if self._said:
            self._notice(f"{self.name}: connected")
        self._said, self.is_connected = False, True

    def works(self) -> None:
        """Something has come, or gone: the next attempt need not wait for long."""
        self._backoff.reset()


def _other_than(errors: tuple[type[Exception], ...], error: Exception) -> Exception | None:
    """The first that is none of `errors`, of those that `error` is, or is a group of."""
    if isinstance(error, ExceptionGroup):
        return next((found for one in error.exceptions if (found := _other_than(errors, one)) is not None), None)
    return None if isinstance(error, errors) else error
