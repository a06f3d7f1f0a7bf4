"""Every gradient against directional derivatives in float64, and planted errors that the check catches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.labels import draw_labels
from support.layers import LAYERS

from recurrio.core import (
    ArgumentError,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    CTCLoss,
    Embedding,
    HuberLoss,
    Linear,
    MSELoss,
    SequenceBatch,
    SequenceModel,
)
from recurrio.core.cells.loop import Loop
from recurrio.core.cells.table import CELLS
from recurrio.core.gradcheck import directional_error
from recurrio.core.model.heads import HEADS

T, B, I, H = 7, 3, 4, 5
LIMIT = 1e-6
STEPS_OF = {"rnn_relu": 1e-6, "max": 1e-6}  # so small that no unit passes its bend, and the maximum stays where it is

OPTIONS = {
    "plain": {},
    "deep": {"num_layers": 3},
    "no bias": {"num_layers": 2, "bias": False},
    "two directions": {"num_layers": 2, "bidirectional": True},
    "batch first": {"batch_first": True},
    "widths": {"hidden_size": [5, 3, 4], "num_layers": 3},
    "dropout": {"num_layers": 2, "dropout": 0.4},
}
MASKS = {
    "whole": {},
    "lengths": {"lengths": np.array([3, 7, 0])},
    "reset": {"reset": np.random.default_rng(5).random((T, B)) < 0.3},
    "both": {"lengths": np.array([7, 5, 2]), "reset": np.random.default_rng(6).random((T, B)) < 0.3},
}


def flat_parts(state: Any) -> list[np.ndarray]:  # noqa: ANN401 (an array, a list or a pair of them)
    return [state] if isinstance(state, np.ndarray) else [array for part in state for array in flat_parts(part)]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", LAYERS)
def test_every_gradient_of_a_layer(cell: str, options: str, masks: str) -> None:
    layer = LAYERS[cell](I, **{"hidden_size": H, **OPTIONS[options]}, dtype="float64", seed=1)
    rng = np.random.default_rng(2)
    arguments = dict(MASKS[masks])
    if layer.batch_first and "reset" in arguments:
        arguments["reset"] = arguments["reset"].T
    x = rng.standard_normal((B, T, I) if layer.batch_first else (T, B, I))
    _, state, _ = layer.forward(x)
    starts = flat_parts(state)
    for start in starts:
        start[...] = rng.standard_normal(start.shape)
    output, after, _ = layer.forward(x, state, **arguments)
    d_output = rng.standard_normal(output.shape)
    d_after = [rng.standard_normal(part.shape) for part in flat_parts(after)]

    def run() -> tuple[float, Any]:
        output, after, tape = layer.forward(x, state, **arguments, rng=np.random.default_rng(3))
        parts = zip(flat_parts(after), d_after, strict=True)
        return float((output * d_output).sum() + sum((part * d_part).sum() for part, d_part in parts)), tape

    _, tape = run()
    d_state = type(after)(*_shaped(after, d_after)) if isinstance(after, tuple) else _shaped(after, d_after)
    d_x, d_start, gradients = layer.backward(tape, d_output, d_state)
    flat = layer.flatten(gradients)
    checked = [(x, d_x), *zip(starts, flat_parts(d_start), strict=True)]
    views, d_views = layer.layout.views(layer.parameters), layer.layout.views(flat)
    checked += [(views[name], d_views[name]) for name in views]
    step = STEPS_OF.get(cell, 1e-3)
    for array, gradient in checked:
        assert directional_error(lambda: run()[0], array, gradient, rng=rng, step=step) < LIMIT


def _shaped(like: Any, parts: list[np.ndarray]) -> Any:  # noqa: ANN401
    """`parts` in the structure of `like`."""
    remaining = iter(parts)

    def build(value: Any) -> Any:  # noqa: ANN401
        return next(remaining) if isinstance(value, np.ndarray) else [build(part) for part in value]

    return build(like)


MODELS = {
    "folded": {"vocabulary_size": 6},
    "looked up": {"vocabulary_size": 40},
    "features": {"input_size": 3, "output_size": 2},
    "dropped": {"vocabulary_size": 6, "embedding_dropout": 0.3, "output_dropout": 0.4},
}
INSIDE: dict[str, dict[str, Any]] = {  # what comes into the steps of a cell
    "normalised": {"layer_norm": True},
    "zoned out": {"zoneout": 0.3},
    "both": {"layer_norm": True, "zoneout": 0.3, "bias": False},
    "deep": {"layer_norm": True, "zoneout": 0.3, "num_layers": 2, "bidirectional": True, "dropout": 0.3},
}
LOSSES = {
    "cross-entropy": CrossEntropyLoss(),
    "summed": CrossEntropyLoss(reduction="sum"),
    "weighted": CrossEntropyLoss(weight=(0.5, 2.0, 1.0, 0.1, 3.0, 1.0), ignore_index=2, label_smoothing=0.1),
    "squares": MSELoss(),
    "huber": HuberLoss(delta=0.7),
    "binary": BCEWithLogitsLoss(),
    "ctc": CTCLoss(blank=2),
}


def make_batch(model: SequenceModel, masks: str) -> SequenceBatch:
    rng = np.random.default_rng(0)
    network, masked = model.network, MASKS[masks]
    shape = (network.head.target_steps(T), B)
    if model.vocabulary_size is None:
        inputs = rng.standard_normal((T, B, network.stack.sizes[0].input_size))
    else:
        inputs = rng.integers(0, model.vocabulary_size, (T, B))
    if isinstance(network.loss, CrossEntropyLoss):
        targets = rng.integers(0, network.output_size, shape)
    elif isinstance(network.loss, CTCLoss):
        targets = draw_labels(rng, 3, B, network.output_size, network.loss.blank)
    else:
        targets = rng.random((*shape, network.output_size)) * 2 - 0.5
    return SequenceBatch(inputs, targets, masked.get("reset", False), masked.get("lengths"))


def worst_of_model(model: SequenceModel, batch: SequenceBatch, *, draws: bool = True) -> float:
    rng = np.random.default_rng(7)
    state = model.initial_state(B)
    for part in state:
        for array in part:
            array[...] = rng.standard_normal(array.shape) * 0.5

    def run() -> tuple[float, np.ndarray, object]:
        return model.gradient(batch, state, rng=np.random.default_rng(3) if draws else None)

    views, d_views = model.layout.views(model.parameters), model.layout.views(run()[1])
    step = min(STEPS_OF.get(model.config[name], 1e-3) for name in ("cell", "output"))
    if model.config["layer_norm"]:  # what it divides by is small where units agree
        step = min(step, 1e-4)
    return max(directional_error(lambda: run()[0], views[name], d_views[name], rng=rng, step=step) for name in views)


@pytest.mark.parametrize("masks", ["whole", "both"])
@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "dropout": 0.3}, {"bias": False}])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_gradient_of_a_model(cell: str, kind: str, options: dict[str, Any], output: str, masks: str) -> None:
    model = SequenceModel(
        **MODELS[kind], cell=cell, embedding_size=4, hidden_size=5, output=output, **options, dtype="float64", seed=1
    )
    assert worst_of_model(model, make_batch(model, masks)) < LIMIT


INSIDE_CASES = [
    (cell, proj_size, options, kind)
    for cell, proj_size in [*((cell, 0) for cell in CELLS), ("lstm", 2)]
    for options in INSIDE
    for kind in ("folded", "features")
    if CELLS[cell].normalises or "layer_norm" not in INSIDE[options]
]


@pytest.mark.parametrize(("draws", "masks"), [(True, "whole"), (True, "both"), (False, "both")])
@pytest.mark.parametrize(("cell", "proj_size", "options", "kind"), INSIDE_CASES)
def test_every_gradient_of_a_model_with_normalisation_and_zoneout(
    cell: str, proj_size: int, options: str, kind: str, draws: bool, masks: str
) -> None:
    sizes = {"embedding_size": 4, "hidden_size": 5, "proj_size": proj_size}
    model = SequenceModel(**MODELS[kind], **sizes, cell=cell, **INSIDE[options], dtype="float64", seed=1)
    for name, array in model.layout.views(model.parameters).items():
        if name.endswith(".norm"):
            array += np.random.default_rng(4).standard_normal(array.shape) * 0.3
    assert worst_of_model(model, make_batch(model, masks), draws=draws) < LIMIT


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss: str, masks: str) -> None:
    model = SequenceModel(input_size=3, hidden_size=5, output_size=6, loss=LOSSES[loss], dtype="float64", seed=1)
    assert worst_of_model(model, make_batch(model, masks)) < LIMIT


def test_linear_and_embedding() -> None:
    rng = np.random.default_rng(0)
    linear, table = Linear(4, 3, dtype="float64", seed=0), Embedding(6, 4, dtype="float64", seed=0)
    tokens, d_y = rng.integers(0, 6, (5, 2)), rng.standard_normal((5, 2, 3))

    def run() -> tuple[float, Any, Any]:
        rows, table_tape = table.forward(tokens)
        y, linear_tape = linear.forward(rows)
        return float((y * d_y).sum()), table_tape, linear_tape

    _, table_tape, linear_tape = run()
    d_rows, d_linear = linear.backward(linear_tape, d_y)
    d_table = table.backward(table_tape, d_rows)
    for layer, gradients in ((linear, d_linear), (table, d_table)):
        flat = layer.flatten(gradients)
        assert directional_error(lambda: run()[0], layer.parameters, flat, rng=rng) < LIMIT


@pytest.mark.parametrize("cell", CELLS)
def test_a_planted_error_is_caught(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Loop.weight_gradient

    def wrong(self: Loop, d_weights: tuple[np.ndarray, ...]) -> None:
        right(self, d_weights)
        d_weights[0][0, 0] *= 1.01

    monkeypatch.setattr(Loop, "weight_gradient", wrong)
    model = SequenceModel(input_size=3, hidden_size=5, output_size=2, cell=cell, dtype="float64", seed=0)
    assert worst_of_model(model, make_batch(model, "whole")) > LIMIT


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sweep_bytes", [1, 1 << 12, 1 << 30])
def test_any_sweep_length_gives_the_same_gradient(cell: str, sweep_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient() -> np.ndarray:
        model = SequenceModel(9, embedding_size=4, hidden_size=6, cell=cell, seed=1)
        return model.gradient(make_batch(model, "both"))[1]

    expected = gradient()
    monkeypatch.setattr("recurrio.core.cells.buffers.CACHE_BYTES", sweep_bytes)
    assert np.array_equal(gradient(), expected)


def test_what_cannot_be_checked_raises() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ArgumentError, match="array: expected float64, got float32"):
        directional_error(lambda: 0.0, np.zeros(3, np.float32), np.zeros(3), rng=rng)
    with pytest.raises(ArgumentError, match=r"gradient: expected the shape \(3,\)"):
        directional_error(lambda: 0.0, np.zeros(3), np.zeros(4), rng=rng)
