"""The pipeline: trio stages linked by memory channels, around the core.

Its rooms, from the bottom up: `flow`, channels and groups of tasks; `observe`, what a run says of itself; `sources`
bring bytes, `decoding` says what they mean, and `lanes` make batches of that, of a text or of records; `tasks` say what
rows of a file are to be trained for; `export` makes ONNX graphs of models; `checkpoint`, what a run goes on from;
`plan`, what it is to do; `executors`, where it computes; the `stages`; `training`, the trainer and what wires the
stages up; `serving`, a run that can be asked; `command`, the command line. `testing` has helpers for parts of one's
own.

What is exported is imported when it is first asked for, because `command` answers signals before NumPy and trio load.
"""

TYPE_CHECKING = False  # that of typing, which takes longer to import than all the command does before it answers

if TYPE_CHECKING:
    from .checkpoint import CheckpointError, Checkpoints
    from .decoding.recordings import Recordings, read_recordings
    from .decoding.table import read_table
    from .decoding.text_lines import TextLines, open_lines
    from .export import ExportError, to_onnx
    from .flow.channels import Receiver, Sender
    from .lanes import open_source
    from .lanes.challenger import Challenge
    from .lanes.forecast import Forecast
    from .lanes.fresh import FreshBatches
    from .lanes.open_records import open_records
    from .lanes.predictor import Predictor
    from .lanes.ragged import RaggedBatches
    from .lanes.records import Records
    from .observe.history import History
    from .observe.reports import Report
    from .observe.timeline import Timeline
    from .observe.watchdog import StageHungError
    from .plan.messages import Backwarded, Forwarded, Loaded
    from .serving.server import serve
    from .sources import SourceError
    from .tasks import Classification, Transcription, Translation
    from .training.epochs import BestEpoch, train_epochs
    from .training.fit import fit
    from .training.trainer import Trainer

__all__ = [
    "Backwarded",
    "BestEpoch",
    "Challenge",
    "CheckpointError",
    "Checkpoints",
    "Classification",
    "ExportError",
    "Forecast",
    "Forwarded",
    "FreshBatches",
    "History",
    "Loaded",
    "Predictor",
    "RaggedBatches",
    "Receiver",
    "Recordings",
    "Records",
    "Report",
    "Sender",
    "SourceError",
    "StageHungError",
    "TextLines",
    "Timeline",
    "Trainer",
    "Transcription",
    "Translation",
    "fit",
    "open_lines",
    "open_records",
    "open_source",
    "read_recordings",
    "read_table",
    "serve",
    "to_onnx",
    "train_epochs",
]

_HOMES = {
    "Backwarded": "plan.messages",
    "BestEpoch": "training.epochs",
    "Challenge": "lanes.challenger",
    "CheckpointError": "checkpoint",
    "Checkpoints": "checkpoint",
    "Classification": "tasks",
    "ExportError": "export",
    "Forecast": "lanes.forecast",
    "Forwarded": "plan.messages",
    "FreshBatches": "lanes.fresh",
    "History": "observe.history",
    "Loaded": "plan.messages",
    "Predictor": "lanes.predictor",
    "RaggedBatches": "lanes.ragged",
    "Receiver": "flow.channels",
    "Recordings": "decoding.recordings",
    "Records": "lanes.records",
    "Report": "observe.reports",
    "Sender": "flow.channels",
    "SourceError": "sources",
    "StageHungError": "observe.watchdog",
    "TextLines": "decoding.text_lines",
    "Timeline": "observe.timeline",
    "Trainer": "training.trainer",
    "Transcription": "tasks",
    "Translation": "tasks",
    "fit": "training.fit",
    "open_lines": "decoding.text_lines",
    "open_records": "lanes.open_records",
    "open_source": "lanes",
    "read_recordings": "decoding.recordings",
    "read_table": "decoding.table",
    "serve": "serving.server",
    "to_onnx": "export",
    "train_epochs": "training.epochs",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
