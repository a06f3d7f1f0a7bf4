"""The RNN, LSTM and GRU as plain functions, for reading and learning: forward and backward, one step and all steps.

Every function takes arrays and a dict of parameters, and returns arrays. Nothing is kept between calls; what the
backward pass needs is in the `cache` that the forward pass returns. A cache refers to its arguments and does not
copy them, so change no array between the two passes.

Shapes are those of the article, with columns as examples: ``n_x`` input features, ``n_a`` hidden units, ``n_y``
outputs, ``m`` examples, ``T_x`` time steps. So a step's input `xt` is ``(n_x, m)``, the whole input `x` is
``(n_x, m, T_x)``, a hidden state is ``(n_a, m)``. The dtype follows the inputs. In the equations ``·`` is the matrix
product, ``⊙`` the element-wise product, ``σ`` the sigmoid, and ``[a; x]`` is `a` on top of `x`.

The backward functions start from the gradient of the hidden states, `da`, which the caller has already brought
through the output layer. They therefore give no gradient for that layer (``Wya``, ``Wy`` and ``by``). A gradient has
the name of its array with a ``d`` in front, and its shape. All are true gradients: those over time include what
flows back from later steps.

Every public function for a cell raises ArgumentError for a missing parameter, or for an array of the wrong shape.

Source: "Building a recurrent neural network step by step", from the course "Sequence models" (Ng et al.,
deeplearning.ai), for the names, the RNN and the LSTM; ``torch.nn.GRU`` for the GRU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base.checks import ArgumentError, check_array
from .base.parameters import Array

__all__ = [
    "gru_backward",
    "gru_cell_backward",
    "gru_cell_forward",
    "gru_forward",
    "lstm_backward",
    "lstm_cell_backward",
    "lstm_cell_forward",
    "lstm_forward",
    "rnn_backward",
    "rnn_cell_backward",
    "rnn_cell_forward",
    "rnn_forward",
    "sigmoid",
    "softmax",
]

Named = dict[str, Array]  # parameters or gradients, by name
Cache = tuple[Any, ...]  # of one step
Caches = tuple[list[Cache], Array]  # of all steps, and x

# A bias comes before the weights, so that n_a is known when a weight is checked.
_RNN = ("ba", "by", "Wax", "Waa", "Wya")
_LSTM = ("bf", "bi", "bc", "bo", "by", "Wf", "Wi", "Wc", "Wo", "Wy")
_GRU = ("br", "bz", "bnx", "bna", "by", "Wr", "Wz", "Wnx", "Wna", "Wya")
_SHAPES: dict[str, tuple[str | int, ...]] = {
    **dict.fromkeys(("ba", "bf", "bi", "bc", "bo", "br", "bz", "bnx", "bna"), ("n_a", 1)),
    **dict.fromkeys(("Wf", "Wi", "Wc", "Wo", "Wr", "Wz"), ("n_a", "n_a+n_x")),
    **dict.fromkeys(("Wax", "Wnx"), ("n_a", "n_x")),
    **dict.fromkeys(("Waa", "Wna"), ("n_a", "n_a")),
    **dict.fromkeys(("Wya", "Wy"), ("n_y", "n_a")),
    **dict.fromkeys(("a_prev", "c_prev", "a0"), ("n_a", "m")),
    "by": ("n_y", 1),
    "xt": ("n_x", "m"),
    "x": ("n_x", "m", "T_x"),
}


def _check(parameters: Named, names: tuple[str, ...], **arrays: Array) -> None:
    """Raise ArgumentError unless `parameters` has all `names`, and they and `arrays` fit together, none empty."""
    if not isinstance(parameters, dict):
        raise ArgumentError("parameters", "a dict of arrays", type(parameters).__name__)
    if missing := [name for name in names if name not in parameters]:
        raise ArgumentError("parameters", f"the keys {', '.join(names)}", f"none for {', '.join(missing)}")
    lengths: dict[str | int, int] = {}
    for name, array in ({name: parameters[name] for name in names} | arrays).items():
        shape = _SHAPES[name]
        check_array(name, array, tuple(lengths.get(length, length) for length in shape))
        lengths.update(zip(shape, array.shape, strict=True))
        if "n_a+n_x" in lengths:
            lengths["n_x"] = lengths["n_a+n_x"] - lengths["n_a"]
        if min(lengths.values()) < 1:
            raise ArgumentError(name, f"an array ({', '.join(map(str, shape))}), each at least 1", f"{array.shape}")


def sigmoid(x: Array) -> Array:
    """``σ(x) = 1 / (1 + exp(−x))``, element by element. It never overflows. Same shape and dtype as `x`.

    Written as ``exp(min(x, 0)) / (1 + exp(−|x|))``, where no power is above 1, and precise however small.
    """
    above: Array = np.exp(np.minimum(x, 0))
    below: Array = 1 + np.exp(-np.abs(x))
    return above / below


def softmax(x: Array) -> Array:
    """``exp(x) / Σ exp(x)`` over axis 0, so that each column sums to 1. It never overflows. Same shape as `x`."""
    powers: Array = np.exp(x - x.max(axis=0, keepdims=True))
    total: Array = powers.sum(axis=0, keepdims=True)
    return powers / total


def rnn_cell_forward(xt: Array, a_prev: Array, parameters: Named) -> tuple[Array, Array, Cache]:
    """One step of the RNN: from `xt` ``(n_x, m)`` and `a_prev` ``(n_a, m)`` to ``a_next, yt_pred, cache``.

    ::

        a_next = tanh(Wax·xt + Waa·a_prev + ba)      (n_a, m)
        yt_pred = softmax(Wya·a_next + by)           (n_y, m)

    The parameters are ``Wax`` ``(n_a, n_x)``, ``Waa`` ``(n_a, n_a)``, ``Wya`` ``(n_y, n_a)``, ``ba`` ``(n_a, 1)`` and
    ``by`` ``(n_y, 1)``. The cache is ``(a_next, a_prev, xt, parameters)``.
    """
    _check(parameters, _RNN, xt=xt, a_prev=a_prev)
    ba, by, Wax, Waa, Wya = (parameters[name] for name in _RNN)
    a_next = np.tanh(Wax @ xt + Waa @ a_prev + ba)
    yt_pred = softmax(Wya @ a_next + by)
    return a_next, yt_pred, (a_next, a_prev, xt, parameters)


def rnn_forward(x: Array, a0: Array, parameters: Named) -> tuple[Array, Array, Caches]:
    """The RNN over all steps of `x` ``(n_x, m, T_x)`` from `a0` ``(n_a, m)``.

    Returns `a` ``(n_a, m, T_x)``, `y_pred` ``(n_y, m, T_x)`` and ``(the caches of the steps, x)``.
    """
    _check(parameters, _RNN, x=x, a0=a0)
    a_next, steps = a0, []
    for t in range(x.shape[2]):
        a_next, yt_pred, cache = rnn_cell_forward(x[:, :, t], a_next, parameters)
        steps.append((a_next, yt_pred, cache))
    a, y_pred, caches = zip(*steps, strict=True)
    return np.stack(a, axis=2), np.stack(y_pred, axis=2), (list(caches), x)


def rnn_cell_backward(da_next: Array, cache: Cache) -> Named:
    """The gradients dxt, da_prev, dWax, dWaa and dba of one step, from `da_next` ``(n_a, m)``.

    ::

        ds = da_next ⊙ (1 − a_next²)        s is what the tanh is taken of
        dxt = Waxᵀ·ds        da_prev = Waaᵀ·ds
        dWax = ds·xtᵀ        dWaa = ds·a_prevᵀ        dba = Σ ds over the examples
    """
    a_next, a_prev, xt, parameters = cache
    check_array("da_next", da_next, a_next.shape)
    ds = da_next * (1 - a_next**2)
    return {
        "dxt": parameters["Wax"].T @ ds,
        "da_prev": parameters["Waa"].T @ ds,
        "dWax": ds @ xt.T,
        "dWaa": ds @ a_prev.T,
        "dba": ds.sum(axis=1, keepdims=True),
    }


def rnn_backward(da: Array, caches: Caches) -> Named:
    """The gradients dx, da0, dWax, dWaa and dba over all steps.

    `da` ``(n_a, m, T_x)`` is what arrives at each ``a_t`` from outside; what the next step sends back is added here.
    """
    steps, _ = caches
    check_array("da", da, (*steps[0][0].shape, len(steps)))
    da_prev, dx, totals = np.zeros_like(da[:, :, 0]), [], Named()
    for t in reversed(range(len(steps))):
        step = rnn_cell_backward(da[:, :, t] + da_prev, steps[t])
        dx.append(step.pop("dxt"))
        da_prev = step.pop("da_prev")
        totals = {name: totals.get(name, 0) + gradient for name, gradient in step.items()}
    return {"dx": np.stack(dx[::-1], axis=2), "da0": da_prev, **totals}


def lstm_cell_forward(xt: Array, a_prev: Array, c_prev: Array, parameters: Named) -> tuple[Array, Array, Array, Cache]:
    """One step of the LSTM: from `xt` ``(n_x, m)``, `a_prev` and `c_prev` to ``a_next, c_next, yt_pred, cache``.

    ::

        ft = σ(Wf·[a_prev; xt] + bf)        it = σ(Wi·[a_prev; xt] + bi)
        ot = σ(Wo·[a_prev; xt] + bo)        cct = tanh(Wc·[a_prev; xt] + bc)
        c_next = ft ⊙ c_prev + it ⊙ cct     a_next = ot ⊙ tanh(c_next)
        yt_pred = softmax(Wy·a_next + by)

    The hidden states and cell states are ``(n_a, m)``, `yt_pred` is ``(n_y, m)``. The parameters are ``Wf``, ``Wi``,
    ``Wc``, ``Wo`` ``(n_a, n_a+n_x)``, ``bf``, ``bi``, ``bc``, ``bo`` ``(n_a, 1)``, ``Wy`` ``(n_y, n_a)`` and ``by``
    ``(n_y, 1)``. The cache is ``(a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)``.
    """
    _check(parameters, _LSTM, xt=xt, a_prev=a_prev, c_prev=c_prev)
    bf, bi, bc, bo, by, Wf, Wi, Wc, Wo, Wy = (parameters[name] for name in _LSTM)
    a_x = np.concatenate((a_prev, xt))
    ft = sigmoid(Wf @ a_x + bf)
    it = sigmoid(Wi @ a_x + bi)
    cct = np.tanh(Wc @ a_x + bc)
    ot = sigmoid(Wo @ a_x + bo)
    c_next = ft * c_prev + it * cct
    a_next = ot * np.tanh(c_next)
    yt_pred = softmax(Wy @ a_next + by)
    return a_next, c_next, yt_pred, (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)


def lstm_forward(x: Array, a0: Array, parameters: Named) -> tuple[Array, Array, Array, Caches]:
    """The LSTM over all steps of `x` ``(n_x, m, T_x)`` from `a0` ``(n_a, m)`` and a cell state of zeros.

    Returns, in this order, `a` ``(n_a, m, T_x)``, `y` ``(n_y, m, T_x)``, `c` ``(n_a, m, T_x)`` and
    ``(the caches of the steps, x)``.
    """
    _check(parameters, _LSTM, x=x, a0=a0)
    a_next, c_next, steps = a0, np.zeros_like(a0), []
    for t in range(x.shape[2]):
        a_next, c_next, yt_pred, cache = lstm_cell_forward(x[:, :, t], a_next, c_next, parameters)
        steps.append((a_next, yt_pred, c_next, cache))
    a, y, c, caches = zip(*steps, strict=True)
    return np.stack(a, axis=2), np.stack(y, axis=2), np.stack(c, axis=2), (list(caches), x)


def lstm_cell_backward(da_next: Array, dc_next: Array, cache: Cache) -> Named:
    """The gradients of one step, from `da_next` and `dc_next` ``(n_a, m)``: dxt, da_prev, dc_prev, dWf … dbo.

    `dc_next` is what reaches ``c_next`` past ``a_next``. With ``dc`` the whole gradient of ``c_next``, and ``sf``,
    ``si``, ``sc``, ``so`` what the activations of ft, it, cct and ot are taken of::

        dc = dc_next + da_next ⊙ ot ⊙ (1 − tanh²(c_next))        dc_prev = dc ⊙ ft
        dsf = dc ⊙ c_prev ⊙ ft ⊙ (1 − ft)        dsi = dc ⊙ cct ⊙ it ⊙ (1 − it)
        dsc = dc ⊙ it ⊙ (1 − cct²)               dso = da_next ⊙ tanh(c_next) ⊙ ot ⊙ (1 − ot)
        [da_prev; dxt] = Wfᵀ·dsf + Wiᵀ·dsi + Wcᵀ·dsc + Woᵀ·dso
        dWf = dsf·[a_prev; xt]ᵀ        dbf = Σ dsf over the examples        and so for i, c and o
    """
    a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters = cache
    check_array("da_next", da_next, a_next.shape)
    check_array("dc_next", dc_next, c_next.shape)
    tanh_c = np.tanh(c_next)
    dc = dc_next + da_next * ot * (1 - tanh_c**2)
    ds = {
        "f": dc * c_prev * ft * (1 - ft),
        "i": dc * cct * it * (1 - it),
        "c": dc * it * (1 - cct**2),
        "o": da_next * tanh_c * ot * (1 - ot),
    }
    a_x = np.concatenate((a_prev, xt))
    da_x = np.sum([parameters[f"W{gate}"].T @ ds[gate] for gate in ds], axis=0)
    return {
        "dxt": da_x[len(a_prev) :],
        "da_prev": da_x[: len(a_prev)],
        "dc_prev": dc * ft,
        **{f"dW{gate}": ds[gate] @ a_x.T for gate in ds},
        **{f"db{gate}": ds[gate].sum(axis=1, keepdims=True) for gate in ds},
    }


def lstm_backward(da: Array, caches: Caches) -> Named:
    """The gradients over all steps: dx, da0, dWf, dWi, dWc, dWo, dbf, dbi, dbc and dbo.

    `da` ``(n_a, m, T_x)`` is what arrives at each ``a_t`` from outside, and nothing arrives at ``c_t``; what the next
    step sends back to both is added here.
    """
    steps, _ = caches
    check_array("da", da, (*steps[0][0].shape, len(steps)))
    da_prev, dx, totals = np.zeros_like(da[:, :, 0]), [], Named()
    dc_prev = np.zeros_like(da_prev)
    for t in reversed(range(len(steps))):
        step = lstm_cell_backward(da[:, :, t] + da_prev, dc_prev, steps[t])
        dx.append(step.pop("dxt"))
        da_prev, dc_prev = step.pop("da_prev"), step.pop("dc_prev")
        totals = {name: totals.get(name, 0) + gradient for name, gradient in step.items()}
    return {"dx": np.stack(dx[::-1], axis=2), "da0": da_prev, **totals}


def gru_cell_forward(xt: Array, a_prev: Array, parameters: Named) -> tuple[Array, Array, Cache]:
    """One step of the GRU: from `xt` ``(n_x, m)`` and `a_prev` ``(n_a, m)`` to ``a_next, yt_pred, cache``.

    ::

        r = σ(Wr·[a_prev; xt] + br)         z = σ(Wz·[a_prev; xt] + bz)
        k = Wna·a_prev + bna                n = tanh(Wnx·xt + bnx + r ⊙ k)
        a_next = (1 − z) ⊙ n + z ⊙ a_prev   yt_pred = softmax(Wya·a_next + by)

    This is the form of torch and cuDNN, where `r` acts after the product; in Cho et al. (2014) it acts before, as in
    `recurrio.core.cells.gru_reset_before`: ``k = Wna·(r ⊙ a_prev) + bna``, ``n = tanh(Wnx·xt + bnx + k)``. The
    parameters are ``Wr``, ``Wz`` ``(n_a, n_a+n_x)``, ``Wnx`` ``(n_a, n_x)``, ``Wna`` ``(n_a, n_a)``, ``Wya``
    ``(n_y, n_a)``, ``br``, ``bz``, ``bnx``, ``bna`` ``(n_a, 1)`` and ``by`` ``(n_y, 1)``. `a_next` is ``(n_a, m)``,
    `yt_pred` is ``(n_y, m)``. The cache is ``(a_next, a_prev, r, z, n, k, xt, parameters)``.
    """
    _check(parameters, _GRU, xt=xt, a_prev=a_prev)
    br, bz, bnx, bna, by, Wr, Wz, Wnx, Wna, Wya = (parameters[name] for name in _GRU)
    a_x = np.concatenate((a_prev, xt))
    r = sigmoid(Wr @ a_x + br)
    z = sigmoid(Wz @ a_x + bz)
    k = Wna @ a_prev + bna
    n = np.tanh(Wnx @ xt + bnx + r * k)
    a_next = (1 - z) * n + z * a_prev
    yt_pred = softmax(Wya @ a_next + by)
    return a_next, yt_pred, (a_next, a_prev, r, z, n, k, xt, parameters)


def gru_forward(x: Array, a0: Array, parameters: Named) -> tuple[Array, Array, Caches]:
    """The GRU over all steps of `x` ``(n_x, m, T_x)`` from `a0` ``(n_a, m)``.

    Returns `a` ``(n_a, m, T_x)``, `y_pred` ``(n_y, m, T_x)`` and ``(the caches of the steps, x)``.
    """
    _check(parameters, _GRU, x=x, a0=a0)
    a_next, steps = a0, []
    for t in range(x.shape[2]):
        a_next, yt_pred, cache = gru_cell_forward(x[:, :, t], a_next, parameters)
        steps.append((a_next, yt_pred, cache))
    a, y_pred, caches = zip(*steps, strict=True)
    return np.stack(a, axis=2), np.stack(y_pred, axis=2), (list(caches), x)


def gru_cell_backward(da_next: Array, cache: Cache) -> Named:
    """The gradients of one step, from `da_next` ``(n_a, m)``: dxt, da_prev, and those of the eight parameters.

    With ``sr``, ``sz``, ``sn`` what the activations of r, z and n are taken of::

        dsn = da_next ⊙ (1 − z) ⊙ (1 − n²)       dsz = da_next ⊙ (a_prev − n) ⊙ z ⊙ (1 − z)
        dsr = dsn ⊙ k ⊙ r ⊙ (1 − r)              dk = dsn ⊙ r
        [da_prev; dxt] = Wrᵀ·dsr + Wzᵀ·dsz + [Wnaᵀ·dk + da_next ⊙ z; Wnxᵀ·dsn]
        dWr = dsr·[a_prev; xt]ᵀ    dWz = dsz·[a_prev; xt]ᵀ    dWnx = dsn·xtᵀ    dWna = dk·a_prevᵀ
        dbr, dbz, dbnx, dbna = Σ dsr, dsz, dsn, dk over the examples
    """
    a_next, a_prev, r, z, n, k, xt, parameters = cache
    check_array("da_next", da_next, a_next.shape)
    dsn = da_next * (1 - z) * (1 - n**2)
    dsz = da_next * (a_prev - n) * z * (1 - z)
    dsr = dsn * k * r * (1 - r)
    dk = dsn * r
    a_x = np.concatenate((a_prev, xt))
    da_x = parameters["Wr"].T @ dsr + parameters["Wz"].T @ dsz
    ds = {"r": (dsr, a_x), "z": (dsz, a_x), "nx": (dsn, xt), "na": (dk, a_prev)}
    return {
        "dxt": da_x[len(a_prev) :] + parameters["Wnx"].T @ dsn,
        "da_prev": da_x[: len(a_prev)] + parameters["Wna"].T @ dk + da_next * z,
        **{f"dW{name}": gradient @ factor.T for name, (gradient, factor) in ds.items()},
        **{f"db{name}": gradient.sum(axis=1, keepdims=True) for name, (gradient, _) in ds.items()},
    }


def gru_backward(da: Array, caches: Caches) -> Named:
    """The gradients over all steps: dx, da0, and those of the eight parameters.

    `da` ``(n_a, m, T_x)`` is what arrives at each ``a_t`` from outside; what the next step sends back is added here.
    """
    steps, _ = caches
    check_array("da", da, (*steps[0][0].shape, len(steps)))
    da_prev, dx, totals = np.zeros_like(da[:, :, 0]), [], Named()
    for t in reversed(range(len(steps))):
        step = gru_cell_backward(da[:, :, t] + da_prev, steps[t])
        dx.append(step.pop("dxt"))
        da_prev = step.pop("da_prev")
        totals = {name: totals.get(name, 0) + gradient for name, gradient in step.items()}
    return {"dx": np.stack(dx[::-1], axis=2), "da0": da_prev, **totals}
