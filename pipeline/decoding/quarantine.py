"""The file of rejects: what could not be used and why, within bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from ...core.base.checks import check_count
from ...core.base.line_file import LineFile
from .block import Reject

__all__ = ["Quarantine", "kind_of_reason"]

MOST_REJECTS = 10_000
MOST_BYTES = 10 << 20
MOST_DATA = 500  # bytes of a record
MOST_KINDS = 100
BEHIND = (", got ", "; it has: ", ": byte ", " (")  # where what differs from one record to the next begins


def kind_of_reason(reason: str) -> str:
    """What `reason` has in common with others: that without the value that came."""
    return reason[: min([reason.find(mark) for mark in BEHIND if mark in reason], default=None)]


class Quarantine:
    """Writes each reject to the file at `path`, as a line of JSON: source, line, reason, data.

    The file is written anew, or goes on at a `position`; for `rotate` see `LineFile`. Behind `most` rejects, or ten
    mebibytes, one more line says so, and the others are only counted: in `count`, and in `kinds` by the kind of reason.
    Raises OSError, as do its methods. Without a `path` it counts alone.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        most: int = MOST_REJECTS,
        position: dict[str, Any] | None = None,
        rotate: int | None = None,
    ) -> None:
        given = position or {"count": 0, "kinds": {}, "bytes": 0, "full": False, "file": None}
        self.count, self.kinds = check_count("count", given["count"], 0), dict(given["kinds"])
        self._most, self._bytes, self._full = most, check_count("bytes", given["bytes"], 0), bool(given["full"])
        self._file = None if path is None else LineFile(path, given["file"], rotate)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Write and count `rejects`."""
        for reject in rejects:
            self.count += 1
            kind = kind_of_reason(reject.reason)
            if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
                kind = "other reasons"
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self._write(reject)

    def position(self) -> dict[str, Any]:
        """How far it is, as JSON: for another one to go on there."""
        file = None if self._file is None else self._file.position()
        counts = {"count": self.count, "kinds": self.kinds.copy(), "bytes": self._bytes, "full": self._full}
        return {**counts, "file": file}

    def sync(self) -> Callable[[], None] | None:
        """See `LineFile.sync`; None where there is no file."""
        return None if self._file is None else self._file.sync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, reject: Reject) -> None:
        if self._file is None or self._full:
            return
        data = reject.data[:MOST_DATA].decode("utf-8", "backslashreplace")
        line = _json({"source": reject.origin, "line": reject.line, "reason": reject.reason, "data": data})
        self._bytes += len(line)
        self._full = self.count > self._most or self._bytes > MOST_BYTES
        if self._full:
            line = _json({"reason": f"no more rejects are written behind the first {self.count - 1:,}"})
        self._file.write(line)


def _json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
