"""Learn to translate from sentences that stand beside their translations, and write the model to a file.

Run ``python examples/translate/train.py pairs.tsv``, with a TSV or CSV file that has the columns en and fr, or say
which ones it has, as ``--source de --target it``. Without a file it learns from a few sentences of its own.
"""

from __future__ import annotations

import argparse
from functools import partial
from random import Random

import trio

from recurrio.core import Adam, StepLR
from recurrio.pipeline import BestEpoch, Report, Trainer, Translation, read_table, train_epochs

WHO = {"I see": "je vois", "she has": "elle a", "we want": "nous voulons"}
WHAT = {"a cat": "un chat", "a house": "une maison", "water": "de l'eau", "bread": "du pain"}
HOW = {"big": "grand", "red": "rouge", "good": "bon"}


def made(count: int = 400) -> list[tuple[str, ...]]:
    """Sentences whose adjective comes first in one language and last in the other, the same each time."""
    random, rows = Random(0), list[tuple[str, ...]]()
    for _ in range(count):
        who, what, how = (random.choice([*words]) for words in (WHO, WHAT, HOW))
        article, _, noun = what.rpartition(" ")
        rows.append((f"{who} {article} {how} {noun}.", f"{WHO[who]} {WHAT[what]} {HOW[how]}."))
    return rows


def read(path: str, columns: tuple[str, str]) -> list[tuple[str, ...]]:
    """The rows of a file."""
    table = read_table(path, columns)
    print(f"{path}: {len(table.rows):,} rows, and {len(table.rejects)} that cannot be used")
    return table.rows


def say(report: Report, best: BestEpoch) -> None:
    """Say how good the model is after an epoch."""
    print(f"epoch {len(best.scores)}: BLEU {best.scores[-1]:.1f}")


def main() -> None:
    """Train, and keep the best epoch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="?", metavar="FILE", help="a table of sentences")
    parser.add_argument("--source", default="en", metavar="NAME", help="the column of what is read (%(default)s)")
    parser.add_argument("--target", default="fr", metavar="NAME", help="that of what is written (%(default)s)")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="times over the file (%(default)s)")
    parser.add_argument("--out", default="translate.safetensors", metavar="FILE", help="for the model (%(default)s)")
    given = parser.parse_args()

    task = Translation(read(given.path, (given.source, given.target)) if given.path else made())
    print(f"{task.about}; {task.dev_rows} others score it, whose BLEU untranslated is {task.naive:.1f}")
    batches = task.batches(epochs=given.epochs)
    schedule = StepLR(0.002, step_size=max(1, 3 * given.epochs // 4) * batches.per_epoch, gamma=0.25)
    trainer = Trainer(task.model(seed=0), Adam(0.002), clip=1.0, schedule=schedule, shards=2)
    best = trio.run(partial(train_epochs, trainer, batches, task.score, on_epoch=say))
    task.trained(trainer.model).save(given.out)
    print(f"{given.out}: epoch {best.epoch}, BLEU {best.score:.1f}")


if __name__ == "__main__":
    main()
