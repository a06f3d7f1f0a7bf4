"""How good the tasks are: public files, ours beside PyTorch, where that is installed, and beside naive answers.

    python benchmarks/accuracy_tasks.py FOLDER

The files are looked for in FOLDER and below; where one is missing, a line says what is in it and where it comes from.
Every tenth row is not trained on; the score of the best epoch on those rows counts. "ours" is what comes out where
nothing is set but the columns; "as PyTorch" has the sizes, the learning rates and the epochs of "PyTorch", which were
found to be good for it. Both begin with the same parameters and see the same batches. For each the median of the
seeds, the lowest and the highest.

The recordings of digits are scored by the first five takes of each speaker, and not by every tenth row.

The naive answers are the commonest class, and naive Bayes by which symbols are in a text; of translations, the
sentences left as they are; of strings, silence. BLEU is sacrebleu's, in lower case, with a space between any two words
or marks.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import sacrebleu
import trio
from task_recipes import FILES, ROWS, Recipe, Row

from recurrio.core import Adam
from recurrio.core.text.vocabularies import learn_vocabulary, words_of
from recurrio.pipeline import SourceError, Trainer, train_epochs

WHO = ["ours", "as PyTorch", "PyTorch"]
Pairs = Sequence[tuple[Any, ...]]


def column(rows: Pairs, place: int) -> list[Any]:
    """One of the columns."""
    return [row[place] for row in rows]


def bleu(written: Sequence[str], wanted: Sequence[str]) -> float:
    """sacrebleu's, of texts cut as ours are."""
    cut = [[" ".join(words_of(text)) for text in texts] for texts in (written, wanted)]
    return float(sacrebleu.corpus_bleu(cut[0], [cut[1]], tokenize="none", lowercase=True, force=True).score)


def naive_bayes(rows: Pairs, dev: Pairs) -> float:
    """The accuracy of the likeliest class by which symbols are there, as if none knew of the others."""
    vocabulary = learn_vocabulary([text for text, _ in rows], None)
    classes = sorted({label for _, label in rows})
    counts, seen = np.zeros(len(classes)), np.zeros((len(classes), len(vocabulary)))
    for text, label in rows:
        counts[classes.index(label)] += 1
        seen[classes.index(label), np.unique(vocabulary.encode(text))] += 1
    seen[:, 0] = 0  # what is not known says nothing
    scores = np.log((seen + 1) / (seen + 1).sum(axis=1, keepdims=True))
    right = 0
    for text, label in dev:
        symbols = np.unique(vocabulary.encode(text))
        right += classes[(np.log(counts) + scores[:, symbols[symbols > 0]].sum(axis=1)).argmax()] == label
    return right / len(dev)


def ours(task: Any, recipe: Recipe, seed: int, score: Any) -> float:  # noqa: ANN401 (a task; a function of its model)
    """The best score of the epochs."""
    batches = task.batches(recipe.batch_size, epochs=recipe.epochs, seed=seed)
    model = task.model(**recipe.model, seed=seed)
    schedule = recipe.schedule(batches.per_epoch)
    running: dict[str, Any] = {"shards": recipe.shards, "executor": "inline", "seed": seed}
    trainer = Trainer(model, Adam(recipe.lr), clip=1.0, schedule=schedule, **running)
    return trio.run(train_epochs, trainer, batches, score).score


def theirs(task: Any, recipe: Recipe, seed: int, dev: Pairs) -> float:  # noqa: ANN401 (a task)
    """The same in PyTorch."""
    import torch_tasks

    def score(net: Any) -> float:  # noqa: ANN401 (a module)
        if isinstance(net, torch_tasks.EncoderDecoder):
            return bleu(torch_tasks.translate(net, task, column(dev, 0)), column(dev, 1))
        return float(task.score(net.outputs))

    return torch_tasks.train(task, recipe, seed, score)


def score_of(row: Row, path: Path, who: str, seed: int) -> float:
    """What one of them reaches with this seed."""
    train, dev = row.parts(path)
    task = row.opened(train, dev, own=who == "ours")
    if who == "PyTorch":
        return theirs(task, row.peer, seed, dev)

    def score(model: Any) -> float:  # noqa: ANN401 (that of the task)
        if row.task != "translate":
            return float(task.score(model))
        return bleu([each.text for each in task.trained(model).translate(column(dev, 0))], column(dev, 1))

    return ours(task, row.own if who == "ours" else row.peer, seed, score)


def naive(row: Row, path: Path) -> list[float]:
    """The scores of those who have learned nothing, or little."""
    train, dev = row.parts(path)
    if row.task == "translate":
        return [bleu(column(dev, 0), column(dev, 1))]
    if row.task == "classify":
        return [row.opened(train, dev, own=True).naive, naive_bayes(train, dev)]
    counts = Counter(dev.texts)  # the commonest digit; of strings none, which is all wrong
    return [counts[Counter(train.texts).most_common(1)[0][0]] / counts.total() if row.measure == "accuracy" else 0.0]


def find(row: Row, folder: Path) -> Path | None:
    """Its file, in the folder or below; None where there is none with these columns."""
    for path in sorted(folder.rglob(row.file)):
        try:
            row.parts(path)
        except SourceError:
            continue
        return path
    return None


def cell(row: Row, scores: Sequence[float]) -> str:
    """The median, the lowest and the highest."""
    low, middle, high = (said(row, value) for value in sorted((min(scores), median(scores), max(scores))))
    return f"{middle} ({low}–{high})" if row.measure != "error rate" else f"{middle} ({high}–{low})"


def said(row: Row, score: float) -> str:
    """A score as it is called."""
    digits = 2 if row.measure == "BLEU" else 3
    return f"{1 - score if row.measure == 'error rate' else score:.{digits}f}"


def main() -> int:
    """Print a line for each row, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files are, themselves or in folders")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", choices=names, action="append", metavar="ROW", help=f"{'; '.join(names)} (all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (one a processor)")
    options = parser.parse_args()
    wanted = [row for row in ROWS if options.only is None or row.name in options.only]
    found = [(row, path) for row in wanted if (path := find(row, options.folder)) is not None]
    for file in dict.fromkeys(row.file for row in wanted):
        if all(row.file != file for row, _ in found):
            print("not there: {} with {}; from {}".format(file, *FILES[file]))
    if not found:
        return 1
    who = WHO
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: pip install torch, or make .venv/.bench")
        who = WHO[:-1]
    print(f"{'row':22} {'measure':10} {'naive':12} " + " ".join(f"{name:22}" for name in who))
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        submit, runs = partial(pool.submit, score_of), list[tuple[Row, Path, list[list[Future[float]]]]]()
        for row, path in found:
            scores = {name: [submit(row, path, name, seed) for seed in range(options.seeds)] for name in who}
            runs.append((row, path, [*scores.values()]))
        for row, path, scores in runs:
            others = " ".join(said(row, value) for value in naive(row, path))
            cells = " ".join(f"{cell(row, [each.result() for each in some]):22}" for some in scores)
            print(f"{row.name:22} {row.measure:10} {others:12} {cells}".rstrip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
