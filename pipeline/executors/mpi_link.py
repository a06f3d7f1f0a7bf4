"""The way between the ranks of a run: what is sent, and how an answer is waited for.

Nothing here waits inside MPI, which would keep a processor busy and let nobody else run: who waits looks, and sleeps
for a while that grows with how long it has waited. So a rank that hangs, or is cut off, holds up nobody's event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from typing import Any

import trio

from ...core.base.parameters import Array

__all__ = ["Link"]

END = 3  # a tag
SHORTEST = 50e-6  # seconds
PART = 1 / 16  # of what has been waited


class Link:
    """What a rank of `comm` needs for a run. It never sleeps longer than `longest` seconds.

    Where all who wait have looked in vain, `glance` is called, which may raise.
    """

    def __init__(self, comm: Any, longest: float, glance: Callable[[], None]) -> None:  # noqa: ANN401 (overloads)
        self._comm, self._longest, self._glance = comm, longest, glance
        self._going: list[Any] = []  # requests whose arrays MPI may still look at
        self._posted: list[Any] = []  # those of arrays that are to come
        self._waiting = self._looks = 0

    def send(self, to: int, tag: int, thing: Any) -> None:  # noqa: ANN401 (anything that can be pickled)
        """Send something small."""
        self._keep(self._comm.isend(thing, to, tag))

    def send_array(self, to: int, tag: int, array: Array) -> None:
        """Send an `array` ``(n,)``, which must not change before the other side has shown that it has it."""
        self._keep(self._comm.Isend(array, to, tag))

    def _keep(self, request: Any) -> None:  # noqa: ANN401 (MPI's)
        self._going = [one for one in self._going if not one.Test()]
        self._going.append(request)

    def post(self, source: int, tag: int, array: Array) -> Any:  # noqa: ANN401 (MPI's)
        """Let an array that is to come go straight into `array` ``(n,)``; the request is for `done`."""
        self._posted = [one for one in self._posted if not one.Test()]
        self._posted.append(self._comm.Irecv(array, source, tag))
        return self._posted[-1]

    async def done(self, requests: Sequence[Any]) -> None:
        """Wait until all have come."""
        await self._until(lambda: all(request.Test() for request in requests))

    async def receive(self, source: int, tag: int) -> Any:  # noqa: ANN401 (what was sent)
        """Wait for what `send` has sent."""
        found: list[Any] = []

        def look() -> bool:
            message = self._comm.improbe(source, tag)
            if message is not None:
                found.append(message.irecv())
            return message is not None

        def come() -> bool:
            is_there, thing = found[0].test()
            if is_there:
                found[:] = [thing]
            return bool(is_there)

        await self._until(look)
        try:
            await self._until(come)
        except BaseException:
            self._going += found
            raise
        return found[0]

    async def _until(self, test: Callable[[], bool]) -> None:
        began = perf_counter()
        self._waiting += 1
        try:
            while not test():
                self._looks += 1
                if self._looks >= self._waiting:  # all who wait have looked in vain
                    self._looks = 0
                    self._glance()
                    sleep(self._nap(began))  # noqa: ASYNC251 (trio's own would take a millisecond)
                await trio.lowlevel.checkpoint()
        finally:
            self._waiting -= 1

    def _nap(self, began: float) -> float:
        return min(self._longest, max(SHORTEST, PART * (perf_counter() - began)))

    def finish(self, peers: Sequence[int], seconds: float) -> bool:
        """End the run: take what is still on its way from the `peers`, who do the same, and throw it away.

        Whether all have done so within `seconds`; then nothing of the run will ever come again, or be written.
        """
        from mpi4py import MPI

        self._going += [request for request in self._posted if not request.Test()]
        for request in self._posted:
            if request:  # else it is done
                request.Cancel()
        for peer in peers:
            self.send(peer, END, None)
        left, status, began = set(peers), MPI.Status(), perf_counter()
        while left or self._going:
            for peer in [*left]:
                message = self._comm.Improbe(peer, MPI.ANY_TAG, status)
                if message is not None:
                    self._going.append(message.Irecv(bytearray(status.Get_count(MPI.BYTE))))
                    if status.Get_tag() == END:  # the last one of this peer
                        left.discard(peer)
            self._going = [one for one in self._going if not one.Test()]
            if perf_counter() - began > seconds:
                return False
            sleep(SHORTEST)
        self._posted = []
        return True
