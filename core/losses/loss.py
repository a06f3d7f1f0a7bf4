"""What a model is trained on: the losses, which are plain options, and the kernels that do their sums.

A loss is a frozen value. It goes to and from JSON (`Loss.config`, and `loss_from_config`), and works in two layers:

- `Loss.forward` and `Loss.backward` take arrays with the features last, like a layer's output, and check them.
- `Loss.kernel` makes the buffers for one batch, feature-major and unchecked: what a model's workspace uses. It gives
  sums; `Loss.total` is what to divide them by, so that a batch may be cut up and its sums added.

In the shapes, `F` are the features of an output (the classes, `V`), ``…`` any axes before them, `N` their product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from ..base.arena import Arena
from ..base.checks import (
    ArgumentError,
    check_array,
    check_count,
    check_flag,
    check_number,
    check_tape,
    check_unmasked,
    kind_of,
)
from ..base.parameters import Array
from .cross_entropy import CrossEntropy
from .elementwise import ElementKernel, binary, huber, squared

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "ElementLoss",
    "HuberLoss",
    "Loss",
    "LossKernel",
    "LossTape",
    "MSELoss",
]

Numbers = Sequence[float] | Array  # kept as a tuple


class LossKernel(Protocol):
    """The sum of a loss over `N` columns, and its gradient, in the buffer of the outputs.

    Write ``outputs`` ``(F, N)``, call `forward`, then at most once `backward`. Columns do not touch one another; those
    of a loss `by_lane` touch only those of their lane.
    """

    outputs: Array

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """The summed loss. `targets` ``(F, N)``, of classes ``(N,)``; `mask` ``(N,)`` bool, False: does not count.

        By lane the columns are `T` steps of `B` lanes; `targets` are ``(S, B)``, and `mask` is ``(T, B)``.
        """
        ...

    def backward(self, scale: float) -> Array:
        """`scale` times the gradient of the sum, ``(F, N)``, in the place of ``outputs``; 0 where nothing counts."""
        ...


class LossTape:
    """What `Loss.backward` needs of one `Loss.forward`; good for one use."""

    def __init__(self, kernel: LossKernel, scale: float, shape: tuple[int, ...]) -> None:
        self.kernel: LossKernel | None = kernel
        self.scale, self.shape = scale, shape


@dataclass(frozen=True)
class Loss(ABC):
    """A loss and its options.

    `reduction`: "mean" divides by what counts, "sum" does not divide. Where nothing counts, because all is masked or
    ignored, the mean is 0.0 with a gradient of 0. torch gives nan; here a batch of padding in a stream must not
    poison the weights. Raises ArgumentError for options out of range.

    `by_lane`: its sum is over lanes, ``(T, B, F)`` with targets ``(S, B)``, and not over columns.
    """

    reduction: str = field(default="mean", kw_only=True)
    name: ClassVar[str]  # in `config`
    by_lane: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise ArgumentError("reduction", "'mean' or 'sum'", repr(self.reduction))

    @property
    def config(self) -> dict[str, Any]:
        """The loss as plain JSON, from which `recurrio.core.losses.table.loss_from_config` makes an equal one."""
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"loss": self.name, **options}

    def __call__(self, outputs: Array, targets: Array, mask: Array | None = None) -> float:
        """The loss alone; see `forward`."""
        return self.forward(outputs, targets, mask)[0]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite comes out so
    def forward(self, outputs: Array, targets: Array, mask: Array | None = None) -> tuple[float, LossTape]:
        """The loss, and a tape for `backward`.

        `outputs` ``(…, F)``, float32 or float64; `targets` ``(…, F)`` of the same dtype, for cross-entropy ``(…)``
        integers; `mask` ``(…)`` bool: where it is False, nothing in `outputs` and `targets` matters, not even nan.
        Outputs that count and are not finite give a loss that is not finite. Raises ArgumentError, see `check`.
        """
        check_unmasked("outputs", outputs)
        if not isinstance(outputs, np.ndarray) or outputs.dtype not in (np.float32, np.float64) or not outputs.ndim:
            raise ArgumentError("outputs", "a float32 or float64 array (…, F)", kind_of(outputs))
        self.check(outputs.shape, outputs.dtype, targets, mask)
        features = outputs.shape[-1]
        columns = outputs.size // features
        kernel = self.kernel(features, columns, outputs.dtype)
        kernel.outputs[...] = outputs.reshape(columns, features).T
        total = self.total(targets, mask)
        if not self.by_lane:
            targets = targets.reshape(columns, -1).T if targets.ndim == outputs.ndim else targets.reshape(columns)
            mask = None if mask is None else mask.reshape(columns)
        value = kernel.forward(targets, mask) / total
        return value, LossTape(kernel, 1 / total, outputs.shape)

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, tape: LossTape) -> Array:
        """The gradient of the loss, ``(…, F)`` like the outputs. Raises ArgumentError where `tape` was used before."""
        check_tape(tape, LossTape)
        kernel, tape.kernel = tape.kernel, None
        if kernel is None:
            raise ArgumentError("tape", "the tape of a new forward", "one that was used before")
        return np.ascontiguousarray(kernel.backward(tape.scale).T).reshape(tape.shape)

    def check(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None = None) -> None:
        """Raise ArgumentError unless `targets` and `mask` fit outputs of `shape` ``(…, F)`` and `dtype`.

        There must be at least one column. A class that counts must be in range.
        """
        if 0 in shape:
            raise ArgumentError("outputs", "at least one column and one feature", str(shape))
        if mask is not None:
            check_array("mask", mask, shape[:-1], np.dtype(bool))
        self._check_targets(shape, dtype, targets, mask)

    def total(self, targets: Array, mask: Array | None = None, features: int | None = None) -> float:
        """What the sum of a whole batch, or of each of its shards, is divided by; 1.0 in place of 0.

        `targets` and `mask` are as in `forward`, and checked by the caller. `features`, `F`, is needed only where it
        is not the last axis of the targets.
        """
        return 1.0 if self.reduction == "sum" else self._count(targets, mask, features) or 1.0

    def target_array(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and dtype of the targets for outputs of `shape` ``(…, F)`` and `dtype`.

        By lane that is the most that is read: there can be fewer rows ``S``, and any further ones change nothing.
        """
        return shape, dtype

    @abstractmethod
    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> LossKernel:
        """Buffers for outputs ``(F, N)``. Raises ArgumentError where the options are for another `F`.

        Call it under ``np.errstate(over="ignore", invalid="ignore")``.
        """

    @abstractmethod
    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None: ...

    @abstractmethod
    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float: ...


@dataclass(frozen=True)
class CrossEntropyLoss(Loss):
    """Softmax cross-entropy of class targets: ``−log softmax(z)_y`` in nats; the equations are at `CrossEntropy`.

    Outputs are logits ``(…, V)``, targets ``(…)`` integers in ``0…V−1`` or `ignore_index`, which does not count.
    `weight`: for each class a finite number of at least 0, or None; the mean divides by the sum of the weights of the
    targets that count. `label_smoothing` in [0, 1]: the part of a target that is spread evenly over the classes.
    Source: ``torch.nn.CrossEntropyLoss``.
    """

    weight: Numbers | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    name = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ignore_index", check_count("ignore_index", self.ignore_index, None))
        object.__setattr__(self, "label_smoothing", check_number("label_smoothing", self.label_smoothing, 0, 1))
        object.__setattr__(self, "weight", _weights("weight", self.weight))

    def target_array(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
        """Classes."""
        return shape[:-1], np.dtype(np.int64)

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> CrossEntropy:
        """See `Loss`."""
        _check_length("weight", self.weight, features)
        return CrossEntropy(features, columns, dtype, arena, self.weight, self.ignore_index, self.label_smoothing)

    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None:
        check_array("targets", targets, shape[:-1])
        if targets.dtype.kind not in "iu":
            raise ArgumentError("targets", "an array of integers", f"{targets.dtype} {targets.shape}")
        wrong = self._counted(targets, mask) & ((targets < 0) | (targets >= shape[-1]))
        if np.count_nonzero(wrong):
            got = f"{targets[wrong][0]} at {tuple(np.argwhere(wrong)[0].tolist())}"
            raise ArgumentError("targets", f"classes in 0…{shape[-1] - 1}, or {self.ignore_index} to ignore", got)

    def _counted(self, targets: Array, mask: Array | None) -> Array:
        counted = np.not_equal(targets, self.ignore_index)
        return counted if mask is None else counted & mask

    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float:
        counted = self._counted(targets, mask)
        if self.weight is None:
            return float(np.count_nonzero(counted))
        return float(np.array(self.weight)[targets[counted]].sum())


@dataclass(frozen=True)
class ElementLoss(Loss):
    """A loss whose targets are ``(…, F)``, like the outputs; the mean divides by the elements that count.

    With `ignore_nan` a target that is NaN is a gap, which does not count.
    """

    ignore_nan: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ignore_nan", check_flag("ignore_nan", self.ignore_nan))

    @property
    def config(self) -> dict[str, Any]:
        """See `Loss`. Without gaps it is that of before there were any."""
        config = super().config
        return config if config.pop("ignore_nan") is False else {**config, "ignore_nan": True}

    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None:
        check_array("targets", targets, shape, dtype)

    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float:
        if self.ignore_nan:
            known = ~np.isnan(targets)
            return float(np.count_nonzero(known if mask is None else known[mask]))
        return float(targets.size if mask is None else mask.sum() * (features or targets.shape[-1]))


@dataclass(frozen=True)
class MSELoss(ElementLoss):
    """Squared error: ``(z − y)²``.

    Outputs and targets ``(…, F)``; `ignore_nan`: a target that is NaN does not count. Source: ``torch.nn.MSELoss``.
    """

    name = "mse"

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> ElementKernel:
        """See `Loss`."""
        kernel = ("squared",)
        return ElementKernel(squared, 1, features, columns, dtype, arena, ignore_nan=self.ignore_nan, kernel=kernel)


@dataclass(frozen=True)
class HuberLoss(ElementLoss):
    """Squared error near 0, absolute error far off: with ``d = z − y``, ``d²/2`` or ``δ·(|d| − δ/2)`` from ``δ`` on.

    Outputs and targets ``(…, F)``; `delta` is above 0; `ignore_nan`: a target that is NaN does not count.
    Source: ``torch.nn.HuberLoss``.
    """

    delta: float = 1.0
    name = "huber"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "delta", check_number("delta", self.delta, 0, open_low=True))

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> ElementKernel:
        """See `Loss`."""
        rule, kernel = partial(huber, self.delta), ("huber", self.delta)
        return ElementKernel(rule, 1, features, columns, dtype, arena, ignore_nan=self.ignore_nan, kernel=kernel)


@dataclass(frozen=True)
class BCEWithLogitsLoss(ElementLoss):
    """Binary cross-entropy of logits: ``−p·y·log σ(z) − (1−y)·log(1 − σ(z))``, for targets from 0 to 1.

    Outputs and targets ``(…, F)``. `pos_weight`: ``p`` for each of the `F` features, a finite number of at least 0;
    with None it is 1. The mean does not divide by it. `ignore_nan`: a target that is NaN does not count.
    Source: ``torch.nn.BCEWithLogitsLoss``.
    """

    pos_weight: Numbers | None = None
    name = "bce_with_logits"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "pos_weight", _weights("pos_weight", self.pos_weight))

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> ElementKernel:
        """See `Loss`."""
        _check_length("pos_weight", self.pos_weight, features)
        positive = 1.0 if self.pos_weight is None else np.array(self.pos_weight, dtype)[:, None]
        rule = partial(binary, positive)
        return ElementKernel(rule, 4, features, columns, dtype, arena, ignore_nan=self.ignore_nan)


def _weights(argument: str, values: Any) -> tuple[float, ...] | None:  # noqa: ANN401 (anything may come)
    if values is None:
        return None
    check_unmasked(argument, values)
    row = np.array(values, object)
    if row.ndim != 1:
        raise ArgumentError(argument, "a row of numbers", repr(values))
    return tuple(check_number(argument, value, 0) for value in row)


def _check_length(argument: str, values: Numbers | None, features: int) -> None:
    if values is not None and len(values) != features:
        raise ArgumentError(argument, f"{features} numbers, one for each output feature", len(values))
