"""The sequence model: embedding? → recurrent stack → linear head, on one flat parameter vector, and its loss.

A model keeps no state between calls. What a batch needs is in its workspace, what a lane carries is in its state,
and the passes take the parameters as an argument, so that several batches, each with a version of its own, can be in
flight at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..base import compiled
from ..base.arena import Arena, Arenas
from ..base.blas import one_blas_thread
from ..base.checks import ArgumentError, check_array, check_count, check_dtype, check_number, count_parts
from ..base.html import html_table
from ..base.module import Module
from ..base.parameters import Array, Layout
from ..base.ranks import Rank, lockstep
from ..cells.buffers import State
from ..layers.embedding import Embedding
from ..layers.layered import Layered
from ..layers.linear import Linear
from ..layers.pieces import STEPS
from ..layers.stack import Stack
from ..layers.stack_parameters import StackParameters
from ..losses.loss import CrossEntropyLoss, Loss, MSELoss
from ..losses.table import loss_from_config
from .batch import SequenceBatch
from .heads.table import HEADS
from .network import Network
from .passes import Passes, room
from .trainable import Shape
from .workspace import Workspace

__all__ = ["SequenceModel"]


class SequenceModel(Layered):
    """A recurrent network for sequences of indices or of features.

    - `vocabulary_size` V: the inputs are indices, embedded in `embedding_size` features; or
    - `input_size` I: the inputs are features.
    - `hidden_size`, `num_layers`, `cell`, `bias`, `dropout`, `bidirectional`, `proj_size`, `dtype`: the recurrent
      stack, see `recurrio.core.RNN`; `cell` is a name in `recurrio.core.cells.table.CELLS`.
    - `layer_norm`: whether the sums of the gates are normalised, see `recurrio.core.cells.layer_norm`; `zoneout`: the
      probability that a unit of the state keeps its value, see `recurrio.core.cells.zoneout`.
    - `embedding_dropout`, `output_dropout`: the probability that a number drops out behind the embedding, and in front
      of the linear layer of the head, as with torch's ``Dropout`` there; `dropout` is between the layers of the stack.
    - `output_size` O of the head; V where it is not given, for prediction of the next input.
    - `output`: one output a step, ``"steps"``, or one a sequence: of the ``"last"`` state, or of the ``"mean"``, the
      ``"max"`` or, weighted by learned scores, the ``"attention"`` of the outputs over the steps that exist.
    - `loss`: by default cross-entropy for indices, mean squared error for features.
    - `seed` of the initial parameters, which are those of torch's ``Embedding``, ``LSTM`` (or another) and ``Linear``
      made in that order: a whole number below 2³². With None it is drawn afresh, and kept in ``seed``.

    ``parameters`` is the flat vector ``(size,)``; ``config`` has the other arguments as plain JSON. A state is a list,
    over layers and directions in torch's order, of tuples of columns ``(units, B)``: ``(h, c)`` for an LSTM, else
    ``(h,)``. Raises ArgumentError.
    """

    def __init__(
        self,
        vocabulary_size: int | None = None,
        *,
        input_size: int | None = None,
        embedding_size: int = 64,
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        cell: str = "lstm",
        bias: bool = True,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        output_dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        output_size: int | None = None,
        output: str = "steps",
        loss: Loss | Mapping[str, Any] | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        _draw: bool = True,
    ) -> None:
        if (vocabulary_size is None) == (input_size is None):
            raise ArgumentError("vocabulary_size", "either it or input_size", (vocabulary_size, input_size))
        if vocabulary_size is not None:
            vocabulary_size = check_count("vocabulary_size", vocabulary_size)
        embedding_size = check_count("embedding_size", embedding_size)
        if output_size is None:
            output_size = vocabulary_size
        if output_size is None:
            raise ArgumentError("output_size", "a whole number of at least 1 where the inputs are features", None)
        output_size = check_count("output_size", output_size)
        embedding_dropout = check_number("embedding_dropout", embedding_dropout, 0, 1)
        if embedding_dropout and vocabulary_size is None:
            raise ArgumentError("embedding_dropout", "0 where the inputs are features", embedding_dropout)
        output_dropout = check_number("output_dropout", output_dropout, 0, 1)
        if output not in HEADS:
            raise ArgumentError("output", f"one of {', '.join(HEADS)}", repr(output))
        if loss is None:
            loss = CrossEntropyLoss() if vocabulary_size is not None else MSELoss()
        elif isinstance(loss, Mapping):
            loss = loss_from_config(loss)
        elif not isinstance(loss, Loss):
            raise ArgumentError("loss", "a loss, as CrossEntropyLoss(), or its config", repr(loss))
        dtype = check_dtype(dtype).name
        features = embedding_size if input_size is None else input_size
        sizes = (features, hidden_size, num_layers)
        stack = Stack(cell, *sizes, bias, dropout, bidirectional, proj_size, dtype, layer_norm, zoneout)
        recurrent = StackParameters(stack, draw=False)
        self.config: dict[str, Any] = {
            "vocabulary_size": vocabulary_size,
            **recurrent._arguments(),
            "input_size": None if input_size is None else stack.sizes[0].input_size,
            "embedding_size": embedding_size,
            "embedding_dropout": embedding_dropout,
            "output_dropout": output_dropout,
            "cell": cell,
            "output_size": output_size,
            "output": output,
            "loss": loss.config,
        }
        self.dtype, self.layout = stack.dtype, Layout()
        parts = (stack, vocabulary_size, output_size, HEADS[output], loss, self.layout)
        self.network = Network(*parts, embedding_dropout, output_dropout)
        self.vocabulary_size, self.embedding_size = vocabulary_size, embedding_size

        # The layers as users know them, on slices of the one vector.
        self._layers: dict[str, Module] = {}
        if vocabulary_size is not None:
            self._layers["embedding"] = Embedding(vocabulary_size, embedding_size, dtype=dtype, _draw=False)
        self._layers["rnn"] = recurrent
        self._layers |= HEADS[output].layers(stack.output_size, stack.dtype)
        self._layers["head"] = Linear(stack.output_size, output_size, dtype=dtype, _draw=False)
        self._assemble(seed, _draw)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SequenceModel:
        """The model of a ``config``, with parameters that are zeros: to be loaded, or only to compute with others.

        A ``"seed"`` in it is kept, and nothing is drawn.
        """
        return cls(**config, _draw=False)

    def _arguments(self) -> dict[str, Any]:
        loss, default = self.network.loss, MSELoss() if self.vocabulary_size is None else CrossEntropyLoss()
        size = self.network.output_size
        own = {"loss": None if loss == default else loss, "output_size": None if size == self.vocabulary_size else size}
        return {**self.config, **own}

    def facts(self) -> list[tuple[str, object]]:
        """What there is to say of it, by name: for a table."""
        stack, features = self.network.stack, self.config["input_size"]
        inputs = f"{features:,} features" if features is not None else f"{self.vocabulary_size:,} symbols"
        return [
            ("inputs", inputs),
            ("cell", f"{stack.cell.kind}, bidirectional" if stack.directions == 2 else stack.cell.kind),
            ("layers × units", f"{self.config['num_layers']} × {self.config['hidden_size']}"),
            ("outputs", f"{self.network.output_size:,}"),
            ("loss", self.network.loss),
            ("parameters", f"{self.layout.size:,} {self.dtype.name}"),
        ]

    def _repr_html_(self) -> str:
        return html_table("SequenceModel", self.facts())

    def workspace(
        self,
        steps: int,
        lanes: int,
        gradient: Array | None = None,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> Workspace:
        """Memory for batches of up to `steps` × `lanes`; `gradient` ``(size,)`` is made where it is not given."""
        gradient = np.zeros_like(self.parameters) if gradient is None else gradient
        return Workspace(self, steps, lanes, gradient, rank, arena or Arena())

    def open(self, shape: Shape, gradient: Array, losses: Array, rank: Rank, arenas: Arenas) -> Passes:
        """See `recurrio.core.model.trainable.Trainable`, as for the next one."""
        steps, lanes = shape
        folded = self.network.folds(steps, lanes)
        return Passes(self.network, steps, lanes, gradient, losses, rank, arenas, folded=folded)

    def room(self, steps: int, lanes: int, ranks: int) -> tuple[int, int]:
        """See `open`."""
        return room(self.network, steps, lanes, ranks)

    def initial_state(
        self,
        lanes: int,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> list[State]:
        """A state of zeros: for all layers and directions a tuple of columns ``(units, B)``, of the units of `rank`."""
        return self.network.stack.initial_state(lanes, rank, arena)

    def __call__(
        self,
        inputs: Array,
        state: list[State] | None = None,
        lengths: Array | None = None,
        reset: bool | Array = False,
    ) -> tuple[Array, list[State]]:
        """The outputs ``(S, B, O)`` for indices ``(T, B)`` or features ``(T, B, I)``, and the state after them.

        S is T, or 1 where the model has one output a sequence. `state` is one that a call has returned, see
        the class; None is zeros. `lengths` and `reset` are as in `SequenceBatch`. Raises ArgumentError.
        """
        self.network.check_inputs(inputs, lengths, reset)
        steps, lanes = inputs.shape[:2]
        after = self._copy(state, lanes, fresh=reset is True)
        outputs: list[Array] = []
        passes: Passes | None = None
        piece = self._piece(steps)
        for start in range(0, steps, piece):
            now = slice(start, start + piece)
            part = SequenceBatch(
                inputs[now],
                inputs[now],
                reset if isinstance(reset, bool) else reset[now],
                None if lengths is None else np.clip(lengths, start, start + len(inputs[now])) - start,
            )
            if passes is None or passes.shape[0] != len(part.inputs):
                folded, gradient = self.network.folds(steps, lanes), np.empty_like(self.parameters)
                passes = self._passes(len(part.inputs), lanes, gradient, folded=folded)
            with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
                (columns,) = lockstep([passes.outputs(self.network.blocks(self.parameters), part, after)])
            if self.network.head.streams or now.stop >= steps:
                outputs.append(np.ascontiguousarray(columns.T).reshape(-1, lanes, self.network.output_size))
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs), after

    def _piece(self, steps: int) -> int:
        """Into pieces of how many steps a sequence can be cut without a change of any bit, if only outputs are wanted.

        All of it, where a step needs what comes later, and where the last bits of the head's product depend on how many
        columns stand beside one.
        """
        network = self.network
        by_step = network.head.streams and compiled.has("product", self.dtype)
        cuts = network.stack.directions == 1 and (by_step or network.head.of_last_state)
        return STEPS if cuts else steps

    def gradient(
        self, batch: SequenceBatch, state: list[State] | None = None, *, rng: np.random.Generator | None = None
    ) -> tuple[float, Array, list[State]]:
        """The loss of `batch`, its gradient as a vector ``(size,)``, and the state after it.

        There is dropout only where an `rng` is given. Raises ArgumentError.
        """
        self.network.check(batch)
        steps, lanes = batch.inputs.shape[:2]
        after = self._copy(state, lanes, fresh=batch.reset is True)
        gradient, total = np.zeros_like(self.parameters), self.network.total(batch)
        passes = self._passes(steps, lanes, gradient, folded=self.network.folds(steps, lanes))
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            (loss,) = lockstep([passes.forward(self.network.blocks(self.parameters), batch, after, rng)])
            lockstep([passes.backward(1 / total)])
            lockstep([passes.weight_gradient()])
        return loss / total, gradient, after

    def _passes(self, steps: int, lanes: int, gradient: Array, *, folded: bool) -> Passes:
        """For one batch, in fresh memory."""
        network, arenas = self.network, Arenas(Arena(), Arena())
        return Passes(network, steps, lanes, gradient, np.empty(1), Rank(), arenas, folded=folded)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, inputs: Array, state: list[State] | None = None) -> tuple[Array, list[State]]:
        """One step, for streaming: indices ``(B,)`` or features ``(B, I)`` to outputs ``(B, O)``, and the state after.

        Models of one direction with one output a step. Raises ArgumentError.
        """
        network, (views, weights) = self.network, self.network.blocks(self.parameters)
        if not network.head.streams or network.stack.directions == 2:
            got = "bidirectional=True" if network.stack.directions == 2 else f"output={network.head.name!r}"
            raise ArgumentError("model", "one direction and one output a step", got)
        network.check_inputs(inputs[None], None, False)
        columns = views["embedding.weight"][inputs].T if network.vocabulary_size is not None else inputs.T
        carried = self._copy(state, len(inputs))
        columns = network.stack.step(weights, columns, carried)
        head = views["head.matrix"]
        return np.ascontiguousarray((head[:, 1:] @ columns + head[:, :1]).T), carried

    def _copy(self, state: list[State] | None, lanes: int, *, fresh: bool = False) -> list[State]:
        """A copy of `state` that a pass may move on. Raises ArgumentError."""
        after = self.initial_state(lanes)
        if state is not None and not fresh:
            expected = "what a call of the model returned"
            if not isinstance(state, list | tuple) or len(state) != len(after):
                raise ArgumentError("state", expected, count_parts(state))
            for part, before in zip(after, state, strict=True):
                if not isinstance(before, list | tuple) or len(before) != len(part):
                    raise ArgumentError("state", expected, f"{count_parts(before)} for a layer")
                for array, old in zip(part, before, strict=True):
                    check_array("state", old, array.shape, self.dtype)
                    np.copyto(array, old)
        return after
