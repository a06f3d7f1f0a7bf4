"""The sequence model, what it is trained on, and the passes of a batch cut into shards and ranks.

From the bottom up: `batch`; `trainable`, what any model has to have; `heads`, from a stack's outputs to the loss;
`network`, what a model is without its parameters; `passes` over the batches of one shape; `workspace`, a batch in
flight; `sequence_model`; `run_memory`, the arrays of a run that outlive a batch; `shard`, some of the lanes with their
state. Beside them `summary`, and `forecaster`, single steps from a table of states.
"""

from .batch import SequenceBatch, shard_lanes
from .sequence_model import SequenceModel
from .shard import Shard
from .summary import summary

__all__ = ["SequenceBatch", "SequenceModel", "Shard", "shard_lanes", "summary"]
