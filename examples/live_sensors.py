"""Two hundred simulated devices send what they measure over TCP, and a model learns from all of them as it comes.

A device says its temperature, a wave of its own under noise, twenty times a second. Now and then one breaks off in the
middle of a line, or is started again under the same name; each goes on as it was. Run it with ``python
examples/live_sensors.py``, and ``python examples/live_sensors.py 60`` for a minute of it. Devices of your own send
lines such as ``{"device": "kitchen", "temperature": 20.4}`` to the address that it prints.
"""

from __future__ import annotations

import json
import math
import random
import socket
import struct
import sys

import trio

from recurrio.core import Adam
from recurrio.pipeline import Report, Trainer, open_records

DEVICES = 200
PAUSE = 0.05  # seconds between two readings
FAILS = 0.001  # of the readings


async def device(name: str, host: str, port: int) -> None:
    """Send readings for ever, over a new connection whenever one has broken off."""
    rng = random.Random(name)
    phase = rng.uniform(0, 2 * math.pi)
    while True:
        stream = await trio.open_tcp_stream(host, port)
        async with stream:
            while rng.random() > FAILS:
                phase += 0.3
                reading = {"device": name, "temperature": round(20 + 3 * math.sin(phase) + rng.gauss(0, 0.6), 2)}
                await stream.send_all(json.dumps(reading).encode() + b"\n")
                await trio.sleep(PAUSE * rng.uniform(0.8, 1.2))
            if rng.random() < 0.5:  # it fails: no goodbye, and half a line
                await stream.send_all(b'{"device": "' + name.encode())
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.sleep(rng.uniform(0.05, 0.5))


def show(report: Report) -> None:
    """Print how good the forecasts are by now."""
    assert report.records is not None
    scores, source = report.records["metrics"]["all"], report.records["sources"][0]
    if scores["count"]:
        counts = f"{report.records['records']:>8,} records, {source['open']} connections, {source['broken']} broke off"
        print(f"{counts}; MAE {scores['mae']:.3f} (naive {scores['naive_mae']:.3f}, skill {scores['skill']:+.3f})")


async def main(seconds: float) -> None:
    """Listen, let the devices send, and learn for so many `seconds`."""
    said: list[str] = []
    options = {"key": "device", "features": "temperature", "target": "temperature@+1"}
    async with open_records("tcp-listen://127.0.0.1:0", linger=1.0, on_notice=said.append, **options) as records:
        print(said[0])
        port = int(said[0].rpartition(":")[2])
        trainer = Trainer(records.model(seed=0), Adam(0.01), clip=1.0)
        async with trio.open_nursery() as nursery:
            for number in range(DEVICES):
                nursery.start_soon(device, f"device-{number:03}", "127.0.0.1", port)
            with trio.move_on_after(seconds):
                await trainer.run(records, on_report=show, report_every=1.0)
            nursery.cancel_scope.cancel()
        report = records.report()
        print(f"{report['keys']} devices, {report['rejected']} records that broke off")
        print(f"skill {report['metrics']['all']['skill']:.3f}")


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 8.0)
