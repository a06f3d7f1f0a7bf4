"""What has become of records, and how good forecasts are, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PLAIN", "bits_of", "counts_of", "scores_of", "sources_of"]

PLAIN = {"source", "received", "rejected", "dropped", "waiting"}  # what a file counts
ORDER = (
    *("received", "rejected", "dropped", "waiting", "unread", "datagrams", "files"),
    *("open", "connections", "reconnects", "refused", "broken"),
)
NAMES = (*("applied", "unlabelled", "dropped", "rejected", "waiting", "late"), *("keys", "evicted", "expired"))


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
