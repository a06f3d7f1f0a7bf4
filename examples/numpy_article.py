"""The RNN and the LSTM of an article that builds them in NumPy, and the same numbers from this library's layers.

The functions of `recurrio.core.functional` have the article's names and layout; the layers have torch's::

    the article                       a layer
    x   (features, batch, time)       x       (T, B, I)    x.transpose(2, 1, 0)
    a   (units, batch, time)          output  (T, B, H)    a.transpose(2, 1, 0)
    a0  (units, batch)                h_0     (1, B, H)    a0.T[None]
    Wax, Waa, ba (units, 1)           weight_ih_l0, weight_hh_l0, bias_ih_l0 (H,), with a bias_hh_l0 of zeros

Run it with ``python examples/numpy_article.py``; it takes less than a second.
"""

from __future__ import annotations

import numpy as np

from recurrio.core import LSTM, RNN, Linear, LSTMState
from recurrio.core.functional import lstm_backward, lstm_forward, rnn_backward, rnn_cell_forward, rnn_forward, softmax

RNN_SHAPES = {"Waa": (5, 5), "Wax": (5, 3), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
LSTM_SHAPES = {f"{name}{gate}": (5, 8 if name == "W" else 1) for gate in "fioc" for name in "Wb"}
LSTM_SHAPES |= {"Wy": (2, 5), "by": (2, 1)}
Named = dict[str, np.ndarray]


def draw(x_shape: tuple[int, ...], shapes: dict[str, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, Named]:
    """Inputs, first hidden state and parameters: the article calls `seed(1)` and draws in this order."""
    randn = np.random.RandomState(1).randn
    return randn(*x_shape), randn(5, 10), {name: randn(*shape) for name, shape in shapes.items()}


def turn(array: np.ndarray) -> np.ndarray:
    """``(features, batch, time)`` to ``(time, batch, features)``, or back."""
    return array.transpose(2, 1, 0)


def rnn_names(Wax: np.ndarray, Waa: np.ndarray, ba: np.ndarray, second: float = 0) -> Named:
    """Parameters or gradients under the layer's names. A layer adds two biases: `ba`, and here `second` times it."""
    return {"weight_ih_l0": Wax, "weight_hh_l0": Waa, "bias_ih_l0": ba[:, 0], "bias_hh_l0": second * ba[:, 0]}


def lstm_names(named: Named, prefix: str = "", second: float = 0) -> Named:
    """The same for an LSTM: a layer has the matrices of the four gates on top of one another, in the order i f c o.

    The article's matrices act on ``[a_prev; x_t]``: the first 5 columns are the hidden weights, the others the input's.
    """
    W, b = (np.concatenate([named[f"{prefix}{letter}{gate}"] for gate in "ifco"]) for letter in "Wb")
    return rnn_names(W[:, 5:], W[:, :5], b, second)


def show_difference(what: str, article: Named, layer: Named) -> None:
    """Print how far the arrays of the two are apart at most."""
    difference = max(np.abs(article[name] - layer[name]).max() for name in article | layer)
    print(f"  largest difference of the layer's {what}: {difference:.0e}")


def the_rnn() -> None:
    """One step, all steps, and the way back; then the same with `RNN` and `Linear`."""
    xt, a_prev, parameters = draw((3, 10), RNN_SHAPES)
    a_next, yt_pred, _ = rnn_cell_forward(xt, a_prev, parameters)
    print(f"RNN, one step\n  a_next[4] = {a_next[4]}\n  yt_pred[1][:2] = {yt_pred[1][:2]}")

    x, a0, parameters = draw((3, 10, 4), RNN_SHAPES)
    a, y_pred, caches = rnn_forward(x, a0, parameters)
    print(f"RNN, four steps\n  a[4][1] = {a[4][1]}\n  y_pred[1][3] = {y_pred[1][3]}")
    da = np.random.RandomState(2).randn(*a.shape)  # what comes down from a loss
    back = rnn_backward(da, caches)
    print(f"  dx[1][2] = {back['dx'][1][2]}")

    layer, head = RNN(3, 5, dtype="float64"), Linear(5, 2, dtype="float64")
    layer.load_state_dict(rnn_names(parameters["Wax"], parameters["Waa"], parameters["ba"]))
    head.load_state_dict({"weight": parameters["Wya"], "bias": parameters["by"][:, 0]})
    output, _, tape = layer.forward(turn(x), a0.T[None])
    show_difference("outputs", {"a": a, "y": y_pred}, {"a": turn(output), "y": softmax(turn(head(output)))})

    dx, da0, gradients = layer.backward(tape, turn(da))
    # Both biases are added to the same sum, so they have the same gradient.
    article = rnn_names(back["dWax"], back["dWaa"], back["dba"], second=1) | {"x": back["dx"], "a0": back["da0"]}
    show_difference("gradients", article, gradients | {"x": turn(dx), "a0": da0[0].T})


def the_lstm() -> None:
    """All steps and the way back; then the same with `LSTM`."""
    x, a0, parameters = draw((3, 10, 7), LSTM_SHAPES)
    a, _, c, caches = lstm_forward(x, a0, parameters)
    print(f"LSTM, seven steps\n  a[4][3] = {a[4][3]}\n  c[1][2] = {c[1][2]}")
    da = np.random.RandomState(2).randn(*a.shape)
    back = lstm_backward(da, caches)

    layer = LSTM(3, 5, dtype="float64")
    layer.load_state_dict(lstm_names(parameters))
    first = LSTMState(a0.T[None], np.zeros((1, 10, 5)))  # the article's cell state starts from zeros
    output, last, tape = layer.forward(turn(x), first)
    show_difference("outputs", {"a": a, "c": c[:, :, -1]}, {"a": turn(output), "c": last.cell[0].T})

    dx, d_first, gradients = layer.backward(tape, turn(da))
    article = lstm_names(back, prefix="d", second=1) | {"x": back["dx"], "a0": back["da0"]}
    show_difference("gradients", article, gradients | {"x": turn(dx), "a0": d_first.hidden[0].T})


def main() -> None:
    """Print both."""
    with np.printoptions(linewidth=150):  # a row of numbers on one line
        the_rnn()
        the_lstm()


if __name__ == "__main__":
    main()
