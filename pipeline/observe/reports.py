"""What a run says of itself: a report for each applied batch, and where the time of each stage goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.base.html import html_table
from ..flow.channels import ChannelReport
from .words import counts_of, scores_of

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

    def line(self, bits: str = "") -> str:
        """What a display says of it, in a line; of a text `bits` are how well its symbols were forecast, in words."""
        speed = f"{self.tokens_per_second:>9,.0f}"
        if self.records is not None:
            parts = [counts_of(self.records), scores_of(self.records), f"{speed} records/s"]
        else:
            parts = [f"loss {self.loss:.4f}", f"grad norm {self.grad_norm:.3f}", bits, f"{speed} tokens/s"]
        return "  ".join(filter(None, [f"step {self.step:>6}", *parts]))

    def _repr_html_(self) -> str:
        """As a table, for notebooks."""
        rows: list[tuple[str, object]] = [("step", f"{self.step:,}"), ("loss", f"{self.loss:.4g}")]
        rows.append(("gradient norm", f"{self.grad_norm:.4g}"))
        if self.records is not None:
            rows += [("records", counts_of(self.records)), ("forecasts", scores_of(self.records))]
            rows.append(("worst keys", ", ".join([str(one["key"]) for one in self.records.get("worst", [])])))
        unit = "tokens/s" if self.records is None else "records/s"
        rows += [("speed", f"{self.tokens_per_second:,.0f} {unit}"), ("seconds", f"{self.seconds:,.1f}")]
        rows += [("executor", self.executor)]
        if self.skipped:
            rows.append(("bad batches", f"{self.skipped:,} skipped, {self.undone:,} undone"))
        return html_table("Report", [(name, value) for name, value in rows if value])
