"""Forecasts as JSON lines, to a file or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from ...core.base.line_file import LineFile
from ...core.online.encoder import Encoder
from ..lanes.forecasts import Forecast

__all__ = ["Line", "PredictionWriter", "lines_of", "reject_line"]


class Line(msgspec.Struct, omit_defaults=True):
    """A line of a record; the key, the time and the id are left out where records have none."""

    record: int | None
    prediction: Any
    version: int | None = None
    key: str | None = None
    time: float | None = None
    id: str | None = None
    reason: str | None = None


ENCODER = msgspec.json.Encoder()


def reject_line(reason: str) -> Line:
    """The line of a record that was rejected, and has no number."""
    return Line(None, None, reason=reason)


def lines_of(forecast: Forecast, encoder: Encoder, *, every: bool = False) -> list[Line]:
    """A line for each record that something could be forecast of, in their order; or for `every` one."""
    schema, n = encoder.schema, len(forecast.values)
    said: list[Any]
    if schema.label is not None:
        said = [None if value != value else encoder.class_name(int(value)) for value in forecast.values[:, 0].tolist()]
    elif len(schema.targets) == 1:
        said = [None if value != value else value for value in forecast.values[:, 0].tolist()]
    else:
        names = [str(target) for target in schema.targets]
        said = [
            {name: None if value != value else value for name, value in zip(names, row, strict=True)}
            for row in forecast.values.tolist()
        ]
    keys: Sequence[str | None] = forecast.keys or [None] * n
    times: list[float | None] = [None] * n if forecast.times is None else forecast.times.tolist()
    ids: Sequence[str | None] = forecast.ids or [None] * n
    records = range(forecast.number, forecast.number + n)
    some: list[bool] = (~np.isnan(forecast.values).all(axis=1)).tolist()  # type: ignore[assignment]
    return [
        Line(record, value, forecast.version, key, time, id)
        for record, value, key, time, id, is_some in zip(records, said, keys, times, ids, some, strict=True)
        if is_some or every
    ]


class PredictionWriter:
    """Writes forecasts to the file at `path`, or for ``-`` to standard output, at once. Raises OSError.

    For `position` and `rotate` see `LineFile`.
    """

    def __init__(
        self, path: str, encoder: Encoder, position: dict[str, Any] | None = None, rotate: int | None = None
    ) -> None:
        self._encoder = encoder
        self._file = None if path == "-" else LineFile(path, position, rotate)

    def __call__(self, forecast: Forecast) -> None:
        """Write the lines of `forecast`."""
        self.write(lines_of(forecast, self._encoder))

    def write(self, lines: list[Line]) -> None:
        """Write `lines`, in one piece."""
        if not lines:
            return
        data = ENCODER.encode_lines(lines)
        if self._file is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        self._file.write(data)

    def position(self) -> dict[str, Any] | None:
        """See `LineFile.position`."""
        return None if self._file is None else self._file.position()

    def sync(self) -> Callable[[], None] | None:
        """See `LineFile.sync`; None where there is no file."""
        return None if self._file is None else self._file.sync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
