"""Learn from reviews which texts are positive and which are negative, and write the model to a file.

Run ``python examples/sentiment/train.py reviews.tsv``, with one TSV or CSV file or several, which have the columns text
and label. Without any it learns from a few sentences of its own, in which a "not" turns the meaning around.
"""

from __future__ import annotations

import argparse
from functools import partial
from random import Random

import trio

from recurrio.core import Adam
from recurrio.pipeline import BestEpoch, Classification, Report, Trainer, read_table, train_epochs

SUBJECTS = ("", "it is ", "the film is ", "my phone is ", "this book is ")
WORDS = {"great": True, "lovely": True, "good": True, "awful": False, "dull": False, "bad": False}


def made(count: int = 600) -> list[tuple[str, ...]]:
    """Sentences with their labels, the same each time."""
    random, rows = Random(0), list[tuple[str, ...]]()
    for _ in range(count):
        word, negated = random.choice([*WORDS]), random.random() < 0.5
        text = f"{random.choice(SUBJECTS)}{'not ' * negated}{word}{' at all' * random.randrange(2)}."
        rows.append((text, "positive" if WORDS[word] != negated else "negative"))
    return rows


def read(paths: list[str]) -> list[tuple[str, ...]]:
    """The texts and labels of all files."""
    rows = list[tuple[str, ...]]()
    for path in paths:
        table = read_table(path, ("text", "label"))
        print(f"{path}: {len(table.rows):,} rows, and {len(table.rejects)} that cannot be used")
        rows += table.rows
    return rows


def say(report: Report, best: BestEpoch) -> None:
    """Say how good the model is after an epoch."""
    print(f"epoch {len(best.scores)}: accuracy {best.scores[-1]:.3f}")


def main() -> None:
    """Train, and keep the best epoch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="FILE", help="with the columns text and label")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="times over the files (%(default)s)")
    parser.add_argument("--out", default="sentiment.safetensors", metavar="FILE", help="for the model (%(default)s)")
    given = parser.parse_args()

    task = Classification(read(given.paths) or made())
    print(f"{task.about}; {task.dev_rows} others score it, of which the majority is {task.naive:.3f}")
    trainer = Trainer(task.model(seed=0), Adam(0.003), clip=1.0)
    batches = task.batches(epochs=given.epochs)
    best = trio.run(partial(train_epochs, trainer, batches, task.score, on_epoch=say))
    task.trained(trainer.model).save(given.out)
    print(f"{given.out}: epoch {best.epoch}, accuracy {best.score:.3f}")


if __name__ == "__main__":
    main()
