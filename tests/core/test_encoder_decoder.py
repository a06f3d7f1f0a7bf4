"""The encoder–decoder: its gradients, what padding may not do, what it refuses, and that it learns."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pairs import IGNORED, batch_of, random_pairs

from recurrio.core import (
    GRU,
    Adam,
    ArgumentError,
    CrossEntropyLoss,
    EncoderDecoder,
    NonFiniteError,
    SequenceBatch,
    WeightsError,
    directional_error,
    load_weights,
    save_weights,
    summary,
)
from recurrio.core.cells.table import CELLS
from recurrio.core.seq2seq.encoder_decoder import FORMAT
from recurrio.core.seq2seq.scores import SCORES
from recurrio.core.seq2seq.table import model_from_config
from recurrio.core.serial import train

V, W, START, END = 6, 7, 5, 6

STEPS_OF = {"rnn_relu": 1e-6}  # so small that no unit passes its bend
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"num_layers": 2, "hidden_size": (4, 5), "dropout": 0.3, "bias": False},
    **{score: {"attention": score} for score in SCORES},
    "deep and dot": {"num_layers": 2, "attention": "dot", "dropout": 0.3},
    **{f"{score}, fed": {"attention": score, "input_feeding": True} for score in SCORES},
    "deep and fed": {"num_layers": 2, "attention": "general", "input_feeding": True, "dropout": 0.3},
    "both ways": {"bidirectional": True},
    "both ways, deep": {"bidirectional": True, "num_layers": 2, "hidden_size": (4, 5), "attention": "general"},
    "smoothed": {"loss": CrossEntropyLoss(label_smoothing=0.1, weight=(1.0, 0.5, 2.0, 1.0, 0.1, 0.0, 1.0))},
}


def make_model(cell: str = "gru", dtype: str = "float64", **options: Any) -> EncoderDecoder:  # noqa: ANN401 (its own)
    given = {"embedding_size": 3, "hidden_size": 4, "seed": 1} | options
    return EncoderDecoder(V, W, start=START, end=END, cell=cell, dtype=dtype, **given)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_is_the_slope(cell: str, options: str) -> None:
    model, rng = make_model(cell, **OPTIONS[options]), np.random.default_rng(2)
    model.parameters *= 2  # attention that looks the same everywhere has hardly a slope
    for batch in random_pairs(model, 3, 5, 4, 3, least=0):

        def run(batch: SequenceBatch = batch) -> tuple[float, np.ndarray]:
            return model.gradient(batch, rng=np.random.default_rng(3))

        gradient = run()[1]
        views, d_views = model.layout.views(model.parameters), model.layout.views(gradient)
        for name, view in views.items():
            error = directional_error(lambda: run()[0], view, d_views[name], rng=rng, step=STEPS_OF.get(cell, 1e-3))
            assert error < 1e-6, name


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4),
    cell=st.sampled_from(sorted(CELLS)),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    options=st.sampled_from(sorted(OPTIONS)),
    seed=st.integers(0, 99),
)
def test_padding_does_not_matter_and_lanes_do_not_touch(
    lengths: list[tuple[int, int]], cell: str, more: tuple[int, int], options: str, seed: int
) -> None:
    model, rng = make_model(cell, **OPTIONS[options]), np.random.default_rng(seed)
    sources = [rng.integers(0, V, length).tolist() for length, _ in lengths]
    targets = [rng.integers(0, W, length - 1).tolist() for _, length in lengths]
    batch = batch_of(sources, targets, END)
    loss, gradient = model.gradient(batch)
    # Other symbols in the padding of the sources change no bit.
    inputs = batch.inputs.copy()
    inputs[np.arange(len(inputs))[:, None] >= batch.lengths] = rng.integers(-9, 99)
    other = model.gradient(batch._replace(inputs=inputs))
    assert other[0] == loss
    assert np.array_equal(other[1], gradient)
    # More padding, and no other lanes beside one, change nothing but how sums are rounded.
    longer = batch._replace(
        inputs=np.pad(inputs, ((0, more[0]), (0, 0))),
        targets=np.pad(batch.targets, ((0, more[1]), (0, 0)), constant_values=IGNORED),
    )
    pairs = [batch_of([source], [target], END) for source, target in zip(sources, targets, strict=True)]
    alone, totals = [model.gradient(pair) for pair in pairs], np.array([model.network.total(pair) for pair in pairs])
    longer_loss, longer_gradient = model.gradient(longer)
    np.testing.assert_allclose(longer_loss, loss, rtol=1e-12)
    np.testing.assert_allclose(longer_gradient, gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(totals @ [each[0] for each in alone] / totals.sum(), loss, rtol=1e-12)
    np.testing.assert_allclose(totals @ [each[1] for each in alone] / totals.sum(), gradient, rtol=1e-9, atol=1e-12)


def test_outputs_are_those_before_each_target() -> None:
    model = make_model()
    (batch,) = random_pairs(model, 1, 5, 4, 3)
    outputs = model(batch.inputs, batch.targets, batch.lengths)
    assert outputs.shape == (4, 3, W)
    assert model.network.loss(outputs, batch.targets) == pytest.approx(model.gradient(batch)[0], rel=1e-12)
    changed = batch.targets.copy()
    changed[2:] = 0
    again = model(batch.inputs, changed, batch.lengths)
    assert np.array_equal(again[:3], outputs[:3])
    assert not np.array_equal(again[3], outputs[3])


def test_a_config_a_copy_and_a_repr_make_an_equal_one() -> None:
    model = make_model("lstm", "float32", **OPTIONS["smoothed"])
    again = model_from_config(model.config)
    assert isinstance(again, EncoderDecoder)
    again.load_state_dict(model.state_dict())
    others = [again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    others.append(eval(repr(model), {"EncoderDecoder": EncoderDecoder, "CrossEntropyLoss": CrossEntropyLoss}))
    for other in others:
        assert other.config == model.config
        assert other.parameters is not model.parameters
    (batch,) = random_pairs(model, 1, 5, 4, 3)
    for other in others[:3]:
        assert np.array_equal(other.gradient(batch)[1], model.gradient(batch)[1])
    with pytest.raises(ArgumentError, match="model: expected one of sequence, encoder_decoder, got 'x'"):
        model_from_config({"model": "x"})
    assert "encoder.rnn.l0" in summary(model)
    assert "symbols" in model._repr_html_()


def test_it_goes_to_a_file_and_back(tmp_path: Path) -> None:
    model = make_model("lstm", "float32", attention="additive", num_layers=2)
    path = tmp_path / "model.safetensors"
    model.save(path, {"step": 3})
    again = EncoderDecoder.load(path)
    assert (again.config, again.seed) == (model.config, 1)
    assert again.parameters.tobytes() == model.parameters.tobytes()
    weights, metadata = load_weights(path)
    assert json.loads(metadata["training"]) == {"step": 3}
    assert weights.keys() == model.state_dict().keys()
    model.save(path, parameters=2 * model.parameters)
    assert np.array_equal(EncoderDecoder.load(path).parameters, 2 * model.parameters)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    model, path = make_model(), tmp_path / "model.safetensors"
    save_weights(path, model.state_dict())
    with pytest.raises(WeightsError, match="no encoder–decoder of recurrio"):
        EncoderDecoder.load(path)
    for config in ({**model.config, "hidden_size": 9}, {**model.config, "x": 1}, {}, None):
        metadata = {"format": FORMAT} | ({} if config is None else {"model": json.dumps(config)})
        save_weights(path, model.state_dict(), metadata)
        with pytest.raises(WeightsError, match="a damaged encoder–decoder"):
            EncoderDecoder.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 9}, "start: expected a whole number from 0 to 6, got 9"),
        ({"end": -1}, "end: expected a whole number from 0 to 6, got -1"),
        ({"loss": {"loss": "mse"}}, "loss: expected CrossEntropyLoss"),
        ({"cell": "x"}, "cell: expected one of"),
        ({"attention": "dot", "bidirectional": True}, "attention: expected general or additive where"),
        ({"input_feeding": True}, "input_feeding: expected False where there is no attention, got True"),
        ({"attention": "x"}, "attention: expected None or one of dot, general, additive, got 'x'"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        EncoderDecoder(V, W, **{"start": START, "end": END, **options})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": np.full((5, 3), V)}, "inputs: expected indices from 0 to 5"),
        ({"inputs": np.zeros((0, 3), int)}, "inputs: expected at least one step"),
        ({"lengths": np.array([6, 1, 1])}, "lengths: expected whole numbers from 0 to 5"),
        ({"targets": np.full((4, 3), W)}, "targets: expected classes in 0…6, or -100"),
        ({"targets": np.zeros((4, 2), int)}, r"targets: expected an array \(S, 3\)"),
        ({"targets": np.array([[1, 1, 1], [-100, 1, 1], [1, 1, 1]])}, "targets: expected -100 only behind"),
        ({"rows": np.arange(3)}, "rows: expected None"),
        ({"reset": np.zeros((5, 3), bool)}, "reset: expected the default"),
        ({"classes": 2}, "classes: expected the default"),
    ],
)
def test_batches_that_are_none_are_refused(fields: dict[str, Any], message: str) -> None:
    model = make_model()
    (batch,) = random_pairs(model, 1, 5, 4, 3)
    with pytest.raises(ArgumentError, match=message):
        model.gradient(batch._replace(**fields))


@pytest.mark.parametrize("options", [{}, *({"attention": score} for score in SCORES)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_learned_from(options: dict[str, Any], value: float) -> None:
    for name in make_model(**options).layout.views(make_model(**options).parameters):
        model = make_model(**options)
        model.layout.views(model.parameters)[name][...] = value
        before = model.parameters.copy()
        with pytest.raises(NonFiniteError):
            list(train(model, Adam(0.01), random_pairs(model, 1, 5, 4, 3)))
        assert np.array_equal(model.parameters, before, equal_nan=True)


def test_targets_longer_than_those_of_the_first_batch_are_refused() -> None:
    model = make_model()
    batches = [*random_pairs(model, 1, 2, 3, 2), *random_pairs(model, 1, 2, 4, 2)]
    with pytest.raises(ArgumentError, match="targets: expected at most 3 steps of 2 lanes, as the first batch has"):
        list(train(model, Adam(0.01), batches))


def test_it_learns_to_say_which_symbol_came_first() -> None:
    model = EncoderDecoder(4, 6, start=4, end=5, embedding_size=8, hidden_size=16, seed=0)
    rng = np.random.default_rng(0)

    def batch() -> SequenceBatch:
        sources = [rng.integers(0, 4, rng.integers(1, 4)).tolist() for _ in range(16)]
        return batch_of([source + [0] * (4 - len(source)) for source in sources], [source[:1] for source in sources], 5)

    losses = [step.loss for step in train(model, Adam(0.01), (batch() for _ in range(200)))]
    assert losses[0] > 1.5
    assert losses[-1] < 0.05


@pytest.mark.parametrize("score", SCORES)
def test_it_learns_to_reverse_with_attention(score: str) -> None:
    options = {"embedding_size": 12, "hidden_size": 24, "attention": score, "seed": 0}
    model, rng = EncoderDecoder(5, 7, start=5, end=6, **options), np.random.default_rng(0)

    def batch() -> SequenceBatch:
        sources = [rng.integers(0, 5, rng.integers(1, 7)).tolist() for _ in range(32)]
        return batch_of(sources, [source[::-1] for source in sources], 6)

    losses = [step.loss for step in train(model, Adam(0.01), (fill(batch()) for _ in range(400)), clip=1.0)]
    assert losses[0] > 1.5
    assert np.mean(losses[-10:]) < 0.05


def test_the_weights_of_attention_are_the_softmax_of_its_scores() -> None:
    model = make_model(attention="dot")
    model.parameters *= 3
    (batch,) = random_pairs(model, 1, 5, 4, 3)
    found, weights = model.attention_weights(batch.inputs, batch.targets, batch.lengths), model.state_dict()
    encoder, decoder = GRU(3, 4, dtype="float64", seed=0), GRU(3, 4, dtype="float64", seed=0)
    for name, layer in {"encoder.rnn.": encoder, "decoder.rnn.": decoder}.items():
        layer.load_state_dict({key.removeprefix(name): value for key, value in weights.items() if name in key})
    assert found.shape == (3, len(batch.targets), 5)
    for lane, length in enumerate(batch.lengths):
        target = batch.targets[batch.targets[:, lane] != IGNORED, lane]
        memory, state = encoder(weights["encoder.embedding.weight"][batch.inputs[:length, lane], None])
        queries, _ = decoder(weights["decoder.embedding.weight"][[START, *target[:-1]], None], state)
        scores = np.exp(queries[:, 0] @ memory[:, 0].T)
        expected = scores / scores.sum(axis=1, keepdims=True)
        assert expected.max() > 1.2 / length
        assert np.allclose(found[lane, : len(target), :length], expected)
        assert not found[lane, :, length:].any()
    with pytest.raises(ArgumentError, match="attention: expected one of dot, general, additive, for weights, got None"):
        make_model().attention_weights(batch.inputs, batch.targets)


def fill(batch: SequenceBatch) -> SequenceBatch:
    """With room for six symbols, so that none is larger than the first one."""
    inputs, targets = (
        np.pad(part, ((0, steps - len(part)), (0, 0)), constant_values=value)
        for part, steps, value in ((batch.inputs, 6, 0), (batch.targets, 7, IGNORED))
    )
    return batch._replace(inputs=inputs, targets=targets)
