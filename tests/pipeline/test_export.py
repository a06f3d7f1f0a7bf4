"""The exported graph of a model of records, driven record after record, says what `Predictor` says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
pytest.importorskip("onnxruntime", reason="needs onnxruntime, which computes what was exported")

from support.exported import Exported
from support.records import decode

from recurrio.core import SequenceModel
from recurrio.core.cells.table import CELLS
from recurrio.core.losses import CrossEntropyLoss, HuberLoss, IntervalLoss
from recurrio.core.losses.loss import Loss
from recurrio.core.online.encoder import Encoder
from recurrio.core.online.learned import Learned
from recurrio.core.online.probabilities import log_probabilities
from recurrio.core.online.record_model import RecordModel, outputs_of
from recurrio.core.online.schema import Schema
from recurrio.pipeline import fit
from recurrio.pipeline.export import ExportError, to_onnx
from recurrio.pipeline.lanes.predictor import Predictor

Row = dict[str, Any]
TEXTS, CLASSES = ["red", "green", "blue"], ["up", "down", "level"]
HUBER = HuberLoss(ignore_nan=True)
SCHEMAS: dict[str, dict[str, Any]] = {
    "next": {"features": "x,y", "target": "x@+1"},
    "alone": {"features": "y", "target": "x@+3"},  # it is no feature
    "several": {"features": "x,y,c:category", "target": "y@+1,x@+2,z,x@+5", "time": "t"},
    "same": {"features": "x,c:category", "target": "z,w", "time": "t"},
    "categories": {"features": "c:category,d:category", "target": "x@+1"},
    "class": {"features": "x,y,c:category", "label": "s"},
    "class of categories": {"features": "c:category,d:category", "label": "s"},
    "class and time": {"features": "x", "label": "s", "time": "t"},
}


def learned_of(encoder: Encoder, rng: np.random.Generator, *, moves: bool = True) -> tuple[Learned, dict[str, Any]]:
    """What an encoder may have learned, and its tables."""
    mean, deviation = 10 * rng.standard_normal(encoder.columns), rng.uniform(0.1, 9, encoder.columns)
    deviation[rng.random(encoder.columns) < 0.1] = 0
    ahead = len(encoder.ahead)
    chosen = np.stack(
        (rng.uniform(0.05, 1, ahead), *(10 * rng.standard_normal((2, ahead))), rng.choice([0, 0.5, 1], ahead)), axis=1
    )
    chosen[:, 1] *= rng.random(ahead) < 0.8
    chosen *= moves * (rng.random((ahead, 1)) < 0.8)
    texts = [{"texts": TEXTS[:2], "others": True} for _ in encoder.categories]
    tables = {"categories": texts, "classes": {"texts": CLASSES, "others": False}}
    known = (2,) * len(texts), (True,) * len(texts)
    return Learned(mean, deviation, chosen, rng.uniform(0, 1), *known, len(CLASSES)), tables


def make(
    form: str,
    rng: np.random.Generator,
    loss: Loss | None = None,
    *,
    moves: bool = True,
    **options: Any,  # noqa: ANN401 (those of a model)
) -> RecordModel:
    """A model of these records, with weights and scales at random."""
    encoder = Encoder(Schema.of(**SCHEMAS[form], key="k", max_categories=4, max_classes=6))
    learned, tables = learned_of(encoder, rng, moves=moves)
    encoder.fix(learned, tables)
    loss = loss or (HUBER if encoder.schema.targets else CrossEntropyLoss())
    sizes = {"input_size": encoder.input_size, "output_size": outputs_of(encoder, loss), "hidden_size": 5}
    model = SequenceModel(**{**sizes, "loss": loss, "seed": int(rng.integers(99)), **options})
    return RecordModel(model, encoder, learned)


def make_rows(rng: np.random.Generator, count: int = 40) -> list[Row]:
    """Records of two keys, of which anything may be missing."""
    rows, time = [], 1.7e9
    for _ in range(count):
        time += rng.exponential(20_000) - 2000 if rng.random() < 0.9 else 4e6
        row: Row = {name: 10 * rng.standard_normal() for name in "xyzw"}
        row |= {name: str(rng.choice([*TEXTS, "other"])) for name in "cd"} | {"s": str(rng.choice(CLASSES))}
        kept = {name: value for name, value in row.items() if rng.random() < 0.8}
        rows.append({**kept, "x": row["x"] if "c" not in kept else kept.get("x"), "k": str(rng.integers(2)), "t": time})
    return rows


def predicted(trained: RecordModel, rows: list[Row]) -> np.ndarray:
    """What the project's own predictor says ``(n, F)``; it is not told what is to be said."""
    answers = {target.name for target in trained.encoder.schema.targets if not target.horizon}
    told = [{name: value for name, value in row.items() if name not in answers} for row in rows]
    block = decode("".join(json.dumps(row) + "\n" for row in told), schema=trained.encoder.schema)
    assert block.size == len(rows)
    return np.concatenate([forecast.values for forecast in Predictor(trained).forecast(block)])


def assert_said(trained: RecordModel, said: np.ndarray, expected: np.ndarray) -> None:
    """The same, to 1e-5 of the scale."""
    assert (np.isnan(said) == np.isnan(expected)).all()
    deviation = trained.encoder.scale(np.zeros((1, trained.encoder.columns)), np.zeros(1, np.int64)).deviation[0]
    off = np.abs(said - expected) - 1e-9 * np.abs(expected)
    assert np.nanmax(off - 1e-5 * np.maximum(deviation[trained.encoder.said], 0.1), initial=-1.0) <= 0


def usable(rows: list[Row], trained: RecordModel) -> list[Row]:
    """Those that have any of the fields, as the others are rejected."""
    names = [feature.name for feature in trained.encoder.schema.features]
    names += [target.name for target in trained.encoder.schema.targets if target.horizon]
    return [row for row in rows if any(row.get(name) is not None for name in names)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("form", [form for form in SCHEMAS if "target" in SCHEMAS[form]])
def test_it_forecasts_what_the_predictor_does(form: str, cell: str, layers: int) -> None:
    rng = np.random.default_rng([layers, *map(ord, cell + form)])
    trained = make(form, rng, cell=cell, num_layers=layers)
    rows = usable(make_rows(rng), trained)
    said = Exported(to_onnx(trained)).stream(rows, "k")
    assert {*said} == {"forecast"}
    expected = predicted(trained, rows)
    assert np.isfinite(expected).mean() > 0.4
    assert_said(trained, said["forecast"], expected)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from([form for form in SCHEMAS if "target" in SCHEMAS[form]]),
    cell=st.sampled_from([*CELLS]),
    interval=st.none() | st.floats(0.1, 0.99),
    options=st.fixed_dictionaries(
        {"bias": st.booleans(), "dtype": st.sampled_from(["float32", "float64"]), "hidden_size": st.integers(1, 9)}
    ),
)
def test_it_does_so_whatever_was_learned(
    seed: int, form: str, cell: str, interval: float | None, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    loss = None if interval is None else IntervalLoss(interval=interval, ignore_nan=True)
    trained = make(form, rng, loss, cell=cell, **options)
    rows = usable(make_rows(rng, 15), trained)
    if rows:
        said = Exported(to_onnx(trained)).stream(rows, "k")
        assert_said(trained, said["forecast"], predicted(trained, rows))


@pytest.mark.parametrize("form", ["next", "several"])
def test_bounds_are_those_that_the_model_says(form: str) -> None:
    """They are what a model forecasts that has the rows of its head which say them, shifted."""
    rng = np.random.default_rng(1)
    loss = IntervalLoss(interval=0.8, ignore_nan=True)
    trained = make(form, rng, loss)
    rows, count = usable(make_rows(rng), trained), len(trained.encoder.schema.targets)
    said = Exported(to_onnx(trained)).stream(rows, "k")
    assert [*said] == ["forecast", "lower", "upper"]
    inner = {"lower": np.minimum, "upper": np.maximum}
    for number, (name, sign) in enumerate((("lower", -1), ("upper", 1)), 1):
        weights = trained.model.state_dict()
        own = slice(number * count, (number + 1) * count)
        weights["head.weight"] = weights["head.weight"][own]
        weights["head.bias"] = weights["head.bias"][own] + np.float32(sign * loss.shift)
        alone = SequenceModel(
            **{**trained.model.config, "output_size": count, "loss": HUBER, "seed": 0},
        )
        alone.load_state_dict(weights)
        bound = predicted(RecordModel(alone, trained.encoder, trained.learned), rows)
        assert_said(trained, said[name], inner[name](bound, predicted(trained, rows)))


@pytest.mark.parametrize("form", [form for form in SCHEMAS if "label" in SCHEMAS[form]])
def test_a_class_and_what_each_is_likely(form: str) -> None:
    rng = np.random.default_rng(3)
    trained = make(form, rng)
    trained.model.load_state_dict(trained.model.state_dict() | {"head.bias": np.zeros(6, np.float32)})
    rows = usable(make_rows(rng, 80), trained)
    exported = Exported(to_onnx(trained))
    said = exported.stream(rows, "k")
    assert exported.about["classes"] == CLASSES
    assert len({*said["class"].tolist()}) > 1
    np.testing.assert_array_equal(said["class"], predicted(trained, rows)[:, 0])
    np.testing.assert_array_equal(said["class"], said["log_probabilities"].argmax(axis=1))
    if trained.encoder.schema.time is not None:
        return
    encoder, one = trained.encoder, [row for row in rows if row["k"] == "0"]
    block = decode("".join(json.dumps(row) + "\n" for row in one), schema=encoder.schema)
    scales = encoder.scale(block.numbers, np.zeros(len(one), np.int64))
    inputs = encoder.expand(encoder.compact(block.numbers, scales, None, block.categories), trained.model.dtype)
    outputs = trained.model(inputs[:, None])[0][:, 0]
    expected = log_probabilities(outputs, np.full(len(one), len(CLASSES)), len(CLASSES))
    mine = said["log_probabilities"][[row["k"] == "0" for row in rows]]
    np.testing.assert_allclose(mine, expected, atol=1e-5)


@pytest.mark.parametrize("form", ["several", "class and time"])
def test_steps_and_lanes_can_go_in_at_once(form: str) -> None:
    """In any pieces, of any length: also shorter than the horizon."""
    rng = np.random.default_rng(3)
    trained = make(form, rng, num_layers=2)
    rows = make_rows(rng, 60)
    lanes = [[row for row in rows if row["k"] == key][:20] for key in "01"]
    exported = Exported(to_onnx(trained))
    states, parts = exported.begin(2), []
    for start, stop in ((0, 1), (1, 4), (4, 20)):
        said, states = exported.run(exported.feed([lane[start:stop] for lane in lanes]), states)
        parts.append(said)
    for lane, own in enumerate(lanes):
        alone = exported.stream(own, "k")
        for name, values in alone.items():
            whole = np.concatenate([part[name][lane] for part in parts])
            np.testing.assert_allclose(whole, values, rtol=1e-5, atol=1e-5)


def test_an_oracle_that_is_off_would_be_found() -> None:
    trained = make("next", np.random.default_rng(4), moves=False)
    assert trained.learned is not None
    rows = usable(make_rows(np.random.default_rng(5)), trained)
    other = trained.learned._replace(mean=trained.learned.mean + 1e-3)
    said = Exported(to_onnx(RecordModel(trained.model, trained.encoder, other))).stream(rows, "k")
    with pytest.raises(AssertionError):
        assert_said(trained, said["forecast"], predicted(trained, rows))


def test_what_goes_in_is_said() -> None:
    exported = Exported(model := to_onnx(make("several", np.random.default_rng(6), num_layers=2, cell="gru")))
    inputs = {given.name: (given.shape, given.type) for given in exported.inputs.values()}
    assert inputs == {
        "time": (["B", "T"], "tensor(double)"),
        "numbers": (["B", "T", 2], "tensor(double)"),
        "categories": (["B", "T", 1], "tensor(int64)"),
        "last_time": (["B", 1], "tensor(double)"),
        "history": (["B", 5, 3], "tensor(double)"),
        **{f"hidden_{layer}": (["B", 5], "tensor(float)") for layer in range(2)},
    }
    about = {given.name: given.doc_string for given in model.graph.input}
    assert about["numbers"] == "x, y; NaN is missing"
    assert about["last_time"].endswith("it begins as NaN, and then is last_time_next")
    assert exported.about["targets"] == ["y@+1", "x@+2", "z", "x@+5"]
    assert exported.about["categories"] == {"c": TEXTS[:2]}
    assert exported.about["states"]["history"] == "NaN"
    assert math.isnan(exported.begin(1)["history"][0, 0, 0])
    assert "NAME_next" in model.doc_string


@pytest.mark.parametrize("words", [{"target": "x@+1,y"}, {"label": "s"}], ids=str)
def test_what_fit_returns_has_the_graph_of_its_file(words: dict[str, str], tmp_path: Path) -> None:
    rows = [row for row in make_rows(np.random.default_rng(7), 300) if row.get("x") is not None]
    trained = fit(rows, key="k", features="x,c:category", time="t", batch_size=2, steps=5, executor="inline", **words)
    trained.save(tmp_path / "model")
    of_file = to_onnx(RecordModel.load(tmp_path / "model"))
    assert to_onnx(trained).SerializeToString() == of_file.SerializeToString()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bidirectional": True}, "bidirectional=True: cannot be exported, as each step needs all that come after it"),
        ({"output": "last"}, "output='last': cannot be exported, as it is not said at each step"),
        ({"output": "attention"}, "output='attention': cannot be exported, as it is not said at each step"),
        ({"layer_norm": True}, "layer_norm: cannot be exported, as ONNX has no recurrent layer with it"),
        ({"zoneout": 0.1}, "zoneout: cannot be exported, as ONNX has no recurrent layer with it"),
        ({"proj_size": 2}, "proj_size: cannot be exported, as ONNX has no LSTM with a projection"),
    ],
)
def test_a_model_that_has_no_graph_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ExportError) as error:
        to_onnx(make("next", np.random.default_rng(0), **options))
    assert str(error.value) == said


def test_scales_of_single_keys_are_refused() -> None:
    trained = make("next", np.random.default_rng(0))
    keyed = RecordModel(trained.model, Encoder(trained.encoder.schema, 3), trained.learned)
    with pytest.raises(ExportError, match="--per-key: cannot be exported, as the scales of keys are not in"):
        to_onnx(keyed)


def test_a_model_that_has_learned_nothing_is_refused() -> None:
    trained = make("class", np.random.default_rng(0))
    assert trained.learned is not None
    for learned, said in ((None, "the scales: "), (trained.learned._replace(classes=0), "the label: ")):
        with pytest.raises(ExportError, match=f"^{said}cannot be exported"):
            to_onnx(RecordModel(trained.model, trained.encoder, learned))


def test_weights_that_float32_cannot_hold_are_refused() -> None:
    trained = make("next", np.random.default_rng(0), dtype="float64")
    trained.model.parameters[-1] = 1e300
    with pytest.raises(ExportError, match="not finite in float32"):
        to_onnx(trained)
