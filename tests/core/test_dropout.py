"""Dropout behind the embedding and before the linear layer of the head: where it acts, and that it is off elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core import GRU, Embedding, Linear, MSELoss, SequenceBatch, SequenceModel
from recurrio.core.layers.dropout import draw_kept

T, B, I, H, V = 6, 3, 4, 5, 7


def make_model(output: str = "steps", **options: float) -> SequenceModel:
    sizes = {"embedding_size": I, "hidden_size": H, "output_size": 2, "loss": MSELoss()}
    return SequenceModel(V, **sizes, cell="gru", output=output, **options, dtype="float64", seed=1)


def make_batch(model: SequenceModel) -> SequenceBatch:
    rng = np.random.default_rng(0)
    return SequenceBatch(rng.integers(0, V, (T, B)), rng.random((model.network.head.target_steps(T), B, 2)))


@pytest.mark.parametrize("output", ["steps", "last", "mean"])
def test_the_loss_is_that_of_dropout_between_the_layers_by_hand(output: str) -> None:
    model = make_model(output, embedding_dropout=0.3, output_dropout=0.4)
    batch = make_batch(model)
    loss, _, _ = model.gradient(batch, rng=np.random.default_rng(3))

    layers = {"embedding": Embedding(V, I, dtype="float64"), "rnn": GRU(I, H, dtype="float64")}
    layers["head"] = Linear(H, 2, dtype="float64")
    for name, layer in layers.items():
        named = model.state_dict().items()
        layer.load_state_dict({key.removeprefix(f"{name}."): array for key, array in named if key.startswith(name)})
    rng, before = np.random.default_rng(3), np.empty((T * B, I))
    draw_kept(rng, 0.3, before)
    hidden, h_n = layers["rnn"](layers["embedding"](batch.inputs) * before.reshape(T, B, I))
    features = {"steps": hidden, "last": h_n, "mean": hidden.mean(axis=0, keepdims=True)}[output]
    behind = np.empty((H, features.shape[0] * B))
    draw_kept(rng, 0.4, behind)
    outputs = layers["head"](features * behind.T.reshape(features.shape))
    assert loss == pytest.approx(((outputs - batch.targets) ** 2).mean(), rel=1e-12)


def test_what_is_kept_keeps_the_mean() -> None:
    kept = np.empty((200, 300), np.float32)
    draw_kept(np.random.default_rng(0), 0.25, kept)
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}
    assert kept.mean() == pytest.approx(1, abs=0.02)
    draw_kept(np.random.default_rng(0), 1.0, kept)
    assert not kept.any()


@pytest.mark.parametrize("option", ["embedding_dropout", "output_dropout"])
def test_it_is_off_without_an_rng(option: str) -> None:
    plain, dropped = make_model(), make_model(**{option: 0.5})
    batch = make_batch(plain)
    for call in (lambda model: model(batch.inputs)[0], lambda model: model.gradient(batch)[1]):
        np.testing.assert_allclose(call(dropped), call(plain), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dropped.step(batch.inputs[0])[0], plain.step(batch.inputs[0])[0], rtol=1e-10)
    one, other = (dropped.gradient(batch, rng=np.random.default_rng(seed))[0] for seed in (0, 1))
    assert one != other


def test_where_all_drops_out_the_rest_learns_nothing() -> None:
    model = make_model(output_dropout=1.0)
    d_named = model.state_dict(model.gradient(make_batch(model), rng=np.random.default_rng(0))[1])
    assert [name for name, array in d_named.items() if array.any()] == ["head.bias"]
    model = make_model(embedding_dropout=1.0)
    d_named = model.state_dict(model.gradient(make_batch(model), rng=np.random.default_rng(0))[1])
    assert not d_named["embedding.weight"].any()
    assert not d_named["rnn.weight_ih_l0"].any()
    assert d_named["rnn.bias_ih_l0"].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_state_of_a_lane_without_steps_has_no_share(value: float) -> None:
    model = make_model("last", output_dropout=0.4)
    batch = make_batch(model)._replace(lengths=np.array([6, 0, 3]))
    results = []
    for filler in (value, 0.5):
        state = model.initial_state(B)
        state[0][0][:, 1] = filler
        results.append(model.gradient(batch, state, rng=np.random.default_rng(0))[:2])
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])
    assert np.isfinite(results[0][1]).all()
