"""A run of the command that can be asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from ...core.base.checks import ArgumentError
from ..flow.group import open_group
from ..lanes.records import Records
from ..sources import SourceError
from ..training.trainer import Trainer
from .job import Job

__all__ = ["serving"]


@asynccontextmanager
async def serving(job: Job, trainer: Trainer, records: Records | None = None) -> AsyncIterator[None]:
    """Let `trainer` be asked as long as the block goes on, if that is wanted. Raises SourceError."""
    address = job.sinks.serve
    if address is None:
        yield
        return
    try:
        from ..serving.server import find_token, serve
    except ImportError as error:
        raise SourceError(f"--serve needs {error.name}: pip install 'recurrio[serve]'") from None
    checkpoints = None if job.saving is None else job.saving.checkpoints
    try:
        token = find_token(job.sinks.token)
        start = partial(serve, trainer, records, address=address, token=token, checkpoints=checkpoints)
        async with open_group() as group:
            job.display.say(f"serving on {await group.start(partial(start, on_problem=job.display.warn))}")
            yield
    except ArgumentError as error:
        if error.argument not in ("serve", "token"):
            raise
        raise SourceError(f"--serve {address}: expected {error.expected}, got {error.got}") from None
