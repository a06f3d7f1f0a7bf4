"""WAV files: bytes to samples, by soundfile.

It reads each width and float, and scales them alike. Python's own ``wave`` knows no float, and before 3.12 not the
header that most files of 24 bits have.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...core.base.parameters import Array
from ..sources.source import SourceError
from .values import Malformed

__all__ = ["open_soundfile", "read_wav"]

HEAD = 12  # bytes: RIFF, the size of what follows, WAVE
UNKNOWN = 0xFFFFFFFF  # the size that a program says which writes into a pipe


def open_soundfile() -> Any:  # noqa: ANN401 (a module without types)
    """The package, which is for this alone. Raises SourceError where it is not there."""
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: without the library in C
        raise SourceError("WAV files need soundfile; pip install 'recurrio[audio]'") from None
    return soundfile


def read_wav(data: bytes) -> tuple[Array, int]:
    """The samples ``(N,)`` float32 in −1…1 of a whole WAV file of one channel, and its rate, in Hz.

    PCM of 8, 16, 24 or 32 bits and float are read. Raises Malformed where it is something else, has more channels, no
    samples, or fewer than it says; SourceError where soundfile is not there.
    """
    soundfile = open_soundfile()
    if not data:
        raise Malformed("an empty file")
    if data[:4] != b"RIFF" or data[8:HEAD] != b"WAVE":
        raise Malformed("not a WAV file")
    size = int.from_bytes(data[4:8], "little")
    if size != UNKNOWN and 8 + size > len(data):
        raise Malformed(f"cut short: expected {8 + size:,} bytes, got {len(data):,}")
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        raise Malformed(f"a damaged WAV file: {error}") from None
    if samples.shape[1] != 1:
        raise Malformed(f"expected one channel, got {samples.shape[1]}")
    if not len(samples):
        raise Malformed("no samples")
    if not np.isfinite(samples).all():
        raise Malformed("samples that are no finite numbers")
    return np.ascontiguousarray(samples[:, 0]), int(rate)
