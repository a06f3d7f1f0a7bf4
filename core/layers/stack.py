"""Layers × directions on top of the cells: what a stack of recurrent layers is, and its passes over a workspace.

The output of a layer is the input of the next; with two directions, the outputs of both side by side. A reverse
direction is the same kernel over the steps in the opposite order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.arena import Arena, Arenas
from ..base.checks import ArgumentError, check_count, check_dtype, check_flag, check_number
from ..base.columns import copy_columns
from ..base.parameters import Array, Layout
from ..base.product import Product, multiply
from ..base.ranks import Pass, Rank
from ..cells.buffers import LayerSize, State, Weights
from ..cells.layer_norm import LayerNorm
from ..cells.loop import Loop
from ..cells.masks import Masks
from ..cells.table import CELLS
from ..cells.zoneout import mixed
from .dropout import draw_kept

__all__ = ["Stack", "StackWorkspace"]


class Stack:
    """The architecture of `num_layers` recurrent layers; it holds no parameters.

    `cell` is a name in `recurrio.core.cells.table.CELLS`; `hidden_size` one width, or one for each layer; `dropout` the
    probability that an output of a layer is dropped on its way to the next; `layer_norm` and `zoneout` are those of
    `recurrio.core.cells.layer_norm` and `recurrio.core.cells.zoneout`. ``sizes`` has one `LayerSize` for each
    layer, ``directions`` is 1 or 2, ``output_size`` is D·P of the last layer, and
    ``names`` has torch's suffix of the parameters, and the size, of all layers and directions.

    Lists over "layers and directions" are in torch's order: layer 0 forward, layer 0 reverse, layer 1 forward, …
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: str = "float32",
        layer_norm: bool = False,
        zoneout: float = 0.0,
    ) -> None:
        if not isinstance(cell, str) or cell not in CELLS:
            raise ArgumentError("cell", f"one of {', '.join(CELLS)}", repr(cell))
        check_dtype(dtype)
        input_size = check_count("input_size", input_size)
        num_layers = check_count("num_layers", num_layers)
        given = hidden_size if isinstance(hidden_size, Sequence) else [hidden_size] * num_layers
        widths = [check_count("hidden_size", width) for width in given]
        if len(widths) != num_layers:
            raise ArgumentError("hidden_size", f"one width, or {num_layers} (num_layers)", hidden_size)
        bias, bidirectional = check_flag("bias", bias), check_flag("bidirectional", bidirectional)
        proj_size = check_count("proj_size", proj_size, 0)
        if proj_size and not CELLS[cell].projects:
            takers = ", ".join(name for name, other in CELLS.items() if other.projects)
            raise ArgumentError("proj_size", f"0 for a cell of {cell} (it is for {takers})", proj_size)
        if proj_size >= min(widths):
            raise ArgumentError("proj_size", f"less than hidden_size, {min(widths)}", proj_size)
        self.cell, self.dtype = CELLS[cell], np.dtype(dtype)
        self.layer_norm, self.zoneout = check_flag("layer_norm", layer_norm), check_number("zoneout", zoneout, 0, 1)
        if self.layer_norm and not self.cell.normalises:
            raise ArgumentError("layer_norm", f"False for a cell of {cell}", layer_norm)
        if self.layer_norm:
            self.cell = LayerNorm(self.cell)
        elif self.zoneout:
            self.cell = self.cell.plain()
        self.dropout = check_number("dropout", dropout, 0, 1)
        self.directions = 2 if bidirectional else 1
        self.sizes: list[LayerSize] = []
        for width in widths:
            self.sizes.append(LayerSize(input_size, width, proj_size, bias))
            input_size = self.directions * self.sizes[-1].output_size
        self.output_size = input_size
        endings = ("", "_reverse")[: self.directions]
        self.names = [(f"l{layer}{ending}", size) for layer, size in enumerate(self.sizes) for ending in endings]
        # For each part of the state, the units of all layers and directions.
        self.state_sizes = list(zip(*(self.cell.state_sizes(size) for _, size in self.names), strict=True))

    @property
    def most_ranks(self) -> int:
        """How many ranks can share the units of every layer."""
        return min(self.cell.most_ranks(size) for size in self.sizes)

    def add_to(self, layout: Layout) -> None:
        """Append the blocks of all layers and directions to `layout`."""
        for name, size in self.names:
            for block, shape in self.cell.shapes(size).items():
                layout.add(f"{name}.{block}", *shape)

    def weights(self, views: dict[str, Array], prefix: str = "") -> list[Weights]:
        """The blocks of all layers and directions among the `views` of a vector."""
        return [
            tuple(views[f"{prefix}{name}.{block}"] for block in self.cell.shapes(size)) for name, size in self.names
        ]

    def to_torch(self, weights: list[Weights]) -> dict[str, Array]:
        """A copy of the parameters, or of gradients, under torch's names."""
        return {
            f"{key}_{name}": array
            for (name, size), blocks in zip(self.names, weights, strict=True)
            for key, array in self.cell.to_torch(blocks, size).items()
        }

    def from_torch(self, weights: list[Weights], named: dict[str, Array]) -> None:
        """Write parameters under torch's names into `weights`."""
        for (name, size), blocks in zip(self.names, weights, strict=True):
            ending = f"_{name}"
            arrays = {key.removesuffix(ending): array for key, array in named.items() if key.endswith(ending)}
            self.cell.from_torch(blocks, size, arrays)

    def step(self, weights: list[Weights], columns: Array, state: list[State], product: Product = np.matmul) -> Array:
        """One step of all layers, of one direction, for `columns` ``(I, B)``: the output ``(P, B)``.

        The states in the list `state` are replaced by those after the step.
        """
        for index, size in enumerate(self.sizes):
            after = self.cell.step(weights[index], size, columns, state[index], product)
            state[index] = mixed(self.zoneout, state[index], after) if self.zoneout else after
            columns = state[index][0]
        return columns

    def initial_state(
        self,
        lanes: int,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> list[State]:
        """A state of zeros, of the units of `rank`: for all layers and directions a tuple of arrays ``(units, B)``."""

        def share(units: int) -> int:
            part = rank.share(units)
            return int(part.stop - part.start)

        arena = arena or Arena()
        return [
            tuple(arena.zeros((share(units), lanes), self.dtype) for units in self.cell.state_sizes(size))
            for _, size in self.names
        ]


class StackWorkspace:
    """All scratch of one sequence in flight through a `Stack`: `T` steps of `B` lanes, for one rank.

    The caller writes the inputs with `write` and reads ``one_and_outputs`` ``(1+D·P, T·B)`` after `forward`; it writes
    ``d_outputs`` ``(D·P, T·B)`` and `d_state` before `backward`. A stack whose first layer is given a table and indices
    has no inputs: `folded`. With `input_gradient` the backward pass leaves ``d_inputs`` ``(T·B, I)``, this rank's part
    of the gradient of the inputs; ``d_inputs_of_ranks`` ``(ranks, T·B, I)`` has the parts of all.
    """

    def __init__(
        self,
        stack: Stack,
        steps: int,
        lanes: int,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arenas: Arenas | None = None,
        *,
        folded: bool = False,
        input_gradient: bool = False,
    ) -> None:
        shared, own = arenas = arenas or Arenas(Arena(), Arena())
        self.stack, self.rank, self.shape, self.passes = stack, rank, (steps, lanes), 0
        D, dtype = stack.directions, stack.dtype
        sizes = list(stack.sizes)
        if folded:
            sizes[0] = sizes[0]._replace(input_size=0)
        shape = (steps, lanes)
        self.layers = [
            [Loop(stack.cell, *shape, size, dtype, rank, arenas, stack.zoneout) for _ in range(D)] for size in sizes
        ]
        self.kernels = [kernel for layer in self.layers for kernel in layer]
        # Each rank's part of the gradient of a layer's inputs, on its way to the layer below.
        wanted = [input_gradient, *[True] * (len(sizes) - 1)]
        self._d_inputs = [
            shared.empty((rank.count, steps * lanes, size.input_size if needed else 0), dtype)
            for size, needed in zip(sizes, wanted, strict=True)
        ]
        self.d_inputs_of_ranks = self._d_inputs[0]
        self.d_inputs = self.d_inputs_of_ranks[rank.index] if input_gradient else None
        self._part = own.empty((steps * lanes, max(size.input_size for size in sizes) if D == 2 else 0), dtype)
        # What is kept of the outputs of a layer, for the rows that this rank hands on: 0, or 1 / (1 − dropout).
        drops = stack.dropout > 0
        self._kept = [
            [own.empty((k.buffers.own.stop - k.buffers.own.start, steps, lanes), dtype) for k in layer] if drops else []
            for layer in self.layers[:-1]
        ]
        self._dropping = False
        outputs = stack.output_size if D == 2 else 0
        self._one_and_outputs = shared.empty((1 + outputs, steps * lanes), dtype)
        shared.keep(self._one_and_outputs[0], 1)
        self._d_outputs = shared.empty((outputs, steps * lanes), dtype)

    @property
    def one_and_outputs(self) -> Array:
        """The outputs ``(1+D·P, T·B)`` of the last layer under a row of ones."""
        return self._one_and_outputs if self.stack.directions == 2 else self.kernels[-1].buffers.one_and_outputs

    @property
    def d_outputs(self) -> Array:
        """Where their gradient ``(D·P, T·B)`` is written."""
        return self._d_outputs if self.stack.directions == 2 else self.kernels[-1].buffers.d_outputs

    def write(self, rows: slice, values: Array) -> None:
        """Write `values` ``(rows, T, B)`` into those rows of the inputs."""
        self._write(0, rows, values)

    def _write(self, layer: int, rows: slice, values: Array) -> None:
        for direction, kernel in enumerate(self.layers[layer]):
            copy_columns(values[:, ::-1] if direction else values, kernel.buffers.inputs[rows])

    def outputs(self, layer: int, direction: int) -> tuple[slice, Array]:
        """The rows of a layer's outputs, both directions together, that are this rank's, and what is in them."""
        buffers = self.layers[layer][direction].buffers
        own, offset = buffers.own, direction * buffers.size.output_size
        values = buffers.outputs[own].reshape(-1, *self.shape)
        return slice(offset + own.start, offset + own.stop), values[:, ::-1] if direction else values

    def forward(
        self,
        weights: list[Weights],
        state: list[State],
        masks: Masks | None = None,
        *,
        table: Array | None = None,
        indices: Array | None = None,
        rng: np.random.Generator | None = None,
    ) -> Pass[None]:
        """Run all layers from `state`, and leave the state after the last step in it.

        With `rng` outputs drop out, and zoneout draws.
        """
        D = self.stack.directions
        both = [masks, masks.reversed() if masks is not None and D == 2 else None]
        self.passes += 1
        self._dropping = rng is not None and self.stack.dropout > 0
        for index, layer in enumerate(self.layers):
            if index:
                table = indices = None  # they are for the first layer
                for direction in range(D):
                    rows, values = self.outputs(index - 1, direction)
                    if rng is not None and self._dropping:
                        kept = self._kept[index - 1][direction]
                        draw_kept(rng, self.stack.dropout, kept)
                        values = values * kept
                    self._write(index, rows, values)
            for direction, kernel in enumerate(layer):
                carried = state[index * D + direction]
                for first, before in zip(kernel.first, carried, strict=True):
                    first[...] = before
                yield from kernel.forward(weights[index * D + direction], both[direction], table, indices, rng)
                for after, last in zip(carried, kernel.last, strict=True):
                    after[...] = last
        if D == 2:
            for direction in range(D):
                rows, values = self.outputs(-1, direction)
                np.copyto(self._one_and_outputs[1:][rows].reshape(values.shape), values)
            yield

    def state_after(self, steps: Array, lengths: Array | None, state: list[State]) -> None:
        """After `forward`, in one direction: put that after so many `steps` ``(B,)`` of each lane into `state`.

        Lanes that have no more steps than that, of `lengths` ``(B,)`` or all, keep what is there.
        """
        goes_on = steps < (self.shape[0] if lengths is None else lengths)
        for step in np.unique(steps[goes_on]).tolist():
            lanes = goes_on & (steps == step)
            for kernel, carried in zip(self.kernels, state, strict=True):
                for after, part in zip(carried, kernel.states[step], strict=True):
                    np.copyto(after, part, where=lanes)

    def backward(self) -> Pass[None]:
        """After `forward`: leave the gradients of the gates and of the state in the kernels."""
        D = self.stack.directions
        if D == 2:
            for direction, kernel in enumerate(self.layers[-1]):
                rows, _ = self.outputs(-1, direction)
                self._write_d_outputs(kernel, direction, self._d_outputs[rows])
        for index in range(len(self.layers) - 1, -1, -1):
            layer, d_inputs = self.layers[index], self._d_inputs[index]
            mine = d_inputs[self.rank.index]
            for direction, kernel in enumerate(layer):
                buffers = kernel.buffers
                yield from kernel.backward()
                if not mine.size:
                    continue
                for_inputs = buffers.rows[:, : buffers.size.input_size]
                if direction == 0:
                    multiply(kernel.d_inputs_from.T, for_inputs, mine)
                else:
                    part = self._part[:, : mine.shape[1]]
                    multiply(kernel.d_inputs_from.T, for_inputs, part)
                    by_step = mine.reshape(*self.shape, -1)
                    np.add(by_step, part.reshape(by_step.shape)[::-1], by_step)
            if index:
                yield
                for direction, kernel in enumerate(self.layers[index - 1]):
                    rows, _ = self.outputs(index - 1, direction)
                    total = d_inputs[0, :, rows] if self.rank.count == 1 else d_inputs[:, :, rows].sum(axis=0)
                    columns = total.T.reshape(-1, *self.shape)
                    if self._dropping:
                        columns = columns * self._kept[index - 1][direction]
                    self._write_d_outputs(kernel, direction, columns)
                yield

    def weight_gradient(self, d_weights: list[Weights]) -> None:
        """After `backward`: write the gradients of the parameters."""
        for kernel, blocks in zip(self.kernels, d_weights, strict=True):
            kernel.weight_gradient(blocks)

    def write_d_outputs(self, rows: slice, values: Array) -> None:
        """Write `values` ``(rows, T, B)`` into those rows of ``d_outputs``."""
        copy_columns(values, self.d_outputs[rows].reshape(values.shape))

    def _write_d_outputs(self, kernel: Loop, direction: int, values: Array) -> None:
        buffers, values = kernel.buffers, values.reshape(-1, *self.shape)
        own = buffers.d_outputs[buffers.own].reshape(values.shape)
        copy_columns(values[:, ::-1] if direction else values, own)
