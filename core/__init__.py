"""The NumPy core: everything numeric, with no concurrency in it.

From the bottom up: `parameters` (one flat vector), `errors`, `masks`, `ranks`; the cells `rnn`, `lstm` and `gru` on
the buffers of `sequence`, and their table, `cells`; `stack` (layers × directions); `recurrent`, `linear` and
`embedding`; `losses`, `optimizers`, `clipping` and `schedules`; `network`, `workspace` and `model` put them together;
`shard` cuts the work up by lanes; `serial` is the plain training loop that the pipeline is tested against;
`vocabulary`, `text` and `weights` are the model's way to files and text. `functional` stands apart: the cells as one
writes them to learn.

The shape alphabet of every docstring: `T` time steps, `B` lanes (rows of a batch), `I` input features, `H` hidden
units, `P` output units (`H`, or those of a projection), `V` vocabulary size, `O` or `F` outputs, `L` layers,
`D` directions.
"""

from .batch import SequenceBatch, shard_lanes
from .clipping import clip_norm, clip_value
from .embedding import Embedding
from .errors import ArgumentError
from .gradcheck import directional_error
from .linear import Linear
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, MSELoss
from .model import SequenceModel
from .module import StateDictError
from .optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from .recurrent import GRU, LSTM, RNN, LSTMState
from .schedules import ConstantLR, CosineLR, PlateauLR, StepLR
from .serial import NonFiniteError
from .summary import summary
from .text import TextModel
from .vocabulary import ByteVocabulary, CharVocabulary
from .weights import WeightsError, load_weights, save_weights

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ArgumentError",
    "BCEWithLogitsLoss",
    "ByteVocabulary",
    "CharVocabulary",
    "ConstantLR",
    "CosineLR",
    "CrossEntropyLoss",
    "Embedding",
    "HuberLoss",
    "LSTMState",
    "Linear",
    "MSELoss",
    "NonFiniteError",
    "PlateauLR",
    "RMSprop",
    "SequenceBatch",
    "SequenceModel",
    "StateDictError",
    "StepLR",
    "TextModel",
    "WeightsError",
    "clip_norm",
    "clip_value",
    "directional_error",
    "load_weights",
    "save_weights",
    "shard_lanes",
    "summary",
]
