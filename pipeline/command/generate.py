"""Writing text with a trained model, from the command line."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from itertools import chain

import numpy as np

from ...core.base.safetensors import WeightsError
from ...core.text.text_model import TextModel
from ...core.text.vocabularies import ByteVocabulary, CharVocabulary
from .folder import model_path

__all__ = ["generate"]


def generate(arguments: argparse.Namespace) -> int:
    """Write on from the prompt, as the options say; the exit code. Raises OSError and WeightsError."""
    if sys.__stdout__ is None:
        raise OSError(errno.EBADF, "is closed", "standard output")
    path = arguments.checkpoint
    if os.path.isdir(path):
        path = model_path(path)
    text = TextModel.load(path)
    if not np.isfinite(text.model.parameters).all():
        raise WeightsError(f"{os.fspath(path)}: the weights are not finite; nothing can be written with them")
    if isinstance(text.vocabulary, CharVocabulary):
        known = set(text.vocabulary.characters)
        unknown = "".join(dict.fromkeys(letter for letter in arguments.prompt if letter not in known))
        if unknown:
            message = f"--prompt: the model does not know {unknown!r}, and reads its symbol for unknown characters"
            print(f"recurrio: {message}", file=sys.stderr)
    rng = np.random.default_rng(arguments.seed)
    if isinstance(text.vocabulary, ByteVocabulary) and text.vocabulary.encoding is None:  # what they mean is not known
        prompt, out = os.fsencode(arguments.prompt), sys.stdout.buffer
        pieces = text.generate_bytes(prompt, arguments.length, temperature=arguments.temperature, rng=rng)
        for data in chain([prompt], pieces, [b"\n"]):
            out.write(data)
        return 0
    print(arguments.prompt, end="", flush=True)
    for piece in text.generate(arguments.prompt, arguments.length, temperature=arguments.temperature, rng=rng):
        print(piece, end="", flush=True)
    print(flush=True)
    return 0
