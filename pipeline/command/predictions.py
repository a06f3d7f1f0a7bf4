"""Forecasts as JSON lines, to a file or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ...core.base.line_file import LineFile
from ...core.online.encoder import Encoder
from ..lanes.forecast import Forecast
from ..lanes.forecast_lines import ENCODER, Line, lines_of
from ..sinks import Sink

__all__ = ["PredictionWriter"]


class PredictionWriter:
    """Writes forecasts to the file at `path`, at once, for ``-`` to standard output; or to a `sink`. Raises OSError.

    For `position` and `rotate` see `LineFile`.
    """

    def __init__(
        self,
        path: str,
        encoder: Encoder,
        position: dict[str, Any] | None = None,
        rotate: int | None = None,
        sink: Sink | None = None,
    ) -> None:
        self._encoder, self._sink = encoder, sink
        self._file = None if path == "-" or sink is not None else LineFile(path, position, rotate)

    def __call__(self, forecast: Forecast) -> None:
        """Write the lines of `forecast`."""
        self.write(lines_of(forecast, self._encoder))

    def write(self, lines: list[Line]) -> None:
        """Write `lines`, in one piece."""
        if not lines:
            return
        if self._sink is not None:
            self._sink.put([(line.key, ENCODER.encode(line)) for line in lines])
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
        """See `LineFile.sync`, and `Sink.sync`; None where there is neither."""
        out = self._file or self._sink
        return None if out is None else out.sync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
