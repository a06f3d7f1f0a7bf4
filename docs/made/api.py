"""The directives for all that a module exports, in groups, and how its signatures are set."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from itertools import chain
from typing import Any

__all__ = ["GROUPS", "api_text", "is_to_be_skipped", "shorten"]

# How Sphinx writes some things in signatures, and what is to stand there.
SHORT = {
    r"~?(?:numpy\.)?ndarray\[~?(?:typing\.)?Any, ~?(?:numpy\.)?dtype\[~?(?:typing\.)?Any\]\]": "Array",
    r"~?[\w.]*TypeAliasForwardRef\('(\w+)'\)": r"\1",  # an alias in a union
    r" = <.+?>(?=, \w+:|\)$)": " = ...",  # a default that a factory makes, without which the rest cannot be read
}

# What belongs together, for a reader. In a group the order is that of ``__all__``.
GROUPS = {
    "recurrio.core": {
        "Layers": "GRU LSTM RNN LSTMState Linear Embedding",
        "Models": "SequenceModel EncoderDecoder SequenceBatch shard_lanes summary",
        "Text and sound": "TextModel TextClassifier Translator Transcriber Listener ByteVocabulary CharVocabulary "
        "WordVocabulary SubwordVocabulary ctc_beam ctc_greedy log_mel normalise_utterance",
        "Losses": "BCEWithLogitsLoss CTCLoss CrossEntropyLoss HuberLoss IntervalLoss MSELoss",
        "Optimizers": "Optimizer SGD Adagrad Adam AdamW RMSprop",
        "Schedules and clipping": "Schedule ConstantLR CosineLR PlateauLR StepLR clip_norm clip_value",
        "Weights and gradients": "load_weights save_weights directional_error",
        "Errors": "ArgumentError NonFiniteError StateDictError WeightsError",
    },
    "recurrio.core.seq2seq": {"What a model writes": "Alignment Hypothesis Translated beam greedy"},
    "recurrio.core.functional": {
        "RNN": "rnn_cell_forward rnn_forward rnn_cell_backward rnn_backward",
        "LSTM": "lstm_cell_forward lstm_forward lstm_cell_backward lstm_backward",
        "GRU": "gru_cell_forward gru_forward gru_cell_backward gru_backward",
        "Activations": "sigmoid softmax",
    },
    "recurrio.pipeline": {
        "Training": "Trainer fit Report Checkpoints History Timeline",
        "Sources": "Records Predictor open_records open_lines TextLines open_source Forecast Challenge",
        "Tasks": "Classification Translation Transcription read_table read_recordings Recordings RaggedBatches "
        "FreshBatches train_epochs BestEpoch",
        "A run that is asked, a model that leaves": "serve to_onnx",
        "Stages of your own": "Loaded Forwarded Backwarded Receiver Sender",
        "Errors": "CheckpointError ExportError SourceError StageHungError",
    },
}


def api_text(name: str) -> str:
    """A section for each group of the module. Raises ValueError unless each name that it exports is in one group."""
    module = import_module(name)
    groups = {title: names.split() for title, names in GROUPS[name].items()}
    if sorted(chain.from_iterable(groups.values())) != sorted(module.__all__):
        raise ValueError(f"{name}: expected each of __all__ in one of GROUPS, in docs/made/api.py")
    return "\n".join(_section(title, name, sorted(groups[title], key=module.__all__.index)) for title in groups)


def _section(title: str, module: str, names: list[str]) -> str:
    directives = "\n".join(_directive(f"{module}.{name}", getattr(import_module(module), name)) for name in names)
    return f"\n## {title}\n\n```{{eval-rst}}\n{directives}\n```\n"


def _directive(name: str, value: object) -> str:
    if not inspect.isclass(value):
        return f".. autofunction:: {name}\n"
    if issubclass(value, Exception):
        return f".. autoexception:: {name}\n"
    return f".. autoclass:: {name}\n   :members:\n   :inherited-members: object, tuple, Generic\n"


def shorten(*event: Any) -> tuple[str | None, ...]:  # noqa: ANN401 (Sphinx's "autodoc-process-signature")
    """The signature, and what is returned, in short."""
    signature, returned = event[-2:]
    for long, short in SHORT.items():
        signature, returned = (part and re.sub(long, short, part) for part in (signature, returned))
    return signature, returned


def is_to_be_skipped(*event: Any) -> bool | None:  # noqa: ANN401 (Sphinx's "autodoc-skip-member")
    """Whether it is a field of a named tuple, of which Python itself says its number; the signature has them all."""
    return (getattr(event[3], "__doc__", None) or "").startswith("Alias for field number") or None
