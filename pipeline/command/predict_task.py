"""What a model that was trained for a task says of rows, from the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from ...core.base.safetensors import WeightsError, load_weights
from ..decoding.quarantine import Quarantine
from ..decoding.table import Table
from ..lanes.forecast_lines import ENCODER
from ..tasks import TaskKind
from ..tasks.table import Kept, kind_of_format

__all__ = ["predict_rows", "task_of"]


def task_of(path: str | os.PathLike[str]) -> tuple[TaskKind, dict[str, Any]] | None:
    """The task that the model at `path` was trained for, and what its file says of that; None where it is of none.

    Raises OSError, WeightsError.
    """
    metadata = load_weights(path)[1]
    kind = kind_of_format(metadata.get("format"))
    if kind is None:
        return None
    try:
        asked = json.loads(metadata.get("training", "{}")).get("task") or {}
        return kind, dict(asked.get("columns") or {})
    except (ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{os.fspath(path)}: a damaged model: {error}") from error


async def predict_rows(
    kind: TaskKind, kept: Kept, columns: Mapping[str, Any], source: str, form: str | None, quarantine: Quarantine
) -> None:
    """Write a line for each row of `source`, in order, as they come. Raises OSError, SourceError."""
    asked = [columns.get(name, name) for name in kind.columns]
    async with aclosing(kind.ask(kept, source, asked, form)) as tables:
        async for table in tables:
            quarantine.add(table.rejects)
            lines = _lines(kind, kept, table)
            if lines:
                sys.stdout.buffer.write(ENCODER.encode_lines(lines))
                sys.stdout.buffer.flush()


def _lines(kind: TaskKind, kept: Kept, table: Table) -> list[dict[str, Any]]:
    """Those of the rows, with one for each reject where it stood."""
    answers = kind.answers(kept, [row[0] for row in table.rows]) if table.rows else []
    lines: list[dict[str, Any]] = [dict(zip(kind.says, answer, strict=True)) for answer in answers]
    for reject in reversed(table.rejects):
        lines.insert(reject.before, {**dict.fromkeys(kind.says), "reason": reject.reason})
    return lines
