"""What would be forecast of records if they came next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ..decoding.block import Block
from ..decoding.fields import Fields
from ..decoding.objects import decode_objects
from ..decoding.options import RecordOptions
from .contest import Contest
from .forecast import Forecast
from .forecasts import ForecastMaker
from .record_lanes import RecordLanes
from .record_plan import RecordPlan

__all__ = ["what_if"]


def what_if(
    plan: RecordPlan,
    lanes: RecordLanes | None,
    maker: ForecastMaker | None,
    contest: Contest | None,
    items: Sequence[Mapping[str, Any]],
    version: int,
    parameters: Array,
) -> tuple[Forecast, Block]:
    """The forecasts of `items` with the `parameters` of `version`, and the block of those that can be used.

    Records of one key follow one another, behind those that came; nothing of it stays. A value of a category that is
    new is among the others, and bounds are those before its own truth is known. Where a challenger leads, it is by that
    one. Raises ArgumentError where the run makes no forecasts, and for more than 256 keys.
    """
    if maker is None or lanes is None:
        raise ArgumentError("records", "a run that makes forecasts", "none")
    if contest is not None and contest.leader:
        maker = contest.maker
        version, parameters = contest.challengers[contest.leader - 1].latest
    block = decode_objects(Fields.of(plan.schema), items, RecordOptions())
    if not block.size:
        return Forecast(lanes.number, version, [], None, np.empty((0, max(1, len(plan.schema.targets))))), block
    supposed, rows = lanes.suppose(block)
    values, bounds = maker.suppose(supposed, rows, parameters)
    return Forecast(lanes.number, version, block.keys, block.times, values, bounds=bounds), block
