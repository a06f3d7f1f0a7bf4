"""To remember one symbol for a hundred steps, which an LSTM and a GRU learn, and a plain RNN does not.

The first symbol of a sequence is one of four. Up to 99 others follow, which say nothing, and then the first one is to
be said. What is learned of it has to come back through all the steps between: each multiplies the gradient by the
derivative of one state by the one before. In a plain RNN that shrinks it every time. A gate that is open passes the
state on as it is; so the LSTM and the GRU, whose gates are half open at first, learn from short sequences to keep them
open, and then the gradient is there at any distance. The RNN finds one symbol that it can hold, by such luck alone.

Run it with ``python examples/long_memory.py``; it takes less than half a minute. ``--picture FILE.svg`` draws what it
prints.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trio

from recurrio.core import GRU, LSTM, RNN, Adam, SequenceModel
from recurrio.pipeline import FreshBatches, Trainer

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
COLOURS = {"rnn": "#d55e00", "lstm": "#0072b2", "gru": "#009e73"}  # of Okabe and Ito, which everybody can tell apart
SYMBOLS, EMBEDDING, HIDDEN = 4, 8, 32
SEQUENCES, BATCH = 640, 64  # of an epoch, and of a batch
ASKED = 200  # sequences of each distance


class Memory(NamedTuple):
    """How far a model remembers: of some distances the share of the gradient that comes so far, and the accuracy."""

    gradient: list[float]
    accuracy: list[float]


def sequences(rng: np.random.Generator, lengths: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of these lengths, and the symbol that each begins with."""
    first = rng.integers(SYMBOLS, size=len(lengths))
    others = [rng.integers(SYMBOLS, 2 * SYMBOLS, length - 1) for length in lengths]
    return [np.append(symbol, rest) for symbol, rest in zip(first, others, strict=True)], first


def remember(model: SequenceModel, distances: list[int]) -> Memory:
    """Ask `model` for the symbol so many steps back, and follow the gradient of that step's loss back to it.

    It is the norm of the gradient by the embedded symbol, over that by the last state: 1 where all of it comes.
    """
    weights = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    layer = CELLS[model.config["cell"]](EMBEDDING, HIDDEN, dtype=np.float64)
    layer.load_state_dict({name[4:]: array for name, array in weights.items() if name.startswith("rnn.")})
    memory, rng = Memory([], []), np.random.default_rng(1)
    for distance in distances:
        inputs, first = sequences(rng, np.full(ASKED, distance))
        outputs, _, tape = layer.forward(weights["embedding.weight"][np.stack(inputs, axis=1)])
        logits = outputs[-1] @ weights["head.weight"].T + weights["head.bias"]
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        d_outputs = np.zeros_like(outputs)
        d_outputs[-1] = (probabilities - np.eye(SYMBOLS)[first]) @ weights["head.weight"]
        d_inputs, _, _ = layer.backward(tape, d_outputs)
        memory.gradient.append(float(np.linalg.norm(d_inputs[0]) / np.linalg.norm(d_outputs[-1])))
        memory.accuracy.append(float(np.mean(logits.argmax(axis=1) == first)))
    return memory


def train(model: SequenceModel, longest: int, epochs: int) -> np.ndarray:
    """Train on fresh sequences of up to `longest` steps; the loss of each epoch."""

    def make(epoch: int) -> tuple[list[np.ndarray], np.ndarray]:
        rng = np.random.default_rng(epoch)
        return sequences(rng, rng.integers(1, longest + 1, SEQUENCES))

    losses: list[float] = []
    batches = FreshBatches(make, BATCH, longest=longest, epochs=epochs)
    trainer = Trainer(model, Adam(0.01), clip=1.0)
    trio.run(lambda: trainer.run(batches, on_report=lambda report: losses.append(report.loss)))
    return np.reshape(losses, (epochs, -1)).mean(axis=1)


def draw(distances: list[int], found: dict[str, tuple[Memory, Memory, np.ndarray]], path: Path) -> None:
    """Write a picture of what was found: the gradients, before (dashed) and after; the loss; the accuracy."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "recurrio", "font.size": 9}):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        gradients, curve, accuracy = figure.subplots(1, 3)
        for cell, (before, after, losses) in found.items():
            about = {"label": cell, "color": COLOURS[cell]}
            gradients.semilogy(distances, before.gradient, ls="--", color=COLOURS[cell])
            gradients.semilogy(distances, after.gradient, **about)
            curve.plot(range(1, len(losses) + 1), losses, **about)
            accuracy.plot(distances, after.accuracy, lw=4 if cell == "lstm" else 1.5, **about)
        gradients.set(title="Gradient (- - before training)", xlabel="steps back", ylim=(1e-20, 10))
        curve.set(title="Loss", xlabel="epochs", ylim=(0, None))
        accuracy.set(title="Accuracy after training", xlabel="steps back", ylim=(0, 1.04))
        accuracy.axhline(1 / SYMBOLS, color="#999", lw=0.8)
        curve.legend()
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Train a model of each cell; print, and draw, what it remembers before and after."""
    parser = argparse.ArgumentParser(description="How far back an RNN, an LSTM and a GRU remember.")
    parser.add_argument("--longest", type=int, default=100, help="steps of the longest sequence (100)")
    parser.add_argument("--epochs", type=int, default=40, help="each of 640 sequences (40)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw it")
    options = parser.parse_args()
    distances = sorted({1, *range(5, options.longest + 1, 5)})
    shown = [place for place, distance in enumerate(distances) if distance == 1 or distance % 20 == 0]
    print(" " * 22 + "".join(f"{distances[place]:>9}" for place in shown) + "  steps back")
    found = {}
    for cell in CELLS:
        sizes = {"embedding_size": EMBEDDING, "hidden_size": HIDDEN, "output_size": SYMBOLS}
        model = SequenceModel(2 * SYMBOLS, cell=cell, output="last", seed=0, **sizes)
        before = remember(model, distances)
        losses = train(model, options.longest, options.epochs)
        after = remember(model, distances)
        found[cell] = before, after, losses
        rows = {"gradient before": before.gradient, "gradient after": after.gradient, "accuracy": after.accuracy}
        for name, row in rows.items():
            values = "".join(f"{row[place]:>9.1e}" if "gradient" in name else f"{row[place]:>9.2f}" for place in shown)
            print(f"{cell:5}{name:17}{values}")
        print(f"{cell:5}loss {losses[0]:.3f} → {losses[-1]:.3f}")
    if options.picture:
        draw(distances, found, options.picture)


if __name__ == "__main__":
    main()
