"""Training as one task of a trio program: another task goes on meanwhile, and ends the training when it likes.

Run it with ``python examples/beside_other_tasks.py``; it takes about two seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import trio

from recurrio.core import Adam, SequenceModel, TextModel
from recurrio.pipeline import Trainer, open_source

TEXT = Path(trio.__file__).with_name("_channel.py")  # some text that is there for certain


async def tick(losses: list[float]) -> None:
    """Look at the training four times a second; the event loop is free for it."""
    while True:
        await trio.sleep(0.25)
        print(f"{len(losses)} steps so far")


async def main() -> None:
    """Train for two seconds beside `tick`, then write a line."""
    async with open_source(TEXT, batch_size=8, seq_len=32, epochs=None) as source:
        model = SequenceModel(len(source.vocabulary), embedding_size=32, hidden_size=64, seed=0)
        trainer = Trainer(model, Adam(0.005), clip=1.0, executor="thread")
        losses: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick, losses)
            with trio.move_on_after(2):
                await trainer.run(source, on_report=lambda report: losses.append(report.loss))
            nursery.cancel_scope.cancel()
        print(f"stopped after {trainer.step} steps, loss {losses[0]:.2f} → {losses[-1]:.2f}")
        text = TextModel(model, source.vocabulary)
        for piece in text.generate("    async def ", 60, temperature=0.5, rng=np.random.default_rng(0)):
            sys.stdout.write(piece)
        print()


if __name__ == "__main__":
    trio.run(main)
