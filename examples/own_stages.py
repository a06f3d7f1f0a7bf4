"""Two stages of one's own between those of the pipeline: gradient noise, and a recorder of what passes.

A stage is an async function that receives messages from one channel and sends them on to the next, in order; the
pipeline runs one for each shard, and closes the channels behind it. Whoever has received a message owns what it refers
to, so it may change the gradient, or look at the loss, without a lock.

Run it with ``python examples/own_stages.py``; it takes a few seconds.
"""

from __future__ import annotations

import numpy as np
import trio

from recurrio.core import Adam, MSELoss, SequenceBatch, SequenceModel
from recurrio.pipeline import Trainer
from recurrio.pipeline.flow.channels import Receiver, Sender
from recurrio.pipeline.plan.messages import Backwarded, Forwarded

STEPS, LANES = 20, 8


async def add_noise(receive: Receiver[Backwarded], send: Sender[Backwarded]) -> None:
    """Gradient noise whose variance is 0.0001 / (1 + k)^0.55 at batch k, as Neelakantan et al. (2015) add it.

    The noise is a function of the batch and the shard, so it is the same in every run, whatever the timing.
    """
    async for message in receive:
        number, shard = message.ticket.batch_number, message.ticket.shard
        rng = np.random.default_rng((number, shard))
        gradient = message.gradients[0]  # (size,), that of the first rank; the ranks are added up later
        gradient += 0.01 * (1 + number) ** -0.275 * rng.standard_normal(gradient.size, gradient.dtype)
        await send.send(message)


class Recorder:
    """Notes the order in which the forward passes of all shards come by."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    async def record(self, receive: Receiver[Forwarded], send: Sender[Forwarded]) -> None:
        """The stage."""
        async for message in receive:
            self.seen.append((message.ticket.batch_number, message.ticket.shard))
            await send.send(message)


def sines(count: int) -> list[SequenceBatch]:
    """Noisy sines of several phases; the target is the next value."""
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, LANES)
    times = np.arange(count * STEPS + 1)[:, None]
    waves = (np.sin(0.3 * times + phases) + 0.05 * rng.standard_normal((len(times), LANES))).astype(np.float32)[
        ..., None
    ]
    cuts = range(0, count * STEPS, STEPS)
    return [SequenceBatch(waves[cut : cut + STEPS], waves[cut + 1 : cut + STEPS + 1]) for cut in cuts]


async def main() -> None:
    """Train twice with noise, in different executors, and once without."""
    digests = []
    for executor, between in (("inline", True), ("thread", True), ("inline", False)):
        model = SequenceModel(input_size=1, hidden_size=16, cell="gru", output_size=1, loss=MSELoss(), seed=0)
        trainer, recorder, losses = Trainer(model, Adam(0.01), shards=2, delay=1, executor=executor), Recorder(), []
        await trainer.run(
            sines(200),
            on_report=lambda report, losses=losses: losses.append(report.loss),
            between={"backwarded": add_noise, "forwarded": recorder.record} if between else None,
        )
        digests.append(model.parameters.tobytes())
        print(
            f"{executor}, {'with' if between else 'without'} noise: loss {losses[0]:.3f} → {np.mean(losses[-20:]):.4f}"
        )
        if between:
            orders = [[number for number, of in recorder.seen if of == shard] for shard in (0, 1)]
            in_order = orders == 2 * [list(range(200))]
            print(f"  the recorder saw {len(recorder.seen)} passes, in order for each shard: {in_order}")
    print(f"same bits with noise, inline and in threads: {digests[0] == digests[1]}")
    print(f"same bits without noise: {digests[0] == digests[2]}")


if __name__ == "__main__":
    trio.run(main)
