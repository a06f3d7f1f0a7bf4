"""A model learns from this machine's own counters, while it runs: how busy each processor will be next.

Four times a second psutil says how much of the time each processor has computed, for programs and for the system, and
how much memory is in use; a record for each processor. Run it with ``python examples/this_machine.py``, and ``python
examples/this_machine.py 60`` for a minute of it, with something to do beside it. Needs the package psutil.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import psutil
import trio

from recurrio.core import Adam
from recurrio.pipeline import Records, Report, Trainer

PAUSE = 0.25  # seconds


async def counters() -> AsyncIterator[list[dict[str, Any]]]:
    """What each processor has done since the last time."""
    before = psutil.cpu_times(percpu=True)
    while True:
        await trio.sleep(PAUSE)
        now, memory = psutil.cpu_times(percpu=True), psutil.virtual_memory().percent
        records = []
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            total = max(sum(new) - sum(old), 1e-9)
            user, system, idle = (
                100 * (getattr(new, name) - getattr(old, name)) / total for name in ("user", "system", "idle")
            )
            busy = {"user": user, "system": system, "busy": 100 - idle}
            records.append({"processor": number, "memory": memory} | {name: round(busy[name], 2) for name in busy})
        before = now
        yield records


def show(report: Report) -> None:
    """Print how good the forecasts are by now."""
    assert report.records is not None
    scores = report.records["metrics"]["all"]
    if scores["count"]:
        errors = f"MAE {scores['mae']:.2f} points (naive {scores['naive_mae']:.2f})"
        print(f"{report.records['records']:>6,} records of {report.records['keys']} processors; {errors}")


async def main(seconds: float) -> None:
    """Learn for so many `seconds`."""
    options = {"key": "processor", "features": "busy,user,system,memory", "target": "busy@+1"}
    records = Records(counters(), seq_len=2, **options)
    trainer = Trainer(records.model(seed=0), Adam(0.01), clip=1.0)
    with trio.move_on_after(seconds):
        await trainer.run(records, on_report=show, report_every=1.0)
    report = records.report()
    print(f"{report['keys']} processors, {report['applied']} records learned")


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
