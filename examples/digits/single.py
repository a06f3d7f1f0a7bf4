"""Which digit a recording is: a model that reads all of it, and then says one class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trio

from recurrio.core import (
    Adam,
    CrossEntropyLoss,
    SequenceModel,
    StepLR,
    load_weights,
    log_mel,
    normalise_utterance,
    save_weights,
)
from recurrio.pipeline import BestEpoch, RaggedBatches, Recordings, Trainer, train_epochs

BATCH, LR = 36, 0.003


def features(recordings: Recordings) -> list[np.ndarray]:
    """What is read of each: ``(T, 40)``, a frame every 10 ms."""
    return [normalise_utterance(log_mel(samples, recordings.rate)) for samples in recordings.samples]


class SingleDigits:
    """A `model` of recordings of a `rate`, and its `classes`."""

    def __init__(self, model: SequenceModel, classes: list[str], rate: int) -> None:
        self.model, self.classes, self.rate = model, classes, rate

    def say(self, recordings: Recordings) -> list[tuple[str, float]]:
        """The digit that each recording is, and its probability."""
        said = []
        for frames in features(recordings):
            outputs, _ = self.model(frames[:, None])
            odds = np.exp(outputs[0, 0] - outputs.max())
            said.append((self.classes[odds.argmax()], float(odds.max() / odds.sum())))
        return said

    def score(self, recordings: Recordings) -> float:
        """The accuracy."""
        said = self.say(recordings)
        return float(np.mean([digit == text for (digit, _), text in zip(said, recordings.texts, strict=True)]))

    def save(self, path: Path) -> None:
        """Write the weights, and all that gives them a meaning."""
        about = {"model": self.model.config, "classes": self.classes, "rate": self.rate}
        save_weights(path, self.model.state_dict(), {name: json.dumps(value) for name, value in about.items()})

    @classmethod
    def load(cls, path: Path) -> SingleDigits:
        """Read what `save` wrote."""
        weights, about = load_weights(path)
        model = SequenceModel.from_config(json.loads(about["model"]))
        model.load_state_dict(weights)
        return cls(model, json.loads(about["classes"]), json.loads(about["rate"]))


def train_single(
    train: Recordings, dev: Recordings, *, output: str = "mean", hidden: int = 64, epochs: int = 25, seed: int = 0
) -> tuple[SingleDigits, BestEpoch]:
    """Train on `train`; the model after the best epoch, by the accuracy on `dev`."""
    classes = sorted(set(train.texts))
    sizes = {"input_size": 40, "hidden_size": hidden, "output_size": len(classes)}
    model = SequenceModel(**sizes, output=output, loss=CrossEntropyLoss(), seed=seed)
    targets = np.array([classes.index(text) for text in train.texts])
    batches = RaggedBatches(features(train), targets, BATCH, epochs=epochs, seed=seed)
    schedule = StepLR(LR, step_size=epochs * batches.per_epoch * 3 // 4, gamma=0.2)
    trainer = Trainer(model, Adam(LR), clip=1.0, schedule=schedule)
    best = trio.run(train_epochs, trainer, batches, lambda model: SingleDigits(model, classes, train.rate).score(dev))
    return SingleDigits(model, classes, train.rate), best
