"""Weights as files: any layout in memory, what cannot be saved, and the half-precision files of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import (
    GRU,
    LSTM,
    ArgumentError,
    Linear,
    SequenceModel,
    WeightsError,
    load_weights,
    save_weights,
)
from recurrio.core.base.safetensors import DTYPES, _content

Array = np.ndarray
W = np.arange(12, dtype=np.float32).reshape(3, 4)
FIELDS = np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [1], "itemsize": 5})
LAYOUTS: dict[str, Array] = {
    "plain": W,
    "transposed": W.T,
    "rows reversed": np.cumsum(np.ones((100, 100), np.float32), axis=0)[::-1],
    "columns reversed": W[:, ::-1],
    "broadcast": np.broadcast_to(np.float32(1), (1000, 1000)),
    "rows repeated": np.broadcast_to(W[0], (5, 4)),
    "every second": W[::2, 1::2],
    "three axes turned": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
    "big-endian": W.astype(">f4"),
    "big-endian, transposed": np.arange(6, dtype=">i8").reshape(2, 3).T,
    "unaligned": np.array([(1.0,), (2.0,)], FIELDS)["x"],
    "without axes": np.array(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "read-only": np.frombuffer(W.tobytes(), np.float32),
    "a subclass": W.T.view(np.recarray),
    "bool": (W > 5).T,
    "uint8": np.arange(9, dtype=np.uint8)[::-3],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_saved_is_what_the_array_says(layout: str, tmp_path: Path) -> None:
    array = LAYOUTS[layout]
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"a": array, "b": W}, {"about": "x"})
    loaded, metadata = load_weights(path)
    assert metadata == {"about": "x"}
    for name, expected in (("a", np.asarray(array)), ("b", W)):
        assert loaded[name].shape == expected.shape
        assert loaded[name].dtype == expected.dtype.newbyteorder("=")
        assert np.array_equal(loaded[name], expected)
    assert np.array_equal(safetensors.numpy.load_file(path)["a"], array)  # to other readers too


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any_view_is_saved(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = data.draw(st.sampled_from(["<f4", ">f8", "<i2", ">u4", "?"]))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    steps = data.draw(st.tuples(*[st.sampled_from([1, -1, 2, -2])] * len(shape)))
    view = array[..., *(slice(None, None, step) for step in steps)]
    view = view.transpose(data.draw(st.permutations(range(len(shape)))))
    path = tmp_path_factory.getbasetemp() / "view.safetensors"
    save_weights(path, {"view": view})
    assert np.array_equal(load_weights(path)[0]["view"], view)


@pytest.mark.parametrize(
    "bad",
    [
        [1.0, 2.0],
        1.0,
        np.float32(1),
        None,
        "text",
        np.array([object()]),
        np.array(["text"]),
        np.ones(2, np.complex64),
        np.ones(2, np.longdouble),
        np.zeros(2, FIELDS),
        np.array(["2026-11-25"], "M8[D]"),
        np.ma.masked_array([1.0, 2.0], [True, False]),
    ],
    ids=lambda bad: type(bad).__name__ if not isinstance(bad, np.ndarray) else str(bad.dtype),
)
def test_what_is_no_array_of_numbers_is_named_and_nothing_is_written(bad: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with pytest.raises(
        ArgumentError, match=r"^state_dict\['bad'\]: expected an array of floats, integers or bool, got "
    ):
        save_weights(tmp_path / "weights.safetensors", {"good": W, "bad": bad})
    assert not list(tmp_path.iterdir())


def test_a_state_dict_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="state_dict: expected a dict of arrays, got list"):
        save_weights(tmp_path / "x", [W])
    for name in (3, "__metadata__", "\ud800"):
        with pytest.raises(ArgumentError, match="state_dict: expected names that are strings"):
            save_weights(tmp_path / "x", {name: W})
    save_weights(tmp_path / "x", {"w": W})
    before = (tmp_path / "x").read_bytes()
    for metadata in ({"step": 5}, {"x": None}, {5: "x"}):
        with pytest.raises(ArgumentError, match="metadata: expected a dict of strings, got"):
            save_weights(tmp_path / "x", {"w": W}, metadata)
    assert (tmp_path / "x").read_bytes() == before


@pytest.mark.parametrize("lanes", [1, 3])
def test_outputs_of_single_steps_are_in_one_piece(lanes: int) -> None:
    model = SequenceModel(input_size=3, output_size=5, hidden_size=4, seed=0)
    layers = (LSTM(3, 4, seed=0), LSTM(3, 4, proj_size=2, seed=0), GRU(3, 4, seed=0))
    x = np.random.default_rng(0).standard_normal((lanes, 3)).astype(np.float32)
    for step in (model.step, *(layer.step for layer in layers)):
        output, _ = step(x)
        assert output.flags.c_contiguous
        assert output.flags.writeable
    outputs, _ = model.step(x)
    np.testing.assert_allclose(outputs, model(x[None])[0][0], rtol=1e-5)


def test_half_precision_is_loaded_as_float32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    from safetensors.torch import save_file

    tensors = {
        "bf16": torch.tensor([[1.5, -3.0e38, 1e-40], [float("inf"), -0.0, 3.140625]], dtype=torch.bfloat16),
        "f16": torch.tensor([0.1, 65504, 6e-8], dtype=torch.float16),
        "scalar": torch.tensor(2.5, dtype=torch.bfloat16),
        "empty": torch.zeros((0, 3), dtype=torch.bfloat16),
        "f64": torch.tensor([0.1], dtype=torch.float64),
    }
    path = tmp_path / "half.safetensors"
    save_file(tensors, path, {"about": "ü"})
    loaded, metadata = load_weights(path)
    assert metadata == {"about": "ü"}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        expected = tensor.numpy() if name == "f64" else tensor.float().numpy()
        assert loaded[name].dtype == expected.dtype
        assert np.array_equal(loaded[name], expected)
        loaded[name][...] = 0  # the caller's own


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_model_of_torch_in_half_precision_can_be_loaded(dtype: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    from safetensors.torch import save_file

    path = tmp_path / "half.safetensors"
    theirs = torch.nn.LSTM(3, 4).to(getattr(torch, dtype))
    save_file(theirs.state_dict(), path)
    ours = LSTM(3, 4)
    ours.load_state_dict(load_weights(path)[0])
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(ours.state_dict()[name], tensor.float().numpy())


def write(path: Path, entry: dict[str, Any], data: bytes) -> None:
    header = json.dumps({"a": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_bits_of_bfloat16_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    write(path, {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}, b"\x80\x3f\x20\xc0")
    assert load_weights(path)[0]["a"].tolist() == [[1.0], [-2.5]]
    write(path, {"dtype": "BF16", "shape": [3, 1], "data_offsets": [0, 4]}, b"\x80\x3f\x20\xc0")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(path)


def test_a_dtype_that_numpy_has_not_is_named(tmp_path: Path) -> None:
    path = tmp_path / "eight.safetensors"
    write(path, {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}, b"\0\0")
    with pytest.raises(WeightsError, match=r"eight\.safetensors: a has the dtype F8_E4M3, which NumPy has not$"):
        load_weights(path)


GOOD = {"weight": np.ones((4, 3)), "bias": np.zeros(4)}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f2", ">f8"])
def test_floats_are_cast(dtype: str) -> None:
    layer = Linear(3, 4, seed=0)
    layer.load_state_dict({name: (array + 0.5).astype(dtype) for name, array in GOOD.items()})
    assert layer.parameters.dtype == np.float32
    assert (layer.state_dict()["weight"] == 1.5).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones((4, 3), np.int8), "weight: expected float16, float32 or float64, got int8"),
        (np.ones((4, 3), np.complex64), "weight: .*, got complex64"),
        (np.ones((4, 3), bool), "weight: .*, got bool"),
        (np.ones((4, 3), np.longdouble), "weight: .*, got float128"),
        (np.ones((4, 3), object), "weight: .*, got object"),
        ([["1"] * 3] * 4, "weight: .*, got <U1"),
        ([[1], [1, 2]], "weight: expected an array, got list"),
        (np.ma.masked_array(np.ones((4, 3))), "weight: expected an array without a mask, which would be lost"),
        (np.ones((3, 4)), r"weight: expected shape \(4, 3\), got \(3, 4\)"),
    ],
)
def test_other_entries_of_a_state_dict_are_named_and_nothing_changes(bad: Any, message: str) -> None:  # noqa: ANN401
    layer = Linear(3, 4, seed=0)
    before = layer.parameters.copy()
    for call in (layer.load_state_dict, layer.flatten):
        with pytest.raises(ArgumentError, match=message):
            call({**GOOD, "weight": bad})
        with pytest.raises(ArgumentError, match=f"missing bias; {message}"):
            call({"weight": bad})
    assert np.array_equal(layer.parameters, before)


def test_what_is_no_state_dict_is_named() -> None:
    for wrong in ([W], None, W):
        with pytest.raises(ArgumentError, match=r"^state_dict: expected a dict of arrays, got"):
            Linear(3, 4).load_state_dict(wrong)


def test_tensors_of_torch_can_be_loaded_as_they_are() -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    theirs, ours = torch.nn.Linear(3, 4), Linear(3, 4)
    ours.load_state_dict(theirs.state_dict())
    assert np.array_equal(ours.state_dict()["weight"], theirs.weight.detach().numpy())
    with pytest.raises(ArgumentError, match=r"weight: expected an array, got Parameter .*grad"):
        ours.load_state_dict(dict(theirs.named_parameters()))


def test_the_bytes_are_those_of_the_library() -> None:
    weights = {"b": W, "a": W[0].copy(), "é": np.zeros((0, 3), np.float32), "s": np.array(2, np.float32)}
    ours = b"".join(_content(weights, {"about": 'é "\n'}))
    assert ours == safetensors.numpy.save(weights, {"about": 'é "\n'})
    assert b"".join(_content({}, None)) == safetensors.numpy.save({})


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_round(dtype: str, tmp_path: Path) -> None:
    weights = {"x": (10 * W).astype(dtype), "y": np.ones(3, np.uint8), "z": np.ones(1, np.float64)}
    save_weights(tmp_path / "file", weights, {"key": "value"})
    again, metadata = load_weights(tmp_path / "file")
    assert metadata == {"key": "value"}
    x = "float32" if dtype == "float16" else dtype  # half precision is loaded as float32
    assert {name: array.dtype.name for name, array in again.items()} == {"x": x, "y": "uint8", "z": "float64"}
    assert all(np.array_equal(again[name], array) for name, array in weights.items())
