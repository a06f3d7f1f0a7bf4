"""What a run says of itself: a report for each applied batch, and where the time of each stage goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..flow.channels import ChannelReport

__all__ = ["Report", "StageReport"]


class StageReport(NamedTuple):
    """The items that one stage has finished in the ``seconds`` since it began, and how it spent them."""

    name: str
    items: int
    seconds: float
    busy: float
    waiting_for_input: float  # an item, the source, or the planned version
    waiting_for_room: float


class Report(NamedTuple):
    """One applied batch.

    ``step`` counts applied batches from 1 and is the version that this one made; ``version`` is the one that it
    was computed with, ``staleness`` how many updates older than the newest that was. ``loss`` is the mean of the
    model's loss, measured before the batch changed the weights; ``grad_norm`` is the norm before clipping. ``tokens``
    counts time steps × lanes since the run began, ``tokens_per_second`` is over the last steps, and ``seconds`` since
    the run began. ``executor`` is where it was computed; what ``stages`` and ``channels`` count begins anew where that
    changes. Of a run over records, ``records`` says what has become of them, and how good the forecasts are: see
    `recurrio.pipeline.lanes.records.Records.report`; `latency` is how long it took from a label to the weights, see
    `recurrio.pipeline.lanes.latency`. So many batches so far were ``skipped``, and updates ``undone``: see
    `recurrio.core.optim.guard`; the loss or the norm of a batch that is skipped may not be finite.
    """

    step: int
    version: int
    staleness: int
    loss: float
    grad_norm: float
    tokens: int
    tokens_per_second: float
    seconds: float
    executor: str
    stages: tuple[StageReport, ...]
    channels: tuple[ChannelReport, ...]
    records: Mapping[str, Any] | None = None
    latency: Mapping[str, float] | None = None
    skipped: int = 0
    undone: int = 0
