"""Ctrl-C and its kin, answered at once whatever the command is doing.

The command runs in a thread of its own. The main thread, to which Python gives the signals, does nothing but wait for
them: so neither a write that blocks nor arithmetic keeps one waiting. docs/decisions/signals.md says why so.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

__all__ = ["Interrupts"]

PATIENCE = 1.0  # seconds that output may wait for its reader after a signal
FILE_PATIENCE = 5.0  # seconds that a file, which may be a pipe or on a slow disk, may then take
WAITABLE = os.name == "posix"  # elsewhere select takes nothing but sockets
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
IMPATIENT = (signal.SIGINT, signal.SIGTERM)  # not SIGHUP: of a terminal that is closed come two or three


class Interrupts:
    """The signals that ask the command to end: SIGINT, SIGTERM, and SIGHUP; not those that were ignored at the start.

    The first ends the process at once, with one line on standard error; but in a block of `hold` it becomes ``number``,
    and is handed to `forward`'s callback. The second SIGINT or SIGTERM ends the process at once. Exit codes are 128 and
    the signal's number.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._held = False
        self._callback: Callable[[], object] | None = None
        self._lock = Lock()
        self._came, self._come = os.pipe()  # readable, by its end, once there is a number

    def run(self, work: Callable[[], int]) -> int:
        """Do `work` in a thread, answering signals; return what it returns, or raise what it raises.

        For the main thread, once a process: from the end on, a signal ends the process with its code, and no line.
        """
        results: list[int | BaseException] = []
        ended = Event()
        receive, send = os.pipe()
        if hasattr(os, "set_blocking"):  # on Windows from Python 3.12 on
            os.set_blocking(send, False)

        def job() -> None:
            try:
                results.append(work())
            except BaseException as error:
                results.append(error)
            finally:
                ended.set()
                with suppress(BlockingIOError):  # then there is enough to wake the main thread
                    os.write(send, b"\0")

        signal.set_wakeup_fd(send, warn_on_full_buffer=False)
        caught = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in caught:
            signal.signal(
                number, lambda *_: None
            )  # the wake-up's bytes are the numbers; handlers may be called less often
        Thread(target=job, name="command", daemon=True).start()
        while not ended.is_set():
            for number in os.read(receive, 64):
                if number:
                    self._answer(number)
        for number in caught:
            signal.signal(number, lambda number, _: os._exit(128 + number))
        signal.set_wakeup_fd(-1)
        (result,) = results
        if isinstance(result, BaseException):
            raise result
        return result

    def _answer(self, number: int) -> None:
        with self._lock:
            if self.number is not None:
                if number in IMPATIENT:
                    os._exit(128 + number)
            elif self._held:
                self.number = number
                os.close(self._come)
                if self._callback is not None:
                    self._callback()
            else:
                with suppress(OSError):
                    if select.select([], [2], [], 0)[1]:
                        os.write(2, b"recurrio: interrupted\n")
                os._exit(128 + number)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """In the block, the first signal does not end the process."""
        with self._lock:
            self._held = True
        try:
            yield
        finally:
            with self._lock:
                self._held = False

    @contextmanager
    def forward(self, callback: Callable[[], object]) -> Iterator[None]:
        """In the block, call `callback` in the main thread when the first signal comes, or now where it has come."""
        with self._lock:
            self._callback = callback
            if self.number is not None:
                callback()
        try:
            yield
        finally:
            with self._lock:
                self._callback = None

    def wait(self, read: list[int], write: list[int], patience: float = PATIENCE) -> bool:
        """Wait until one of these descriptors is ready, after a signal no longer than `patience`; whether one is."""
        if not WAITABLE:
            return True
        while True:
            interrupted = self.number is not None
            asked = [] if interrupted else [self._came]
            readable, writable, _ = select.select([*read, *asked], write, [], patience if interrupted else None)
            if writable or set(readable) - {self._came}:
                return True
            if interrupted:
                return False

    def patiently(self, work: Callable[[], None]) -> None:
        """Do `work`, which may wait for a reader; give it up in the way of `wait`. Raises the OSError of `work`."""
        if not WAITABLE:
            work()
            return
        errors: list[OSError] = []
        ended, end = os.pipe()

        def job() -> None:
            try:
                work()
            except OSError as error:
                errors.append(error)
            finally:
                os.close(end)

        Thread(target=job, name="patiently", daemon=True).start()
        self.wait([ended], [], FILE_PATIENCE)
        os.close(ended)
        if errors:
            raise errors[0]
