"""State dicts as safetensors files, under torch's names, written so that a crash never leaves half a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors

from .checks import ArgumentError, kind_of
from .files import replace_file
from .parameters import Array

__all__ = ["DTYPES", "WeightsError", "content_of", "load_weights", "save_weights"]


# What a file can hold of NumPy's dtypes, and the format's names of them.
DTYPES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"}
DTYPES |= {f"{kind}{bits}": f"{kind[0].upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}


class WeightsError(ValueError):
    """A file that is no readable safetensors file."""


def save_weights(
    path: str | os.PathLike[str], state_dict: Mapping[str, Array], metadata: dict[str, str] | None = None
) -> None:
    """Write `state_dict` and `metadata` to `path`, in place of what stood there, as `replace_file` does.

    The arrays can lie in memory in any way; their dtypes are floats of 16, 32 or 64 bits, integers and bool. Raises
    OSError, and ArgumentError, which names the entry, before anything is written.
    """
    replace_file(path, content_of(state_dict, metadata))


def content_of(state_dict: Mapping[str, Array], metadata: dict[str, str] | None) -> Iterator[bytes | memoryview]:
    """What `save_weights` writes, piece by piece. Raises ArgumentError at once."""
    arrays = _in_one_piece(state_dict)
    for key, value in ({} if metadata is None else metadata).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ArgumentError("metadata", "a dict of strings", f"{key!r}: {value!r}")
    return _content(arrays, metadata)


def _content(state_dict: dict[str, Array], metadata: dict[str, str] | None) -> Iterator[bytes | memoryview]:
    """The length of the header, the header, and the arrays from the widest dtype on, each in one piece.

    Not by the library's `save`: it holds the interpreter's lock for as long as it takes,
    seconds for a large model, in which no signal is answered, copies everything twice, and puts the metadata into a
    random order.
    https://huggingface.co/docs/safetensors has the format.
    """
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    names, end = sorted(state_dict, key=lambda name: (-state_dict[name].dtype.itemsize, name)), 0
    for name in names:
        array = state_dict[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        array = state_dict[name].reshape(-1)
        yield array.astype(array.dtype.newbyteorder("<"), copy=False).view(np.uint8).data


def load_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The state dict and the metadata of the safetensors file at `path`.

    Entries of float16 and bfloat16 become float32, which holds all their values; the others keep their dtypes. Raises
    OSError where it cannot be read, WeightsError where it is no safetensors file or has a dtype that NumPy has not.
    """
    with open(path, "rb"):  # a missing file or a folder is the operating system's own error
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = _Header(path)
            names: list[str] = list(file.keys())
            return {name: _read(file, name, header) for name in names}, file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:  # OSError: nothing to map, as a device
        raise WeightsError(f"{os.fspath(path)}: not a safetensors file ({error})") from error


def _in_one_piece(state_dict: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays as the writer takes them: by their address, whatever their strides and byte order say."""
    if not isinstance(state_dict, Mapping):
        raise ArgumentError("state_dict", "a dict of arrays", type(state_dict).__name__)
    arrays = {}
    for name, array in state_dict.items():
        masked = isinstance(array, np.ma.MaskedArray)
        # The format has the name __metadata__ for its own, and half of a surrogate pair is no text.
        if not isinstance(name, str) or name == "__metadata__" or name.encode(errors="ignore").decode() != name:
            raise ArgumentError("state_dict", "names that are strings, and not '__metadata__'", repr(name))
        if not isinstance(array, np.ndarray) or masked or array.dtype.name not in DTYPES:
            raise ArgumentError(f"state_dict[{name!r}]", "an array of floats, integers or bool", kind_of(array))
        arrays[name] = np.asarray(array, array.dtype.newbyteorder("="), order="C")  # a copy where it has to be one
    return arrays


class _Header:
    """What a safetensors file says of its entries, in front of their bytes. The file is a valid one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.entries: dict[str, dict[str, Any]] = json.loads(file.read(length))
        self.start = 8 + length

    def bits(self, name: str) -> Array:
        """The entry `name`, of bfloat16, as whole numbers of 16 bits."""
        (first, end), shape = self.entries[name]["data_offsets"], self.entries[name]["shape"]
        with open(self.path, "rb") as file:
            file.seek(self.start + first)
            return np.frombuffer(file.read(end - first), "<u2").reshape(shape)


def _read(file: Any, name: str, header: _Header) -> Array:  # noqa: ANN401 (safetensors has no type for it)
    dtype = header.entries[name]["dtype"]
    if dtype == "BF16":
        bits = header.bits(name).astype(np.uint32)
        bits <<= 16  # bfloat16 is the upper half of a float32
        return bits.view(np.float32)
    try:
        array: Array = file.get_tensor(name)
    except (safetensors.SafetensorError, TypeError, AttributeError, KeyError) as error:
        raise WeightsError(f"{os.fspath(header.path)}: {name} has the dtype {dtype}, which NumPy has not") from error
    return array.astype(np.float32) if array.dtype == np.float16 else array
