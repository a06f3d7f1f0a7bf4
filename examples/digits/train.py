"""Train a model of spoken digits on a folder of recordings ``DIGIT_SPEAKER_TAKE.wav``.

After ``python examples/digits/train.py single FOLDER`` a model says which digit a recording is; with ``strings`` in
place of ``single`` it writes down strings of them, and with ``stream`` it does so while they come. Each takes a minute
or so, and writes a file, ``single.safetensors`` and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import trio
from single import train_single
from strings import read_takes, speaker_and_take, string_batches, string_task

from recurrio.core import Adam, StepLR, Transcriber
from recurrio.pipeline import BestEpoch, Recordings, Report, Trainer, train_epochs


def train_strings(
    train: Recordings,
    dev: Recordings,
    *,
    streaming: bool = False,
    epochs: int = 25,
    lr: float = 0.004,
    seed: int = 0,
    **options: Any,  # noqa: ANN401 (of the model)
) -> tuple[Transcriber, BestEpoch]:
    """Train on fresh strings of the digits in `train`; what is after the best epoch, by the error rate on `dev`.

    If `streaming`, it reads nothing that comes later; `options` are those of the model.
    """
    task = string_task(train, dev, streaming=streaming)
    batches = string_batches(task, train, epochs=epochs, seed=seed)
    schedule = StepLR(lr, step_size=epochs * batches.per_epoch * 3 // 4, gamma=0.2)
    trainer = Trainer(task.model(seed=seed, **options), Adam(lr), clip=1.0, schedule=schedule)

    def say(report: Report, best: BestEpoch) -> None:
        epoch, wrong = len(best.scores), 1 - best.scores[-1]
        print(f"epoch {epoch:>2}: loss {report.loss:.3f}, {wrong:.3f} digits in error", flush=True)

    best = trio.run(lambda: train_epochs(trainer, batches, task.score, on_epoch=say))
    return task.trained(trainer.model), best


def main() -> None:
    """Train on all but the first takes, and say how good the model is on these."""
    parser = argparse.ArgumentParser(description="Train a model of spoken digits.")
    parser.add_argument("kind", choices=("single", "strings", "stream"))
    parser.add_argument("folder", type=Path, help="of DIGIT_SPEAKER_TAKE.wav")
    parser.add_argument("--epochs", type=int, default=25, help="(25)")
    parser.add_argument("--hidden", type=int, default=64, help="units (64)")
    parser.add_argument("--lr", type=float, default=0.004, help="learning rate of strings (0.004)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    options = parser.parse_args()
    train, dev = read_takes(options.folder)
    print(f"{len(train.samples)} recordings to be trained on, {len(dev.samples)} of the first takes to score by")
    given = {"epochs": options.epochs, "seed": options.seed}
    if options.kind == "single":
        kept, best = train_single(train, dev, hidden=options.hidden, **given)
        said = [digit == text for (digit, _), text in zip(kept.say(dev), dev.texts, strict=True)]
        takes = [speaker_and_take(name)[1] for name in dev.names]
        for take in sorted(set(takes)):
            right = [hit for hit, of in zip(said, takes, strict=True) if of == take]
            print(f"take {take}: accuracy {sum(right) / len(right):.3f}")
        print(f"epoch {best.epoch} is the best: accuracy {best.score:.3f}")
    else:
        streaming = options.kind == "stream"
        kept, best = train_strings(train, dev, streaming=streaming, hidden_size=options.hidden, lr=options.lr, **given)
        print(f"epoch {best.epoch} is the best: {1 - best.score:.3f} digits in error")
    kept.save(Path(f"{options.kind}.safetensors"))
    print(f"wrote {options.kind}.safetensors")


if __name__ == "__main__":
    main()
