"""WAV files, made by hand."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["wav_file"]

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"  # behind the two bytes of the format


def wav_file(
    samples: np.ndarray, rate: int = 8000, bits: int = 16, *, real: bool = False, extensible: bool = False
) -> bytes:
    """The file of `samples` ``(N,)``, or ``(N, channels)``, in −1…1: PCM of some bits, or `real` numbers."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    flat = samples.ravel()
    if real:
        data = flat.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (np.round(flat * 127) + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(flat * (2 ** (bits - 1) - 1)).astype("<i4")
        data = b"".join([int(value).to_bytes(bits // 8, "little", signed=True) for value in whole])
    kind, width = FLOAT if real else PCM, bits // 8
    header = struct.pack(
        "<HHIIHH", EXTENSIBLE if extensible else kind, channels, rate, rate * channels * width, channels * width, bits
    )
    if extensible:
        header += struct.pack("<HHIH", 22, bits, 4 if channels == 1 else 3, kind) + GUID
    chunks = b"WAVE" + b"fmt " + struct.pack("<I", len(header)) + header
    chunks += b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
