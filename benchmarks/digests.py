"""The SHA-256 of the weights after many short runs: print it before and after a change that is to change no bit.

    python benchmarks/digests.py > before.txt    # then the change
    python benchmarks/digests.py | diff before.txt -

One line a run: its settings, and the digest of its weights and losses. The runs go over cells × shards × delay × ranks
× executors × optimizers × schedules × dropout × resets × lengths × kinds of outputs, with the compiled kernels and, in
a process of its own, without. They use public names alone, so the same script runs on both sides of a change. The last
bits depend on NumPy, its BLAS and the processor: compare on one machine.
"""

# ruff: noqa: E402 (the kernels are hidden before the imports)

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import trio

PLAIN = "--without-kernels"
if PLAIN in sys.argv:
    sys.modules["recurrio.core._kernels"] = None  # type: ignore[assignment] # to Python, a module that is not there

from recurrio.core import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BCEWithLogitsLoss,
    ConstantLR,
    CosineLR,
    CrossEntropyLoss,
    HuberLoss,
    MSELoss,
    PlateauLR,
    RMSprop,
    SequenceBatch,
    SequenceModel,
    StepLR,
)
from recurrio.core.serial import train
from recurrio.pipeline import Trainer, fit

T, B, RUNS, STEPS = 7, 6, 96, 6
CELLS = ("lstm", "gru", "rnn", "rnn_relu", "rnn_sigmoid")
OPTIMIZERS = {
    "adam": lambda: Adam(0.01, weight_decay=0.01),
    "sgd": lambda: SGD(0.1),
    "nesterov": lambda: SGD(0.05, momentum=0.9, nesterov=True),
    "adagrad": lambda: Adagrad(0.05, lr_decay=0.1),
    "rmsprop": lambda: RMSprop(0.005, momentum=0.5, centered=True),
    "adamw": lambda: AdamW(0.01),
}
SCHEDULES = {
    "none": lambda: None,
    "constant": lambda: ConstantLR(0.02),
    "step": lambda: StepLR(0.05, 2, 0.5),
    "cosine": lambda: CosineLR(0.05, 5, 2),
    "plateau": lambda: PlateauLR(0.05, 0.5, 0),
}
MODELS: dict[str, dict[str, Any]] = {
    "tokens": {"vocabulary_size": 11, "embedding_size": 8},
    "wide tokens": {"vocabulary_size": 90, "embedding_size": 5, "loss": CrossEntropyLoss(label_smoothing=0.1)},
    "features": {"input_size": 4, "output_size": 2, "loss": MSELoss()},
    "last": {"input_size": 4, "output_size": 3, "output": "last", "loss": HuberLoss(0.5)},
    "mean": {"vocabulary_size": 11, "embedding_size": 8, "output_size": 1, "output": "mean",
             "loss": BCEWithLogitsLoss()},
    "both ways": {"input_size": 4, "output_size": 2, "bidirectional": True},
}  # fmt: skip
EXECUTORS = ("serial", "inline", "thread", "process")


def batches(model: SequenceModel, kind: str, masks: str, rng: np.random.Generator) -> list[SequenceBatch]:
    """`STEPS` batches for a model of this `kind`."""
    made = []
    for number in range(STEPS):
        tokens = "vocabulary_size" in MODELS[kind]
        size = MODELS[kind].get("vocabulary_size", 4)
        inputs = rng.integers(0, size, (T, B)) if tokens else rng.standard_normal((T, B, size)).astype(model.dtype)
        steps = 1 if kind in ("last", "mean") else T
        if kind in ("tokens", "wide tokens"):
            targets = rng.integers(0, size, (T, B))
        else:
            targets = rng.random((steps, B, MODELS[kind]["output_size"])).astype(model.dtype)
        reset = rng.random((T, B)) < 0.2 if masks in ("resets", "all") else number == 0
        lengths = rng.integers(0, T + 1, B) if masks in ("lengths", "all") else None
        made.append(SequenceBatch(inputs, targets, reset, lengths))
    return made


def digest(*arrays: np.ndarray) -> str:
    """Of the bytes of `arrays`, shortened."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def run(number: int) -> str:
    """One run, whose settings follow from its `number` alone."""
    rng = np.random.default_rng(number)

    def pick(options: Any) -> Any:  # noqa: ANN401 (a sequence of any things)
        return list(options)[rng.integers(len(options))]

    cell, kind = CELLS[number % 5], list(MODELS)[number // 5 % 6]
    executor = EXECUTORS[number % 4]
    if executor == "process" and PLAIN in sys.argv:
        executor = "inline"  # a process of its own would find the kernels
    optimizer, schedule = pick(OPTIMIZERS), pick(SCHEDULES)
    shards, delay, ranks = int(pick((1, 2, 3))), int(pick((0, 1, 2))), int(pick((1, 2)))
    masks, dropout, layers = pick(("none", "resets", "lengths", "all")), pick((0.0, 0.3)), int(pick((1, 2)))
    dtype, clip, bias = pick(("float32", "float32", "float64")), pick((None, 0.5)), bool(pick((True, True, False)))
    proj_size = 3 if cell == "lstm" and pick((False, False, True)) else 0
    ranks = 1 if proj_size else ranks
    model = SequenceModel(
        **MODELS[kind], hidden_size=10, num_layers=layers, cell=cell, dropout=dropout, dtype=dtype, bias=bias,
        proj_size=proj_size, seed=number,
    )  # fmt: skip
    data, losses = batches(model, kind, masks, rng), list[float]()
    options = {"clip": clip, "schedule": SCHEDULES[schedule](), "shards": shards, "delay": delay, "ranks": ranks}
    if executor == "serial":
        losses += [step.loss for step in train(model, OPTIMIZERS[optimizer](), data, seed=number, **options)]
    else:
        trainer = Trainer(model, OPTIMIZERS[optimizer](), executor=executor, seed=number, **options)
        trio.run(lambda: trainer.run(data, on_report=lambda report: losses.append(report.loss)))
    said = (
        f"{cell:11} {kind:11} {executor:7} {optimizer:8} {schedule:8} shards {shards} delay {delay} ranks {ranks} "
        f"masks {masks:7} dropout {dropout} layers {layers} {dtype} clip {clip} bias {bias} proj {proj_size}"
    )
    return f"{number:3} {said}: {digest(model.parameters, np.array(losses))}"


def layer(make: Any, number: int) -> str:  # noqa: ANN401 (the class of a layer)
    """A layer forward, backward and step by step."""
    rng = np.random.default_rng(number)
    one = make(5, 9, num_layers=2, bidirectional=number % 2 == 1, seed=number)
    x = rng.standard_normal((T, B, 5)).astype(np.float32)
    output, state, tape = one.forward(x, lengths=rng.integers(0, T + 1, B), reset=rng.random((T, B)) < 0.2)
    d_x, _, gradients = one.backward(tape, np.ones_like(output))
    parts = [output, *(state if isinstance(state, tuple) else (state,)), d_x, *gradients.values()]
    if number % 2 == 0:
        parts.append(one.step(x[0])[0])
    return f"    {make.__name__} {number}: {digest(*parts)}"


def text(vocabulary: str, number: int) -> str:
    """`fit` on a file with characters of one to four bytes, twice over."""
    rng = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("".join(rng.choice(list("abc de\né中𝄞"), 900)), encoding="utf-8")
        options = {"hidden_size": 8, "embedding_size": 4, "batch_size": 5, "seq_len": 9, "executor": "inline"}
        model = fit(path, vocabulary=vocabulary, epochs=2, delay=number, seed=number, **options).model
    return f"    text {vocabulary} {number}: {digest(model.parameters)}"


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(PLAIN, action="store_true", help="these alone")
    plain = parser.parse_args().without_kernels
    print("without kernels" if plain else "with kernels", flush=True)
    for number in range(RUNS):
        print(run(number), flush=True)
    for number, make in enumerate((LSTM, LSTM, GRU, GRU, RNN, RNN)):
        print(layer(make, number), flush=True)
    for number, vocabulary in enumerate(("chars", "bytes", "chars", "bytes")):
        print(text(vocabulary, number), flush=True)
    if not plain:
        subprocess.run([sys.executable, __file__, PLAIN], check=True)


if __name__ == "__main__":
    main()
