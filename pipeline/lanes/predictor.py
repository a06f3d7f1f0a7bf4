"""Forecasts with a model that learns no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...core.online.record_model import RecordModel
from ..decoding.block import Block
from ..decoding.fields import Fields
from ..decoding.objects import decode_objects
from .forecast import Forecast
from .forecast_lines import Line, lines_of, reject_line
from .forecasts import ForecastMaker
from .key_table import KeyTable
from .live import Arrivals
from .packer import Packer
from .record_lanes import RecordLanes

__all__ = ["Predictor"]


class Predictor:
    """Forecasts record after record with `trained`, whose weights, scales and tables stay as they are.

    Each of up to `keys` keys has a state, which begins from zeros; ``maker`` has the scores of what came true.
    """

    def __init__(self, trained: RecordModel, keys: int = 1 << 17) -> None:
        encoder, model = trained.encoder, trained.model
        keys = keys if encoder.schema.key is not None else 1
        packer = Packer(encoder, seq_len=1, batch_size=1, keys=keys, dtype=model.dtype)
        self._made: list[Forecast] = []
        self._encoder, self._fields = encoder, Fields.of(encoder.schema)
        self._lanes = RecordLanes(
            encoder, KeyTable(keys), packer, patience=1 << 17, on_leave=lambda rows, _: self.maker.forget(rows)
        )
        self.maker = ForecastMaker(model, encoder, keys, self._lanes.names, lambda: self._made.append)
        self._parameters = model.parameters

    def forecast(self, block: Block) -> list[Forecast]:
        """What is forecast of the records of `block`, in their order."""
        self._made.clear()
        for item in self._lanes.add(block):
            if isinstance(item, Arrivals):
                self.maker.forecast(item, 0, self._parameters)
        return self._made

    def predict(self, records: Iterable[Mapping[str, Any]]) -> list[Line]:
        """What is forecast after each of `records`, mappings as `Records` takes them, which go on where others ended.

        A ``prediction`` is the number or the class, or of several targets a dict of these; with bounds it has its
        ``lower`` and ``upper`` one. Of a record that cannot be used there is the ``reason``, and no prediction.
        """
        return self.lines(decode_objects(self._fields, records))

    def lines(self, block: Block) -> list[Line]:
        """The same of the records of `block`, with a line for each reject where it stood."""
        lines = [line for forecast in self.forecast(block) for line in lines_of(forecast, self._encoder, every=True)]
        for reject in reversed(block.rejects):
            lines.insert(reject.before, reject_line(reject.reason))
        return lines
