"""A run that is served, for programs that ask it: ``python -m support.served`` says where it is, and goes on."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import numpy as np
import trio

from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer, serve

SECONDS = 300  # after which it ends in any case


async def come() -> AsyncIterator[list[dict[str, Any]]]:
    """Five devices, each of which comes back to its level."""
    rng, level, number = np.random.default_rng(0), np.zeros(5), 0
    while True:
        level = 0.9 * level + rng.standard_normal(5)
        number += 1
        yield [{"k": f"device {k}", "x": float(x), "t": 1.7e9 + number} for k, x in enumerate(level)]
        await trio.sleep(0.005)


async def main(address: str) -> None:
    """Serve it at `address`."""
    given: dict[str, Any] = {"key": "k", "features": "x", "target": "x@+1", "interval": 0.9}
    records = Records(come(), **given)
    trainer = Trainer(records.model(hidden_size=8, seed=0), Adam(0.002), executor="inline")
    async with trio.open_nursery() as nursery:
        say = partial(print, file=sys.stderr, flush=True)
        print(await nursery.start(partial(serve, trainer, records, address=address, on_problem=say)), flush=True)
        with trio.move_on_after(SECONDS):
            await trainer.run(records)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:0")
