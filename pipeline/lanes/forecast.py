"""What is forecast of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...core.base.parameters import Array

__all__ = ["Forecast", "Listener"]


class Forecast(NamedTuple):
    """`n` records in the order of arrival, from the record `number` on, and what was forecast of each by `version`.

    `values` ``(n, F)`` are in the units of the targets, NaN where nothing could be forecast; of a label its class.
    `known` ``(n, F)`` are the last values that were known of the targets with each, NaN where there is none. The
    `ids` are there where labels come later. With bounds, these are `bounds` ``(n, 2, F)``, lower and upper ones; and of
    the record itself, where it says how an earlier forecast has come out, the ``anomaly`` ``(n,)`` is how far off that
    was, see `recurrio.core.online.bounds`, and ``alarm`` ``(n,)`` whether that is one.
    """

    number: int
    version: int
    keys: Sequence[str] | None
    times: Array | None
    values: Array
    ids: Sequence[str] | None = None
    bounds: Array | None = None
    anomaly: Array | None = None
    alarm: Array | None = None
    known: Array | None = None

    def part(self, start: int, stop: int) -> Forecast:
        """Those from `start` to before `stop`."""
        cut = slice(start, stop)
        arrays: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[cut]
            for name in ("keys", "times", "values", "ids", "bounds", "anomaly", "alarm", "known")
        }
        return self._replace(number=self.number + start, **arrays)


Listener = Callable[[Forecast], None]
