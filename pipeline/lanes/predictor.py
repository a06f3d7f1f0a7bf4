"""Forecasts with a model that learns no more."""

from __future__ import annotations

from ...core.online.record_model import RecordModel
from ..decoding.block import Block
from .forecast import Forecast
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
