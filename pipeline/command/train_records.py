"""Training on records from the command line."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..checkpoint.checkpoints import Output
from ..decoding.quarantine import Quarantine
from ..observe.reports import Report
from ..sinks import is_sink, open_sink
from .job import Job
from .predictions import PredictionWriter
from .rejects import Rejects
from .serving import serving

__all__ = ["train_records"]

SECOND = 1.0


async def train_records(job: Job) -> None:
    """Train as the settings of `job` say."""
    settings, display, run, sinks = job.settings, job.display, job.outcome, job.sinks
    assert settings.records is not None

    def on_report(report: Report) -> None:
        job.opening.cancel()
        note(report)
        display.report(report, {})

    async with AsyncExitStack() as stack:
        sink = None
        if sinks.predictions is not None and is_sink(sinks.predictions):
            sink = await stack.enter_async_context(open_sink(sinks.predictions, display.say))
        quarantine = stack.enter_context(Quarantine(sinks.rejects, **sinks.how("rejects")))
        rejects = Rejects(quarantine, display, verbose=sinks.verbose)
        outputs: dict[str, Output] = {"rejects": quarantine}
        hooks = {"on_reject": rejects.add, "on_warning": display.warn, "on_notice": display.say, **job.journals}
        async with settings.open_records(**hooks) as records:
            if sinks.predictions is not None:
                writer = PredictionWriter(sinks.predictions, records.encoder, **sinks.how("predictions"), sink=sink)
                stack.callback(writer.close)
                records.on_forecasts, records.before_more = writer, None if sink is None else sink.room
                outputs["predictions"] = writer
            make = partial(settings.make_model, records)
            model = await trio.to_thread.run_sync(make, abandon_on_cancel=True)
            job.begin(model, records.encoder)
            trainer = settings.make_trainer(model)
            run.trainer, run.records = trainer, records
            job.go_on(trainer, records, partial(records.trained, model), outputs)
            note = job.sayer(trainer)
            inputs = f"{records.encoder.input_size} inputs, {records.encoder.output_size} outputs"
            job.describe(model, inputs, "keys", trainer)
            every = sinks.report_every or SECOND
            async with serving(job, trainer, records):
                await trainer.run(records, on_report=on_report, report_every=every, **job.how(trainer))
            if not trainer.step:  # and so none was reported
                display.count(records.report())
