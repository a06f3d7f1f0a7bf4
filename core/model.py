"""The sequence model: embedding → recurrent stack → linear head → cross-entropy, on one flat parameter vector.

A model keeps no state between calls. What a batch needs is in its `Workspace`, what a lane carries is in its
state, and the parameters are passed in, so that several batches, each with a version of its own, can be in
flight at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import linear
from .embedding import open_embedding
from .losses import CrossEntropy
from .lstm import LSTMSequence, LSTMState
from .parameters import Array, Layout
from .ranks import Arena, Pass, Rank, lockstep

__all__ = ["CELLS", "SequenceModel", "Workspace"]

CELLS = {"lstm": LSTMSequence}
State = list[LSTMState]


class Workspace:
    """All scratch of one batch in flight, `T` steps of `B` lanes, for one rank. Made once, reused.

    `gradient` ``(size,)`` is the vector that the backward pass writes: the whole gradient is the sum over the
    ranks. What the ranks share comes from `arena`.
    """

    def __init__(self, model: SequenceModel, steps: int, lanes: int, gradient: Array, rank: Rank, arena: Arena) -> None:
        dtype, sizes = model.dtype, model.input_sizes
        self.columns = rank.share(steps * lanes)
        self.embedding = open_embedding(steps, lanes, model.vocabulary_size, sizes[0], dtype, rank)
        sizes = [self.embedding.layer_inputs, *sizes[1:]]
        self.layers = [model.cell_type(steps, lanes, size, model.hidden_size, dtype, rank, arena) for size in sizes]
        # Each rank's part of the gradient of a layer's inputs, on its way to the layer below.
        self.d_inputs = arena.zeros((rank.count, model.hidden_size if sizes[1:] else 0, steps * lanes), dtype)
        self.d_inputs_own = self.d_inputs[rank.index]
        self.loss = CrossEntropy(model.vocabulary_size, self.columns.stop - self.columns.start, dtype)
        self.losses = arena.zeros((rank.count,), np.dtype(np.float64))
        self.rank = rank
        gradient.fill(0)
        self.gradient = gradient
        self.gradient_views = model.layout.views(gradient)


class SequenceModel:
    """Next-token model of `num_layers` recurrent layers.

    Arguments: `vocabulary_size` V, `embedding_size` I and `hidden_size` H, all at least 1; `cell`, a name in
    `CELLS`; `dtype` float32 or float64; `seed` of the initial parameters, which are drawn as torch does: embedding
    N(0, 1), recurrent layers and head uniform in ±1/√H; with None they are zeros, to be loaded.

    ``parameters`` is the flat vector ``(size,)``; the passes take it as an argument, so any version will do.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        cell: str = "lstm",
        dtype: str = "float32",
        seed: int | None = 0,
    ) -> None:
        counts = {
            "vocabulary_size": vocabulary_size,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
        }
        for name, count in counts.items():
            if type(count) is not int or count < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, got {count!r}")
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
        self.config: dict[str, Any] = {**counts, "cell": cell, "dtype": dtype}
        self.vocabulary_size, self.embedding_size = vocabulary_size, embedding_size
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.cell_type, self.dtype = CELLS[cell], np.dtype(dtype)
        self.input_sizes = [embedding_size] + [hidden_size] * (num_layers - 1)

        self.layout = Layout()
        self.layout.add("embedding", vocabulary_size, embedding_size)
        for layer, size in enumerate(self.input_sizes):
            self.layout.add(f"rnn.{layer}", *self.cell_type.matrix_shape(size, hidden_size))
        self.layout.add("head", *linear.matrix_shape(hidden_size, vocabulary_size))
        self.parameters = np.zeros(self.layout.size, self.dtype)
        if seed is not None:
            self._initialise(np.random.Generator(np.random.Philox(seed)))

    def _initialise(self, rng: np.random.Generator) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        self.load_state_dict(
            {
                name: np.asarray(
                    rng.standard_normal(array.shape)
                    if name.startswith("embedding")
                    else rng.uniform(-bound, bound, array.shape)
                )
                for name, array in self.state_dict().items()
            }
        )

    def state_dict(self, parameters: Array | None = None) -> dict[str, Array]:
        """A copy of `parameters` (the model's own by default) under torch's names and in torch's shapes."""
        views = self.layout.views(self.parameters if parameters is None else parameters)
        named = {"embedding.weight": views["embedding"].copy()}
        for layer, size in enumerate(self.input_sizes):
            arrays = self.cell_type.to_torch(views[f"rnn.{layer}"], size)
            named |= {f"rnn.{name}_l{layer}": array for name, array in arrays.items()}
        return named | {f"head.{name}": array for name, array in linear.to_torch(views["head"]).items()}

    def load_state_dict(self, named: dict[str, Array]) -> None:
        """Set ``parameters`` from arrays under torch's names.

        Raises ValueError, and changes nothing, where a name is missing or unexpected or a shape is wrong; the
        message lists all of them.
        """
        expected = self.state_dict()
        problems = [f"missing {name}" for name in expected if name not in named]
        problems += [f"unexpected {name}" for name in named if name not in expected]
        problems += [
            f"{name}: expected shape {expected[name].shape}, got {array.shape}"
            for name, array in named.items()
            if name in expected and array.shape != expected[name].shape
        ]
        if problems:
            raise ValueError("state dict does not fit the model: " + "; ".join(problems))
        views = self.layout.views(self.parameters)
        views["embedding"][...] = named["embedding.weight"]
        for layer in range(self.num_layers):
            suffix = f"_l{layer}"
            arrays = {
                name.removeprefix("rnn.").removesuffix(suffix): array
                for name, array in named.items()
                if name.startswith("rnn.") and name.endswith(suffix)
            }
            self.cell_type.from_torch(views[f"rnn.{layer}"], arrays)
        linear.from_torch(views["head"], {"weight": named["head.weight"], "bias": named["head.bias"]})

    def workspace(
        self,
        steps: int,
        lanes: int,
        gradient: Array | None = None,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> Workspace:
        """Buffers for batches of `steps` × `lanes`; `gradient` ``(size,)`` is made where it is not given."""
        gradient = np.zeros_like(self.parameters) if gradient is None else gradient
        return Workspace(self, steps, lanes, gradient, rank, arena or Arena())

    def initial_state(self, lanes: int, rank: Rank = Rank()) -> State:  # noqa: B008 (it cannot change)
        """A state of zeros for `lanes` lanes and the units of `rank`: a pair of arrays ``(H, B)`` for each layer."""
        units = rank.share(self.hidden_size)
        size = units.stop - units.start
        return [self.cell_type.initial_state(lanes, size, self.dtype) for _ in self.input_sizes]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite comes out so; the update refuses it
    def logits(self, parameters: Array, workspace: Workspace, inputs: Array, state: State) -> Array:
        """The logits ``(V, T·B)`` for tokens `inputs` ``(T, B)``, a buffer of `workspace`. Moves `state` on."""
        return lockstep([self._logits(parameters, workspace, inputs, state)])[0]

    def _logits(self, parameters: Array, workspace: Workspace, inputs: Array, state: State) -> Pass[Array]:
        views = self.layout.views(parameters)
        layers = workspace.layers
        yield from workspace.embedding.forward(layers[0], views["embedding"], views["rnn.0"], inputs, state[0])
        for index in range(1, len(layers)):
            layer, below = layers[index], layers[index - 1]
            own = below.outputs[below.units].reshape(-1, *layer.inputs.shape[1:])
            np.copyto(layer.inputs[below.units], own)
            yield from layer.forward(views[f"rnn.{index}"], state[index])
        outputs = layers[-1].outputs_and_one[:, workspace.columns]
        linear.forward(views["head"], outputs, workspace.loss.logits)
        return workspace.loss.logits

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, parameters: Array, workspace: Workspace, inputs: Array, targets: Array, state: State) -> float:
        """The summed loss of `targets` ``(T, B)`` given `inputs` ``(T, B)``, in nats. Moves `state` on."""
        return lockstep([self.forward_pass(parameters, workspace, inputs, targets, state)])[0]

    def forward_pass(
        self, parameters: Array, workspace: Workspace, inputs: Array, targets: Array, state: State
    ) -> Pass[float]:
        """`forward`, of one rank: every rank returns the loss of all."""
        yield from self._logits(parameters, workspace, inputs, state)
        workspace.losses[workspace.rank.index] = workspace.loss.forward(targets.reshape(-1)[workspace.columns])
        yield
        return float(sum(workspace.losses))

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, parameters: Array, workspace: Workspace, scale: float) -> Array:
        """The gradient vector of `scale` times the summed loss, after `forward`; it belongs to `workspace`.

        `parameters` must be what `forward` got.
        """
        lockstep([self.backward_pass(parameters, workspace, scale)])
        return workspace.gradient

    def backward_pass(self, parameters: Array, workspace: Workspace, scale: float) -> Pass[None]:
        """`backward`, of one rank: the gradients of the ranks add up to the whole."""
        views, d_views = self.layout.views(parameters), workspace.gradient_views
        layers, columns = workspace.layers, workspace.columns
        d_logits = workspace.loss.backward(scale)
        outputs, d_outputs = layers[-1].outputs_and_one[:, columns], layers[-1].d_outputs[:, columns]
        linear.backward(views["head"], outputs, d_logits, d_views["head"], d_outputs)
        yield
        for index in range(len(layers) - 1, 0, -1):
            layer, below = layers[index], layers[index - 1]
            yield from layer.backward(d_views[f"rnn.{index}"])
            layer.backward_inputs(workspace.d_inputs_own)
            yield
            np.sum(workspace.d_inputs[:, below.units], axis=0, out=below.d_outputs[below.units])
            yield
        yield from workspace.embedding.backward(
            layers[0], views["embedding"], views["rnn.0"], d_views["embedding"], d_views["rnn.0"]
        )
        yield
