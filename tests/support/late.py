"""Records whose labels come later, for tests: what they are, and a run over them that has to add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import trio
import trio.testing

from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer

GIVEN: dict[str, Any] = {"features": "x", "label": "y", "key": "k", "id": "n", "seq_len": 4, "batch_size": 6}
Items = list[dict[str, Any]]


def make(count: int = 200, delay: int = 9, seed: int = 0) -> tuple[Items, Items, Items]:
    """Records, labels, and both in the order in which they come."""
    rng = np.random.default_rng(seed)
    records = [{"n": n, "k": f"key {n % 7}", "x": round(float(rng.standard_normal()), 3)} for n in range(count)]
    labels = [{"n": record["n"], "y": "high" if record["x"] > 0 else "low"} for record in records]
    mixed: Items = []
    for at, record in enumerate(records):
        mixed.append(record)
        if at >= delay:
            mixed.append(labels[at - delay])
    return records, labels, mixed + labels[count - delay :]


async def train(records: Records, *, apart: bool = True) -> tuple[Trainer, dict[str, Any]]:
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    with trio.fail_after(1e6):
        await trainer.run(records)
    report = records.report()
    assert report["records"] == sum(report[part] for part in ("applied", "unlabelled", "dropped", "rejected"))
    labels = report["labels"]
    assert labels["received"] == sum(labels[part] for part in ("matched", "twice", "late", "unmatched", "early"))
    came = sum(source["received"] for source in report["sources"])
    assert came == report["records"] + labels["received"] or not apart
    return trainer, report
