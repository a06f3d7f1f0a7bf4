"""The options of the optimizers: what each one refuses."""

from __future__ import annotations

from typing import Any

import pytest

from recurrio.core import SGD, Adagrad, Adam, AdamW, ArgumentError, RMSprop

NONSENSE = [
    *[
        (optimizer, "lr", {"lr": lr})
        for optimizer in (SGD, RMSprop, Adagrad, Adam, AdamW)
        for lr in (0, -1, float("nan"), float("inf"), "0.1", None)
    ],
    *[(optimizer, "weight_decay", {"weight_decay": -0.1}) for optimizer in (SGD, RMSprop, Adagrad, Adam, AdamW)],
    *[(optimizer, "eps", {"eps": 0}) for optimizer in (RMSprop, Adagrad, Adam, AdamW)],
    *[(optimizer, "momentum", {"momentum": -0.1}) for optimizer in (SGD, RMSprop)],
    (SGD, "dampening", {"momentum": 0.9, "dampening": 1.5}),
    (SGD, "nesterov", {"nesterov": True}),
    (SGD, "nesterov", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    *[(RMSprop, "alpha", {"alpha": alpha}) for alpha in (-0.1, 1, float("nan"), "0.9")],
    (Adagrad, "lr_decay", {"lr_decay": -1}),
    (Adagrad, "initial_accumulator_value", {"initial_accumulator_value": float("inf")}),
    *[
        (optimizer, "betas", {"betas": betas})
        for optimizer in (Adam, AdamW)
        for betas in ((0.9, 1), (-0.1, 0.9), (0.9,), 0.9, (0.9, None))
    ],
]


@pytest.mark.parametrize(("optimizer", "argument", "arguments"), NONSENSE)
def test_nonsense_raises_and_names_the_argument(optimizer: type[Any], argument: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument}: expected .*, got ") as caught:
        optimizer(**arguments)
    assert caught.value.argument == argument
