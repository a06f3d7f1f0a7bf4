"""Texts from a socket: each is answered as it comes, and only then, where its label came with it, learned from.

Run ``python examples/sentiment/stream.py sentiment.safetensors tcp-listen://127.0.0.1:9000``, with the model that
``train.py`` has written. A line that is sent there is ``label<TAB>text``, or JSON as ``{"label": …, "text": …}``; one
without a label is only answered. Any other source will do as well: a file, ``tail:FILE``, ``-`` for a pipe. At its
end, or with Ctrl-C, what the model has become is written to ``live.safetensors``.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from functools import partial

import msgspec
import trio

from recurrio.core import Adam, TextClassifier
from recurrio.pipeline import Trainer, open_lines

LINES, LONGEST = 16, 400  # that are learned from at once, and characters of a text that are read


class Row(msgspec.Struct):
    """A text, and its label, if that came with it."""

    text: str
    label: str | None = None


def parse(line: str) -> Row:
    """What a line says: without a tab all of it is the text. Raises ValueError, RecursionError, MsgspecError."""
    return msgspec.json.decode(line, type=Row) if line[0] == "{" else Row(*line.split("\t", 1)[::-1])


class Live:
    """A classifier that is `kept` learning, and how many labels came, and were what it, or the majority, had said."""

    def __init__(self, kept: TextClassifier) -> None:
        self.kept, self.trainer = kept, Trainer(kept.model, Adam(0.003), clip=1.0, executor="inline")
        self.rows, self.labels, self.right, self.majority = list[tuple[str, str]](), Counter[str](), 0, 0

    def __str__(self) -> str:
        right, majority = (count / max(1, self.labels.total()) for count in (self.right, self.majority))
        return f"{self.labels.total():,} labels: accuracy {right:.3f} (majority {majority:.3f})"

    async def take(self, row: Row) -> None:
        """Answer a text, and learn from it and those before as soon as these are enough. Raises ValueError."""
        if row.label and row.label not in self.kept.classes:
            raise ValueError("a label that the model does not know")
        text = row.text[:LONGEST]
        (said,) = self.kept.predict([text])
        if not row.label:
            print(f"{said.label} {said.probability:.3f}  {text}", flush=True)
            return
        self.right += said.label == row.label
        self.majority += row.label in dict(self.labels.most_common(1))
        self.labels[row.label] += 1
        if self.labels.total() % 500 == 0:
            print(self, flush=True)
        self.rows.append((text, row.label))
        if len(self.rows) == LINES:
            await self.trainer.run([self.kept.batch(self.rows)])
            self.rows.clear()


async def main(path: str, address: str) -> None:
    """Learn until the lines end, or a signal comes."""
    live, rejected = Live(TextClassifier.load(path)), 0

    async def stop_at_signal() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()

    async with open_lines(address, on_notice=partial(print, flush=True)) as lines, trio.open_nursery() as nursery:
        nursery.start_soon(stop_at_signal)
        async for line in lines:
            try:
                await live.take(parse(line))
            except (ValueError, RecursionError, msgspec.MsgspecError):
                rejected += 1
        nursery.cancel_scope.cancel()
    print(f"{live}; {rejected + lines.rejected} lines rejected")
    live.kept.save("live.safetensors")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
