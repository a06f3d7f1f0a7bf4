"""The layers that users know from torch, and the stack of cells under them."""

from .embedding import Embedding
from .linear import Linear
from .recurrent import Tape
from .rnn_lstm_gru import GRU, LSTM, RNN, LSTMState
from .stack import Stack

__all__ = ["GRU", "LSTM", "RNN", "Embedding", "LSTMState", "Linear", "Stack", "Tape"]
