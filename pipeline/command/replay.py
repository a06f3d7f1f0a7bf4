"""A batch of a run once more, from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import Any

import numpy as np
import trio

from ...core.base.parameters import Array
from ...core.base.table import rows_of
from ...core.model.batch import SequenceBatch
from ...core.model.padding import PADDING
from ...core.text.vocabularies import ByteVocabulary
from ..checkpoint import CheckpointError, CheckpointStore
from ..lanes import Source
from ..lanes.live import LiveSource
from .epochs import EpochBatches
from .folder import states_path
from .rerun import Again, rerun, say_differences

__all__ = ["replay"]


def replay(arguments: argparse.Namespace) -> int:
    """Write what was in a batch, and what came of it, as a line of JSON; the exit code.

    Raises CheckpointError, OSError, SourceError.
    """
    store, step = CheckpointStore(states_path(arguments.folder)), arguments.step
    steps = store.steps()
    if not steps:
        raise CheckpointError(f"{store.folder}: there are no checkpoints")
    if step <= steps[0]:
        raise CheckpointError(f"--step {step}: expected {steps[0] + 1} or later, behind the oldest checkpoint")
    found = store.newest(step - 1)
    assert found is not None
    say_differences(found, lambda text: print(text, file=sys.stderr))
    said: list[dict[str, Any]] = []

    def tell(again: Again) -> None:
        if again.step.step == step:
            said.append(again.step._asdict() | {"lanes": _lanes(again.batch, again.source)})

    reached = trio.run(partial(rerun, arguments.folder, found, step, tell))
    if not said:
        raise CheckpointError(f"--step {step}: expected {steps[0] + 1} to {reached}, where the source ends")
    print(json.dumps(said[0]))
    return 0


def _lanes(batch: SequenceBatch, source: Source | LiveSource | EpochBatches) -> list[dict[str, Any]]:
    """What each lane has: of records the key, and of each time step the inputs and the targets; of a text that.

    Of rows of a task it is their tokens, or features, and what is to be said of them.
    """
    found: list[dict[str, Any]] = []
    for lane in range(batch.inputs.shape[1]):
        if isinstance(source, LiveSource):
            assert batch.rows is not None
            length = batch.inputs.shape[0] if not isinstance(batch.lengths, np.ndarray) else int(batch.lengths[lane])
            row = int(rows_of(batch.rows)[lane])
            inputs, targets = (_plain(array[:length, lane]) for array in (batch.inputs, batch.targets))
            found.append({"key": source.key_of(row), "steps": length, "inputs": inputs, "targets": targets})
        elif isinstance(source, EpochBatches):
            length = int(np.asarray(batch.lengths)[lane])
            targets = batch.targets[:, lane]
            found.append(
                {"inputs": _plain(batch.inputs[:length, lane]), "targets": _plain(targets[targets != PADDING])}
            )
        elif isinstance(source.vocabulary, ByteVocabulary):
            found.append({"bytes": batch.inputs[:, lane].tolist()})
        else:
            found.append({"text": source.vocabulary.decode(batch.inputs[:, lane].tolist())})
    return found


def _plain(array: Array) -> Any:  # noqa: ANN401 (nested lists)
    """As JSON, which has no NaN."""
    if array.dtype.kind != "f":
        return array.tolist()
    plain = array.astype(object)
    plain[np.isnan(array)] = None
    return plain.tolist()
