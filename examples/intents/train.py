"""Learn from requests what whoever says them wants, their intent, and write the model to a file.

Run ``python examples/intents/train.py requests.tsv``, with a TSV or CSV file that has the columns text and intent, or
say which ones it has, as ``--text said --intent wanted``. Without a file it learns from a few requests of its own.
"""

from __future__ import annotations

import argparse
from functools import partial
from random import Random

import trio

from recurrio.core import Adam
from recurrio.pipeline import BestEpoch, Classification, Report, Trainer, read_table, train_epochs

PHRASES = {
    "Light": ("turn the light {0} in the {1}", "the {1} is too dark", "switch {0} all lights"),
    "Music": ("play some {2}", "i want to hear {2} in the {1}", "turn the {2} {0}"),
    "Weather": ("will it rain {3}", "how cold is it {3}", "do i need a coat {3}"),
}
WORDS = (("on", "off"), ("kitchen", "hall", "bedroom"), ("jazz", "pop", "bach"), ("today", "tomorrow", "on friday"))


def made(count: int = 400) -> list[tuple[str, ...]]:
    """Requests with their intents, the same each time."""
    random = Random(0)
    intents = [random.choice([*PHRASES]) for _ in range(count)]
    return [(random.choice(PHRASES[one]).format(*map(random.choice, WORDS)), one) for one in intents]


def read(path: str, columns: tuple[str, str]) -> list[tuple[str, ...]]:
    """The rows of a file."""
    table = read_table(path, columns)
    print(f"{path}: {len(table.rows):,} rows, and {len(table.rejects)} that cannot be used")
    return table.rows


def say(report: Report, best: BestEpoch) -> None:
    """Say how good the model is after an epoch."""
    print(f"epoch {len(best.scores)}: accuracy {best.scores[-1]:.3f}")


def main() -> None:
    """Train, and keep the best epoch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="?", metavar="FILE", help="a table of requests")
    parser.add_argument("--text", default="text", metavar="NAME", help="the column of the requests (%(default)s)")
    parser.add_argument("--intent", default="intent", metavar="NAME", help="that of their intents (%(default)s)")
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="times over the file (%(default)s)")
    parser.add_argument("--out", default="intents.safetensors", metavar="FILE", help="for the model (%(default)s)")
    given = parser.parse_args()

    task = Classification(read(given.path, (given.text, given.intent)) if given.path else made())
    print(f"{task.about}; {task.dev_rows} others score it, of which the majority is {task.naive:.3f}")
    trainer = Trainer(task.model(seed=0), Adam(0.003), clip=1.0)
    batches = task.batches(epochs=given.epochs)
    best = trio.run(partial(train_epochs, trainer, batches, task.score, on_epoch=say))
    task.trained(trainer.model).save(given.out)
    print(f"{given.out}: epoch {best.epoch}, accuracy {best.score:.3f}")


if __name__ == "__main__":
    main()
