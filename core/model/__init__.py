"""The sequence model, what it is trained on, and the passes of a batch cut into shards and ranks.

From the bottom up: `batch`; `network`, what a model is without its parameters; `workspace`, a batch in flight;
`sequence_model`; `shard`, some of the lanes with their state; `summary`.
"""

from .batch import SequenceBatch, shard_lanes
from .sequence_model import SequenceModel
from .shard import Shard
from .summary import summary

__all__ = ["SequenceBatch", "SequenceModel", "Shard", "shard_lanes", "summary"]
