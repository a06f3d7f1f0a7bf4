"""The functions of the article: its numbers, gradients against differences, torch, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurrio.core import functional
from recurrio.core.base.checks import ArgumentError
from recurrio.core.functional import rnn_cell_forward, rnn_forward, sigmoid, softmax

n_x, m, n_a, n_y, T_x = 3, 4, 5, 2, 6
Named = dict[str, np.ndarray]

SHAPES = {
    "rnn": {"Wax": (n_a, n_x), "Waa": (n_a, n_a), "ba": (n_a, 1), "Wya": (n_y, n_a), "by": (n_y, 1)},
    "lstm": {
        **dict.fromkeys(("Wf", "Wi", "Wc", "Wo"), (n_a, n_a + n_x)),
        **dict.fromkeys(("bf", "bi", "bc", "bo"), (n_a, 1)),
        "Wy": (n_y, n_a),
        "by": (n_y, 1),
    },
    "gru": {
        **dict.fromkeys(("Wr", "Wz"), (n_a, n_a + n_x)),
        **dict.fromkeys(("br", "bz", "bnx", "bna"), (n_a, 1)),
        "Wnx": (n_a, n_x),
        "Wna": (n_a, n_a),
        "Wya": (n_y, n_a),
        "by": (n_y, 1),
    },
}
OUTPUT = ("Wya", "Wy", "by")  # no gradient: da comes from behind the output layer
STATES = {"rnn": ("a_prev",), "lstm": ("a_prev", "c_prev"), "gru": ("a_prev",)}
CELL_ARGUMENTS = [
    (kind, name) for kind in SHAPES for name in ("xt", *STATES[kind], *SHAPES[kind]) if name not in OUTPUT
]
ARGUMENTS = [(kind, name) for kind in SHAPES for name in ("x", "a0", *SHAPES[kind]) if name not in OUTPUT]


def call(name: str, *arguments: Any) -> Any:  # noqa: ANN401 (the functions differ)
    """Call a function of the module by name, so that a planted one is called too."""
    return getattr(functional, name)(*arguments)


def draw(kind: str, dtype: str = "float64", seed: int = 0) -> tuple[Named, Named]:
    """Random parameters, and random arguments and gradients from outside by name."""
    rng = np.random.default_rng(seed)
    parameters = {name: rng.standard_normal(shape).astype(dtype) * 0.7 for name, shape in SHAPES[kind].items()}
    shapes = {"xt": (n_x, m), "x": (n_x, m, T_x), "da": (n_a, m, T_x)}
    shapes |= dict.fromkeys(("a_prev", "c_prev", "a0", "da_next", "dc_next"), (n_a, m))
    return parameters, {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def cell_loss(kind: str, parameters: Named, given: Named) -> tuple[float, Named]:
    """One step: ``Σ da_next ⊙ a_next``, and for an LSTM ``+ Σ dc_next ⊙ c_next``; with its gradients."""
    states = STATES[kind]
    *outputs, _, cache = call(f"{kind}_cell_forward", given["xt"], *(given[name] for name in states), parameters)
    from_outside = [given["da_next"], given["dc_next"]][: len(states)]
    loss = sum(float(np.sum(d * output)) for d, output in zip(from_outside, outputs, strict=True))
    return loss, call(f"{kind}_cell_backward", *from_outside, cache)


def loss_over_time(kind: str, parameters: Named, given: Named) -> tuple[float, Named]:
    """All steps: ``Σ da ⊙ a``, with its gradients."""
    a, *_, caches = call(f"{kind}_forward", given["x"], given["a0"], parameters)
    return float(np.sum(given["da"] * a)), call(f"{kind}_backward", given["da"], caches)


def gradient_error(loss: Any, kind: str, name: str) -> float:  # noqa: ANN401 (one of the two above)
    """Relative error of the gradient of `name` along a random direction."""
    parameters, given = draw(kind)
    direction = np.random.default_rng(1).standard_normal((parameters | given)[name].shape)
    h = 1e-3  # the five-point rule: its error is of order h⁴, and rounding is divided by h

    def ahead(steps: int) -> float:
        groups = ({**group} for group in (parameters, given))
        moved = [
            {key: array + steps * h * direction if key == name else array for key, array in group.items()}
            for group in groups
        ]
        return loss(kind, *moved)[0]

    numeric = (8 * (ahead(1) - ahead(-1)) - (ahead(2) - ahead(-2))) / (12 * h)
    analytic = float(np.sum(loss(kind, parameters, given)[1][f"d{name}"] * direction))
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic))


# The article's numbers.


def article(*shape: int) -> tuple[np.ndarray, np.ndarray, Named]:
    """The article's inputs `x` of `shape`, first hidden state and parameters, in its order of drawing."""
    randn = np.random.RandomState(1).randn
    x, a = randn(*shape), randn(5, 10)
    shapes = {"Waa": (5, 5), "Wax": (5, 3), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
    return x, a, {name: randn(*shape) for name, shape in shapes.items()}


def test_the_articles_step() -> None:
    a_next, yt_pred, _ = rnn_cell_forward(*article(3, 10))
    expected = (
        "0.59584544 0.18141802 0.61311866 0.99808218 0.85016201 0.99980978 -0.18887155 0.99815551 0.6531151 0.82872037"
    )
    np.testing.assert_allclose(a_next[4], [float(number) for number in expected.split()], rtol=0, atol=1e-8)
    np.testing.assert_allclose(yt_pred[1][:2], [0.9888161, 0.01682021], rtol=0, atol=1e-8)
    assert a_next.shape == (5, 10)
    assert yt_pred.shape == (2, 10)


def test_the_articles_sequence() -> None:
    a, y_pred, caches = rnn_forward(*article(3, 10, 4))
    for actual, expected in [
        (a[4][1], [-0.99999375, 0.77911235, -0.99861469, -0.99833267]),
        (y_pred[1][3], [0.79560373, 0.86224861, 0.11118257, 0.81515947]),
        (caches[1][1][3], [-1.1425182, -0.34934272, -0.20889423, 0.58662319]),
    ]:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)
    assert len(caches) == 2
    assert a.shape == (5, 10, 4)
    assert y_pred.shape == (2, 10, 4)


def test_the_notebooks_gradients() -> None:
    randn = np.random.RandomState(1).randn
    x, a0 = randn(3, 10, 4), randn(5, 10)
    shapes = {"Wax": (5, 3), "Waa": (5, 5), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
    parameters = {name: randn(*shape) for name, shape in shapes.items()}
    gradients = functional.rnn_backward(randn(5, 10, 4), rnn_forward(x, a0, parameters)[2])
    for actual, expected in [
        (gradients["dx"][1][2], [-2.07101689, -0.59255627, 0.02466855, 0.01483317]),
        (gradients["da0"][2][3], -0.314942375127),
        (gradients["dWax"][3][1], 11.2641044965),
        (gradients["dWaa"][1][2], 2.30333312658),
        (gradients["dba"][4], [-0.74747722]),
    ]:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)


# The two functions.


def test_the_sigmoid_is_precise_and_overflows_nowhere() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ends = sigmoid(np.array([-np.inf, -1e4, -40.0, 0.0, 40.0, 1e4, np.inf]))
    np.testing.assert_allclose(ends, [0, 0, np.exp(-40), 0.5, 1, 1, 1], rtol=1e-15)
    x = np.linspace(-30, 30, 101)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-14)


def test_the_softmax_is_over_axis_0_and_overflows_nowhere() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = softmax(np.array([[1e4, 0.0], [1e4, 1.0], [-1e4, 2.0]]))
    powers = np.exp([0.0, 1.0, 2.0])
    np.testing.assert_allclose(y, np.transpose([[0.5, 0.5, 0], powers / powers.sum()]), rtol=1e-14)


# The gradients.


@pytest.mark.parametrize(("kind", "name"), CELL_ARGUMENTS)
def test_the_gradients_of_a_step(kind: str, name: str) -> None:
    assert gradient_error(cell_loss, kind, name) < 1e-6


@pytest.mark.parametrize(("kind", "name"), ARGUMENTS)
def test_the_gradients_over_time(kind: str, name: str) -> None:
    assert gradient_error(loss_over_time, kind, name) < 1e-6


@pytest.mark.parametrize("kind", SHAPES)
def test_there_is_a_gradient_for_each_argument_and_no_other(kind: str) -> None:
    for loss, arguments in ((cell_loss, CELL_ARGUMENTS), (loss_over_time, ARGUMENTS)):
        parameters, given = draw(kind)
        gradients = loss(kind, parameters, given)[1]
        assert gradients.keys() == {f"d{name}" for of, name in arguments if of == kind}
        for name, gradient in gradients.items():
            assert gradient.shape == (parameters | given)[name[1:]].shape, name


@pytest.mark.parametrize("kind", SHAPES)
def test_a_planted_error_is_caught(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, last = getattr(functional, f"{kind}_cell_backward"), list(STATES[kind])[-1]
    weights = {"rnn": "Waa", "lstm": "Wf", "gru": "Wna"}[kind]
    spoiled, factor = f"d{weights}", 1 + 1e-5

    def wrong(*arguments: Any) -> Named:  # noqa: ANN401 (passed on)
        gradients = right(*arguments)
        return gradients | {spoiled: gradients[spoiled] * factor}

    monkeypatch.setattr(functional, f"{kind}_cell_backward", wrong)
    assert gradient_error(cell_loss, kind, weights) > 1e-6
    assert gradient_error(loss_over_time, kind, weights) > 1e-6
    # The article's own error: what flows back through time does not arrive.
    spoiled, factor = f"d{last}", 0
    assert gradient_error(cell_loss, kind, weights) < 1e-6
    assert gradient_error(loss_over_time, kind, weights) > 1e-6


# Over time.


@pytest.mark.parametrize("kind", SHAPES)
def test_all_steps_are_one_step_after_the_other(kind: str) -> None:
    parameters, given = draw(kind)
    a, y, *c, caches = call(f"{kind}_forward", given["x"], given["a0"], parameters)
    state = [given["a0"], np.zeros((n_a, m))][: len(STATES[kind])]
    for t in range(T_x):
        *state, yt_pred, _ = call(f"{kind}_cell_forward", given["x"][:, :, t], *state, parameters)
        for over_time, at_t in zip((a, *c, y), (*state, yt_pred), strict=True):
            assert np.array_equal(over_time[:, :, t], at_t)
    assert len(caches[0]) == T_x
    assert caches[1] is given["x"]


@pytest.mark.parametrize("kind", SHAPES)
def test_the_dtype_follows_the_inputs(kind: str) -> None:
    parameters, given = draw(kind, "float32")
    outputs = call(f"{kind}_forward", given["x"], given["a0"], parameters)[:-1]
    gradients = [loss(kind, parameters, given)[1] for loss in (cell_loss, loss_over_time)]
    assert {array.dtype.name for array in (*outputs, *gradients[0].values(), *gradients[1].values())} == {"float32"}


# The second opinion.


def torch_weights(kind: str, named: Named) -> Named:
    """Arrays under the names and in the gate order of a layer of torch; ``bias_hh`` of the other gates is left out."""
    if kind == "rnn":
        return {"weight_ih_l0": named["Wax"], "weight_hh_l0": named["Waa"], "bias_ih_l0": named["ba"][:, 0]}
    gates = "rz" if kind == "gru" else "ifco"
    hh, ih = np.split(np.concatenate([named[f"W{gate}"] for gate in gates]), [n_a], axis=1)
    bias = np.concatenate([named[f"b{gate}"][:, 0] for gate in gates])
    if kind == "gru":
        hh, ih = np.concatenate((hh, named["Wna"])), np.concatenate((ih, named["Wnx"]))
        bias = np.concatenate((bias, named["bnx"][:, 0]))
    return {"weight_ih_l0": ih, "weight_hh_l0": hh, "bias_ih_l0": bias}


@pytest.mark.parametrize("kind", SHAPES)
def test_forward_and_backward_agree_with_torch(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    parameters, given = draw(kind)
    a, y, *c, caches = call(f"{kind}_forward", given["x"], given["a0"], parameters)
    gradients = call(f"{kind}_backward", given["da"], caches)

    net = getattr(torch.nn, kind.upper())(n_x, n_a).double()
    with torch.no_grad():
        net.bias_hh_l0.zero_()
        for name, array in torch_weights(kind, parameters).items():
            getattr(net, name).copy_(torch.from_numpy(array))
        if kind == "gru":
            net.bias_hh_l0[-n_a:] = torch.from_numpy(parameters["bna"][:, 0])
    x = torch.from_numpy(given["x"].transpose(2, 1, 0).copy()).requires_grad_()  # (T_x, m, n_x)
    a0 = torch.from_numpy(given["a0"].T[None].copy()).requires_grad_()
    outputs, last = net(x, (a0, torch.zeros_like(a0)) if kind == "lstm" else a0)
    outputs.backward(torch.from_numpy(given["da"].transpose(2, 1, 0).copy()))

    def agree(theirs: Any, ours: np.ndarray, name: str) -> None:  # noqa: ANN401 (a tensor)
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-10, err_msg=name)

    output_weights = torch.from_numpy(parameters["Wy" if kind == "lstm" else "Wya"])
    logits = outputs @ output_weights.T + torch.from_numpy(parameters["by"][:, 0])
    agree(outputs, a.transpose(2, 1, 0), "a")
    agree(logits.softmax(2), y.transpose(2, 1, 0), "y")
    for cells in c:
        agree(last[1][0], cells[:, :, -1].T, "c")
    agree(x.grad, gradients["dx"].transpose(2, 1, 0), "dx")
    agree(a0.grad[0], gradients["da0"].T, "da0")
    for name, gradient in torch_weights(kind, {name[1:]: array for name, array in gradients.items()}).items():
        agree(getattr(net, name).grad, gradient, name)
    if kind == "gru":
        agree(net.bias_hh_l0.grad[-n_a:], gradients["dbna"][:, 0], "dbna")


# What is refused.


@pytest.mark.parametrize("kind", SHAPES)
def test_a_missing_parameter_is_named(kind: str) -> None:
    for missing in SHAPES[kind]:
        parameters, given = draw(kind)
        del parameters[missing]
        states = [given[name] for name in STATES[kind]]
        for function, arguments in (
            (f"{kind}_cell_forward", (given["xt"], *states)),
            (f"{kind}_forward", (given["x"], given["a0"])),
        ):
            with pytest.raises(ArgumentError, match=f"^parameters: .*, got none for {missing}$"):
                call(function, *arguments, parameters)


@pytest.mark.parametrize("kind", SHAPES)
def test_arguments_in_the_wrong_order_are_refused(kind: str) -> None:
    parameters, given = draw(kind)
    with pytest.raises(ArgumentError, match=r"^parameters: expected a dict of arrays, got ndarray$"):
        call(f"{kind}_forward", given["x"], parameters, given["a0"])


@pytest.mark.parametrize("kind", SHAPES)
def test_a_parameter_of_the_wrong_shape_is_named(kind: str) -> None:
    for name in SHAPES[kind]:
        parameters, given = draw(kind)
        parameters[name] = parameters[name][:, 0]  # a bias of n_a numbers would broadcast over n_a examples
        with pytest.raises(ArgumentError, match=f"^{name}: "):
            call(f"{kind}_forward", given["x"], given["a0"], parameters)


@pytest.mark.parametrize("kind", SHAPES)
def test_an_argument_of_the_wrong_shape_is_named(kind: str) -> None:
    parameters, given = draw(kind)
    for function, names in ((f"{kind}_cell_forward", ("xt", *STATES[kind])), (f"{kind}_forward", ("x", "a0"))):
        for name in names:
            right = given[name]
            for wrong in (right[1:], right[:, :0], right[..., None], right.tolist()):
                arguments = [wrong if other == name else given[other] for other in names]
                with pytest.raises(ArgumentError, match=f"^{name}: "):
                    call(function, *arguments, parameters)
    with pytest.raises(ArgumentError, match=r"^a0: expected an array \(5, 4\), got float64 \(5, 1\)$"):
        call(f"{kind}_forward", given["x"], given["a0"][:, :1], parameters)  # would broadcast
    with pytest.raises(ArgumentError, match=r"^x: .*, each at least 1, got \(3, 4, 0\)$"):
        call(f"{kind}_forward", given["x"][:, :, :0], given["a0"], parameters)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_gradient_of_the_wrong_shape_is_named(kind: str) -> None:
    parameters, given = draw(kind)
    states = [given[name] for name in STATES[kind]]
    cache = call(f"{kind}_cell_forward", given["xt"], *states, parameters)[-1]
    caches = call(f"{kind}_forward", given["x"], given["a0"], parameters)[-1]
    from_outside = {name: given[name] for name in ("da_next", "dc_next")[: len(states)]}
    for name in from_outside:
        wrong = from_outside | {name: given[name][:, :1]}
        with pytest.raises(ArgumentError, match=f"^{name}: "):
            call(f"{kind}_cell_backward", *wrong.values(), cache)
    for da in (given["da"][:, :1], given["da"][:, :, :-1], given["da"][:, :, 0]):
        with pytest.raises(ArgumentError, match=r"^da: "):
            call(f"{kind}_backward", da, caches)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_weights_without_columns_for_the_inputs_are_named(kind: str) -> None:
    parameters, given = draw(kind)
    name = "Wf" if kind == "lstm" else "Wr"
    parameters[name] = parameters[name][:, :n_a]
    with pytest.raises(ArgumentError, match=f"^{name}: .*each at least 1"):
        call(f"{kind}_forward", given["x"], given["a0"], parameters)
