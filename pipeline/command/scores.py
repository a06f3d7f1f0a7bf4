"""Reports of runs over records in words, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..observe.reports import Report

__all__ = ["as_json", "bits_of", "counts_of", "records_as_json", "scores_of", "sources_of"]

LASTING = ("source", "received", "rejected", "dropped")  # of a source, whatever the timing
TIMING = ("tokens_per_second", "seconds", "latency", "executor", "stages", "channels")
PLAIN = {"source", "received", "rejected", "dropped", "waiting"}  # what a file counts
ORDER = (
    *("received", "rejected", "dropped", "waiting", "unread", "datagrams", "files"),
    *("open", "connections", "reconnects", "refused", "broken"),
)
NAMES = (*("applied", "unlabelled", "dropped", "rejected", "waiting", "late"), *("keys", "evicted", "expired"))


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


def scores_of(records: Mapping[str, Any], scope: str = "all") -> str:
    """How good the forecasts are, beside the naive ones; empty where none was scored."""
    metrics = records.get("metrics", {}).get(scope, {})
    if not metrics.get("count"):
        return ""
    if "accuracy" in metrics:
        accuracy = f"accuracy {metrics['accuracy']:.1%} (naive {metrics['naive_accuracy']:.1%})"
        return f"{accuracy}, log loss {metrics['log_loss']:.3f} (naive {metrics['naive_log_loss']:.3f})"
    skill = "none" if metrics["skill"] is None else f"{metrics['skill']:+.3f}"
    if "mae" not in metrics:
        return f"mean skill {skill}"
    return f"MAE {metrics['mae']:.5g} (naive {metrics['naive_mae']:.5g}, skill {skill}){_bounds(records, scope)}"


def _bounds(records: Mapping[str, Any], scope: str) -> str:
    bounds = records.get("bounds", {})
    held = bounds.get(scope, {}).get("coverage")
    return "" if held is None else f", {held:.1%} within bounds for {bounds['interval']:.4g}"


def bits_of(metrics: Mapping[str, Any]) -> str:
    """How well the symbols of a text were forecast; empty where none was."""
    if not metrics.get("count"):
        return ""
    return f"{metrics['bits_per_symbol']:.3f} bits a symbol (naive {metrics['naive_bits_per_symbol']:.3f})"


def sources_of(records: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of each source its name and what it has counted, where they are several, or live."""
    sources = records.get("sources", [])
    if len(sources) < 2 and not any(source.keys() - PLAIN for source in sources):
        return []
    return [
        (
            source["source"],
            ", ".join([f"{source[name]:,} {name}" for name in ORDER if source.get(name)]) or "nothing yet",
        )
        for source in sources
    ]


def counts_of(records: Mapping[str, Any]) -> str:
    """What has become of the records, as far as there is something to say."""
    parts = [f"{records['records']:,} records"]
    parts += [f"{records[name]:,} {name}" for name in NAMES if records.get(name, 0) > (name == "keys")]
    return ", ".join(parts)
