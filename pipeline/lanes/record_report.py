"""What a run over records says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.online.encoder import Encoder
from .blocks import BlockSource
from .contest import Contest
from .forecasts import ForecastMaker
from .ledger import Ledger
from .record_lanes import RecordLanes

__all__ = ["record_report"]


def record_report(
    source: BlockSource,
    ledger: Ledger,
    encoder: Encoder,
    missing: Mapping[str, float],
    lanes: RecordLanes | None,
    maker: ForecastMaker | Contest | None,
    *,
    settled: bool,
) -> dict[str, Any]:
    """What has become of the records so far, and how good the forecasts are.

    Where `settled`, as if all batches that were given had been applied.

    ``records`` received, of which so many are ``applied``, ``unlabelled``, ``dropped``, ``rejected``, ``waiting``;
    ``late``; the ``keys`` there are, and how many were ``evicted`` or ``expired``; ``unknown``, categories and
    classes beyond the tables; ``missing``, the share of missing of each field that has any; with forecasts,
    ``metrics``, and ``bounds``, see `recurrio.core.online.scores`, and the ``worst`` keys. ``sources`` has the
    counts of each. Where labels come later, ``labels`` has theirs: see `recurrio.pipeline.lanes.waiting`.
    """
    tables = [*encoder.categories, encoder.classes]
    found: dict[str, Any] = ledger.counts(settled=settled)
    sources: Sequence[dict[str, Any]] = [
        {"dropped": 0, **counts, **ledger.of_source(index)} for index, counts in enumerate(source.counts)
    ]
    found["sources"] = sources
    for counts in sources[:-1] if source.brings_labels else sources:  # which has not let them in
        found["records"] += counts["dropped"]
        found["dropped"] += counts["dropped"]
    found["unknown"] = sum(table.other for table in tables)
    found["missing"] = {name: share for name, share in missing.items() if share}
    if lanes is not None:
        found |= {name: getattr(lanes, name) for name in ("late", "keys", "evicted", "expired")}
    if lanes is not None and lanes.later is not None:
        dropped = sources[-1]["dropped"] if source.brings_labels else 0
        found["labels"] = {**lanes.later.waiting.report(), "dropped": dropped}
    if isinstance(maker, Contest):
        found |= maker.maker.report()
    if maker is not None:
        found |= maker.report()
    return found
