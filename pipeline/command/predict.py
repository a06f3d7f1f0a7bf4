"""Forecasts of records, and answers to rows of a task, with a trained model, from the command line."""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np
import trio

from ...core.base.safetensors import WeightsError
from ...core.online.record_model import RecordModel
from ..decoding.fields import Fields
from ..decoding.formats import format_of
from ..decoding.options import RecordOptions
from ..decoding.quarantine import Quarantine
from ..lanes.blocks import DecodedBlocks
from ..lanes.predictor import Predictor
from ..sources import open_transport
from .folder import model_path
from .outputs import Outputs
from .predict_task import predict_rows, task_of
from .predictions import PredictionWriter
from .values import fields_of

__all__ = ["predict"]


def predict(arguments: argparse.Namespace) -> int:
    """Write a line for each record, or row, that the options name, in order; the exit code. Raises OSError …"""
    path = arguments.model
    if os.path.isdir(path):
        path = model_path(path)
    if arguments.rejects is not None:
        Outputs({"MODEL": path, "SOURCE": arguments.source}).claim("--rejects", arguments.rejects)
    task, given = task_of(path), fields_of(RecordOptions, vars(arguments))
    model = RecordModel.load(path) if task is None else task[0].load(path)
    if not np.isfinite(model.model.parameters).all():
        raise WeightsError(f"{os.fspath(path)}: the weights are not finite; nothing can be forecast with them")
    if task is not None and given:
        option = next(iter(given)).replace("_", "-")
        raise ValueError(f"--{option}: is for records, and this model was trained for a task")
    with Quarantine(arguments.rejects) as quarantine:
        where = arguments.source, arguments.format
        if isinstance(model, RecordModel):
            trio.run(_predict, model, *where, RecordOptions(**given, answers=False), quarantine)
        elif task is not None:
            trio.run(predict_rows, task[0], model, task[1], *where, quarantine)
    if quarantine.count:
        reasons = ", ".join(f"{count:,} × {kind}" for kind, count in quarantine.kinds.items())
        what = "records" if task is None else "rows"
        print(f"recurrio: warning: {quarantine.count:,} {what} were rejected: {reasons}", file=sys.stderr)
    return 0


async def _predict(
    model: RecordModel, source: str, form: str | None, options: RecordOptions, quarantine: Quarantine
) -> None:
    async with open_transport(source) as transport:
        blocks = DecodedBlocks(transport, form or format_of(source), Fields.of(model.encoder.schema), options)
        predictor, writer = Predictor(model), PredictionWriter("-", model.encoder)
        while True:
            try:
                block = await blocks.receive()
            except trio.EndOfChannel:
                return
            quarantine.add(block.rejects)
            writer.write(predictor.lines(block))
