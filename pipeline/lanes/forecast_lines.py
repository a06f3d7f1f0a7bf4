"""Forecasts as lines: what is said of each record, ready to be written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ...core.base.parameters import Array
from ...core.online.encoder import Encoder
from ...core.online.schema import Schema
from .forecast import Forecast

__all__ = ["ENCODER", "Line", "lines_of", "reject_line", "values_of"]


class Line(msgspec.Struct, omit_defaults=True):
    """A line of a record; what there is nothing to say of is left out.

    ``lower`` and ``upper`` are bounds of the prediction. ``anomaly`` is about the record itself: how far outside it is
    of what had been said of it, where that is above 1; and ``alarm`` that it is one.
    """

    record: int | None
    prediction: Any
    lower: Any = None
    upper: Any = None
    version: int | None = None
    key: str | None = None
    time: float | None = None
    id: str | None = None
    reason: str | None = None
    anomaly: float | None = None
    alarm: bool = False


ENCODER = msgspec.json.Encoder()


def reject_line(reason: str) -> Line:
    """The line of a record that was rejected, and has no number."""
    return Line(None, None, reason=reason)


def lines_of(forecast: Forecast, encoder: Encoder, *, every: bool = False) -> list[Line]:
    """A line for each record that something could be forecast of, in their order; or for `every` one."""
    schema, n = encoder.schema, len(forecast.values)
    said = values_of(forecast.values, encoder)
    nothing: list[Any] = [None] * n
    low, high = [nothing if bound is None else _numbers(bound, schema) for bound in _bounds(forecast)]
    keys: Sequence[str | None] = forecast.keys or nothing
    times: list[float | None] = nothing if forecast.times is None else forecast.times.tolist()
    ids: Sequence[str | None] = forecast.ids or nothing
    far: list[float | None] = nothing if forecast.anomaly is None else _above(forecast.anomaly)
    alarms: list[bool] = [False] * n if forecast.alarm is None else forecast.alarm.tolist()
    records = range(forecast.number, forecast.number + n)
    some: list[bool] = (~np.isnan(forecast.values).all(axis=1)).tolist()  # type: ignore[assignment]
    columns = zip(records, said, low, high, keys, times, ids, far, alarms, some, strict=True)
    version = forecast.version
    return [
        Line(record, value, lower, upper, version, key, time, id, None, anomaly, alarm)
        for record, value, lower, upper, key, time, id, anomaly, alarm, is_some in columns
        if is_some or every
    ]


def values_of(values: Array, encoder: Encoder) -> list[Any]:
    """The values ``(n, F)`` as JSON says them: classes by name, numbers, or of several targets objects of these."""
    if encoder.schema.label is None:
        return _numbers(values, encoder.schema)
    return [None if value != value else encoder.class_name(int(value)) for value in values[:, 0].tolist()]


def _numbers(values: Array, schema: Schema) -> list[Any]:
    """The values ``(n, F)``: of a single target the number, of several by their names; None where there is none."""
    if len(schema.targets) == 1:
        column: list[Any] = values[:, 0].tolist()
        return [None if value != value else value for value in column] if np.isnan(values[:, 0]).any() else column
    names = [str(target) for target in schema.targets]
    return [
        {name: None if value != value else value for name, value in zip(names, row, strict=True)}
        for row in values.tolist()
    ]


def _bounds(forecast: Forecast) -> tuple[Array | None, Array | None]:
    return (None, None) if forecast.bounds is None else (forecast.bounds[:, 0], forecast.bounds[:, 1])


def _above(anomaly: Array) -> list[float | None]:
    found: list[float | None] = [None] * len(anomaly)
    for place in np.flatnonzero(anomaly > 1).tolist():
        found[place] = float(anomaly[place])
    return found
