"""The last forecasts, of all keys together and of those that somebody looks at."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ...core.online.encoder import Encoder
from ..lanes.forecast import Forecast
from ..lanes.forecast_lines import Line, lines_of, values_of

__all__ = ["Recent", "Shown"]

KEPT = 4096  # records of all keys together,
EACH = 512  # and of each key that is looked at,
WATCHED = 16  # of which there are so many, those that were asked for last


class Shown(Line, omit_defaults=True):
    """A line, and the ``value`` that was known of the target with the record."""

    value: Any = None


class Recent:
    """Listens to forecasts, and hands them on to another `listener`; they become lines only when somebody asks."""

    def __init__(self, encoder: Encoder, listener: Callable[[Forecast], None] | None) -> None:
        self._encoder, self._listener = encoder, listener
        self._forecasts: deque[Forecast] = deque()
        self._count = 0
        self._watched: OrderedDict[str | None, deque[Shown]] = OrderedDict()

    def __call__(self, forecast: Forecast) -> None:
        """These forecasts have been made."""
        if self._listener is not None:
            self._listener(forecast)
        self._forecasts.append(forecast)
        self._count += len(forecast.values)
        while self._count - len(self._forecasts[0].values) >= KEPT:
            self._count -= len(self._forecasts.popleft().values)
        if self._watched and forecast.keys is None:
            self._watched[None].extend(self._shown(forecast))
        elif self._watched:  # many records come by, so each is looked at once
            for place, key in enumerate(forecast.keys or ()):
                if key in self._watched:
                    self._watched[key].extend(self._shown(forecast.part(place, place + 1)))

    def of(self, key: str | None) -> list[Shown]:
        """The last lines of a key, None where there are no keys; from now on they are kept."""
        if key not in self._watched:
            found = deque[Shown](maxlen=EACH)
            for forecast in self._forecasts:
                found.extend(self._lines(forecast, key))
            self._watched[key] = found
            if len(self._watched) > WATCHED:
                self._watched.popitem(last=False)
        self._watched.move_to_end(key)
        return [*self._watched[key]]

    def keys(self, count: int) -> list[str]:
        """Up to so many of the keys that came last, the last one first."""
        found: dict[str, Any] = {}
        for forecast in reversed(self._forecasts):
            for key in reversed(forecast.keys or ()):
                found.setdefault(key)
                if len(found) == count:
                    return [*found]
        return [*found]

    def _lines(self, forecast: Forecast, key: str | None) -> Iterator[Shown]:
        keys = forecast.keys
        if keys is None:
            yield from self._shown(forecast)
        elif key in keys:
            for place, own in enumerate(keys):
                if own == key:
                    yield from self._shown(forecast.part(place, place + 1))

    def _shown(self, forecast: Forecast) -> Iterator[Shown]:
        assert forecast.known is not None
        values = values_of(forecast.known, self._encoder)
        for line, value in zip(lines_of(forecast, self._encoder, every=True), values, strict=True):
            yield Shown(**msgspec.structs.asdict(line), value=value)
