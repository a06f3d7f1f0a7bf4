"""The status as metrics for Prometheus. Needs prometheus-client."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as EXPOSITION
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .status import Status

__all__ = ["EXPOSITION", "exposition"]

# Of the records, what only grows.
COUNTED = ("records", "applied", "unlabelled", "dropped", "rejected", "late", "evicted", "expired")
OF_SOURCE = ("received", "rejected", "dropped", "reconnects", "connections", "refused", "broken")
SCORES = ("mae", "rmse", "skill", "naive_mae", "accuracy", "naive_accuracy", "log_loss", "naive_log_loss")


def exposition(status: Status) -> bytes:
    """The text that a scrape reads, of the state as it is now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(status))
    return generate_latest(registry)


class _Now(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        return _families(self._status.now())


def _families(said: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("recurrio_up_seconds", "Seconds since it is served.", said["uptime"])
    yield _gauge("recurrio_degraded", "Whether something is wrong, though it goes on.", bool(said["degraded"]))
    yield _counter("recurrio_steps", "Batches that were applied, in all runs.", said["step"])
    yield _gauge("recurrio_loss", "The mean loss of the last batch.", said["loss"])
    yield _gauge("recurrio_gradient_norm", "The gradient's norm of the last batch, before clipping.", said["grad_norm"])
    yield _gauge("recurrio_learning_rate", "The learning rate.", said["learning_rate"])
    yield _gauge("recurrio_steps_per_second", "Time steps times lanes a second.", said["tokens_per_second"])
    yield _counter("recurrio_skipped_batches", "Batches that were not learned from.", said["skipped"])
    yield _counter("recurrio_undone_updates", "Updates that were taken back.", said["undone"])
    kinds = [("busy", "busy"), ("waiting_for_input", "input"), ("waiting_for_room", "room")]
    stages = CounterMetricFamily("recurrio_stage_seconds", "What a stage spent its time on.", labels=["stage", "on"])
    for stage in said["stages"]:
        for name, on in kinds:
            stages.add_metric([stage["name"], on], stage[name])
    yield stages
    depths = GaugeMetricFamily("recurrio_channel_depth", "Items that wait in a channel.", labels=["channel"])
    for channel in said["channels"]:
        depths.add_metric([channel["name"]], channel["depth"])
    yield depths
    if said["checkpoint"] is not None:
        yield _gauge("recurrio_checkpoint_age_seconds", "Seconds since the last one.", said["checkpoint"]["age"])
    if said["records"] is not None:
        yield from _of_records(said["records"])


def _of_records(records: dict[str, Any]) -> Iterator[Metric]:
    counts = CounterMetricFamily("recurrio_records", "Records, by what has become of them.", labels=["fate"])
    for name in COUNTED:
        if name in records:
            counts.add_metric(["received" if name == "records" else name], records[name])
    yield counts
    yield _gauge("recurrio_waiting_records", "Records that wait for their batch.", records["waiting"])
    yield _gauge("recurrio_keys", "Keys that there are.", records.get("keys", 0))
    sources = CounterMetricFamily("recurrio_source_events", "What came from a source.", labels=["source", "event"])
    for number, source in enumerate(records["sources"]):
        for name in OF_SOURCE:
            if name in source:
                sources.add_metric([f"{number} {source['source']}", name], source[name])
    yield sources
    scores = GaugeMetricFamily("recurrio_score", "How good forecasts are.", labels=["metric", "scope"])
    for scope, metrics in records.get("metrics", {}).items():
        for name in SCORES:
            if (value := metrics.get(name)) is not None:
                scores.add_metric([name, scope], value)
    yield scores


def _gauge(name: str, about: str, value: float | None) -> Metric:
    return GaugeMetricFamily(name, about, math.nan if value is None else float(value))


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, float(value))
