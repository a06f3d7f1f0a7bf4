"""A file that lines are written to as they come."""

from __future__ import annotations

import os
from types import TracebackType

from .files import standard_stream

__all__ = ["LineFile"]


class LineFile:
    """Writes to the file at `path`, anew and at once, nothing being held back. Raises OSError, which names the file.

    What standard output or standard error go to already is gone on with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        stream = standard_stream(path)
        self._file = open(path if stream is None else os.dup(stream), "wb", buffering=0)  # noqa: SIM115 (see `close`)

    def write(self, data: bytes | bytearray) -> None:
        """Write all of `data`."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
