"""Standard output and standard error of the command: what was closed at the start, and readers that do not read."""

from __future__ import annotations

import io
import os
import select
import sys

from .signals import Interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from typing_extensions import Buffer

__all__ = ["Output", "fill_descriptors", "open_output"]

PIECE = getattr(select, "PIPE_BUF", 512)  # bytes: a pipe that is ready takes so much without waiting


def fill_descriptors() -> None:
    """See that 0, 1 and 2 are open, so that no other file gets their numbers, and with them their readers and writers.

    Standard input becomes something that cannot be read; standard output and standard error go nowhere.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)  # the lowest that is free: this one


class Output(io.RawIOBase):
    """The bytes that go to `descriptor`, called `name` in errors.

    A write waits for a reader that is slow, but can be interrupted: after a signal it waits in the way of
    `Interrupts.wait`, then this and all that follows is dropped. So it is with errors after a signal: there is a
    model to be saved. Before, they are OSErrors that name the stream.
    """

    def __init__(self, descriptor: int, name: str, interrupts: Interrupts) -> None:
        self._descriptor, self.name, self._interrupts = descriptor, name, interrupts
        self._given_up = False

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), PIECE):
                self._write(view[start : start + PIECE])
        except OSError as error:
            if self._interrupts.number is None:
                raise OSError(error.errno, error.strerror, self.name) from None
            self._given_up = True
        return len(view)

    def _write(self, piece: memoryview) -> None:
        while piece and not self._given_up:
            if not self._interrupts.wait([], [self._descriptor]):
                self._given_up = True
                return
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # somebody made it so; and somebody else was faster
                continue


def open_output(interrupts: Interrupts) -> None:
    """Let `sys.stdout` and `sys.stderr` be an `Output` each; letters that they have no bytes for become "?"."""
    sys.stdout = _text(Output(1, "standard output", interrupts), sys.stdout)
    sys.stderr = _text(Output(2, "standard error", interrupts), sys.stderr)


def _text(output: Output, before: TextIO | None) -> io.TextIOWrapper:
    encoding = "utf-8" if before is None else before.encoding
    return io.TextIOWrapper(output, encoding=encoding, errors="replace", line_buffering=True)
