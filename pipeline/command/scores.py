"""Reports of runs as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..observe.reports import Report

__all__ = ["as_json", "records_as_json"]

LASTING = ("source", "received", "rejected", "dropped")  # of a source, whatever the timing
TIMING = ("tokens_per_second", "seconds", "latency", "executor", "stages", "channels")


def as_json(report: Report, counts: Mapping[str, Any]) -> dict[str, Any]:
    """A report as plain JSON. What depends on the clock, on the executor, or on the process stands by itself."""
    plain = report._asdict()
    for name in ("loss", "grad_norm"):
        plain[name] = plain[name] if math.isfinite(plain[name]) else None  # of a batch that was skipped
    for name in ("stages", "channels"):
        plain[name] = [part._asdict() for part in plain[name]]
    records = plain.pop("records")
    timing = {name: plain.pop(name) for name in TIMING}
    if records is None:
        del timing["latency"]
        return plain | dict(counts) | {"timing": timing}
    return records_as_json(records, plain, timing)


def records_as_json(records: Mapping[str, Any], plain: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of records, with what else it says."""
    sources = records["sources"]
    timing = {
        **timing,
        "sources": [{name: source[name] for name in source if name not in LASTING} for source in sources],
    }
    lasting = [{name: source[name] for name in source if name in LASTING} for source in sources]
    return {**plain, **records, "sources": lasting, "timing": timing}
