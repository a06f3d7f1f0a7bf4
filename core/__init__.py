"""The NumPy core: everything numeric, with no concurrency in it.

Its rooms, from the bottom up: `base`, what all stand on; the `cells`; the `losses` and `optim`, from a gradient to the
next parameters; the `layers`, which torch's users know; the `model`, with the batches it is trained on; `text`;
`seq2seq`, from one sequence to another; `audio`. On top, `training_state` is all that the next batch depends on, and
`serial` the plain training loop that the pipeline is tested against. Beside them, `gradcheck` checks a gradient, and
`functional` has the cells as one writes them to learn.

The shape alphabet of every docstring: `T` time steps, `B` lanes (rows of a batch), `I` input features, `H` hidden
units, `P` output units (`H`, or those of a projection), `V` vocabulary size, `O` or `F` outputs, `L` layers,
`D` directions.
"""

from .audio import Listener, Transcriber, log_mel, normalise_utterance
from .base.checks import ArgumentError
from .base.module import StateDictError
from .base.safetensors import WeightsError, load_weights, save_weights
from .gradcheck import directional_error
from .layers.embedding import Embedding
from .layers.linear import Linear
from .layers.rnn_lstm_gru import GRU, LSTM, RNN, LSTMState
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, CTCLoss, HuberLoss, IntervalLoss, MSELoss
from .model.batch import SequenceBatch, shard_lanes
from .model.sequence_model import SequenceModel
from .model.summary import summary
from .optim.clipping import clip_norm, clip_value
from .optim.optimizer import Optimizer
from .optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from .optim.schedules import ConstantLR, CosineLR, PlateauLR, Schedule, StepLR
from .optim.updater import NonFiniteError
from .seq2seq.encoder_decoder import EncoderDecoder
from .seq2seq.translator import Translator
from .text.ctc_decoding import ctc_beam, ctc_greedy
from .text.text_classifier import TextClassifier
from .text.text_model import TextModel
from .text.vocabularies import ByteVocabulary, CharVocabulary, SubwordVocabulary, WordVocabulary

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
    "CTCLoss",
    "CharVocabulary",
    "ConstantLR",
    "CosineLR",
    "CrossEntropyLoss",
    "Embedding",
    "EncoderDecoder",
    "HuberLoss",
    "IntervalLoss",
    "LSTMState",
    "Linear",
    "Listener",
    "MSELoss",
    "NonFiniteError",
    "Optimizer",
    "PlateauLR",
    "RMSprop",
    "Schedule",
    "SequenceBatch",
    "SequenceModel",
    "StateDictError",
    "StepLR",
    "SubwordVocabulary",
    "TextClassifier",
    "TextModel",
    "Transcriber",
    "Translator",
    "WeightsError",
    "WordVocabulary",
    "clip_norm",
    "clip_value",
    "ctc_beam",
    "ctc_greedy",
    "directional_error",
    "load_weights",
    "log_mel",
    "normalise_utterance",
    "save_weights",
    "shard_lanes",
    "summary",
]
