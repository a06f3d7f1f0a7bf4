"""The NumPy core: everything numeric, with no concurrency in it.

From the bottom up: `parameters` (one flat vector), the layers `embedding`, `lstm` and `linear`, `losses`,
`optimizers`; `model` puts them together; `ranks` and `shard` cut its work up, by hidden units and by lanes; `serial`
is the plain training loop that the pipeline is tested against; `vocabulary`, `text` and `weights` are the model's
way to files and text.

The shape alphabet of every docstring: `T` time steps, `B` lanes (rows of a batch), `I` input features, `H` hidden
units, `V` vocabulary size, `L` layers.
"""

from .batch import SequenceBatch, shard_lanes
from .model import SequenceModel, Workspace
from .optimizers import Adagrad, Adam
from .serial import NonFiniteError
from .text import TextModel
from .vocabulary import ByteVocabulary, CharVocabulary
from .weights import WeightsError, load_weights, save_weights

__all__ = [
    "Adagrad",
    "Adam",
    "ByteVocabulary",
    "CharVocabulary",
    "NonFiniteError",
    "SequenceBatch",
    "SequenceModel",
    "TextModel",
    "WeightsError",
    "Workspace",
    "load_weights",
    "save_weights",
    "shard_lanes",
]
