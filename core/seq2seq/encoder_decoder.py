"""The encoder–decoder: a source is read to its end, and a target is written from what was read, symbol by symbol."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..base.arena import Arena, Arenas
from ..base.blas import one_blas_thread
from ..base.checks import ArgumentError, check_count, check_dtype, check_flag
from ..base.html import html_table
from ..base.module import Module
from ..base.parameters import Array, Layout
from ..base.ranks import Rank, lockstep
from ..base.safetensors import WeightsError, load_weights, save_weights
from ..cells.buffers import State
from ..layers.embedding import Embedding
from ..layers.layered import Layered
from ..layers.linear import Linear
from ..layers.stack import Stack
from ..layers.stack_parameters import StackParameters
from ..losses.loss import CrossEntropyLoss
from ..losses.table import loss_from_config
from ..model.batch import SequenceBatch
from ..model.trainable import Shape
from .attention import Attention
from .bridge import bridge_layers
from .network import EncoderDecoderNetwork
from .passes import Passes, room
from .scores import SCORES

__all__ = ["FORMAT", "EncoderDecoder"]

FORMAT = "recurrio-encoder-decoder-1"


class EncoderDecoder(Layered):
    """Two recurrent networks, of which the second one writes a sequence that follows from what the first one has read.

    - `source_size` and `target_size` V: how many symbols there are to read, and to write.
    - `start` and `end`: the symbols, of those to write, that a target begins behind, and that it ends with.
    - `embedding_size`, `hidden_size`, `num_layers`, `cell`, `bias`, `dropout`, `dtype`: those of both recurrent stacks,
      see `recurrio.core.RNN`. The decoder begins with the state that the encoder has after the last symbol.
    - `bidirectional`: the encoder reads in both directions, and a layer between makes one state of two: see
      `recurrio.core.seq2seq.bridge`.
    - `attention`: with it each output of the decoder looks up what it needs in those of the encoder, by a score that is
      ``"dot"``, ``"general"`` or ``"additive"``: see `recurrio.core.seq2seq.scores`. None: it has the state alone.
    - `input_feeding`: the decoder reads what it has looked up at the step before beside the symbol. The steps then go
      one by one, which takes longer.
    - `loss`: cross-entropy, by default without options.
    - `seed` of the initial parameters, which are those of torch's layers made in the order of the state dict: a whole
      number below 2³². With None it is drawn afresh, and kept in ``seed``.

    It is trained on a `SequenceBatch` of sources ``(T, B)`` with their ``lengths``, and of targets ``(S, B)``, each
    with the end symbol behind it, and padded with the loss's ``ignore_index``. Each target symbol is learned from the
    source and from the symbols before it (teacher forcing). Nothing is carried from batch to batch, and there is one
    rank.

    ``parameters`` is the flat vector ``(size,)``; ``config`` has the other arguments as plain JSON. Raises
    ArgumentError.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        start: int,
        end: int,
        embedding_size: int = 64,
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        cell: str = "gru",
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        attention: str | None = None,
        input_feeding: bool = False,
        loss: CrossEntropyLoss | Mapping[str, Any] | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        _draw: bool = True,
    ) -> None:
        source_size, target_size = check_count("source_size", source_size), check_count("target_size", target_size)
        start, end = (
            check_count(name, symbol, 0, target_size - 1) for name, symbol in (("start", start), ("end", end))
        )
        embedding_size = check_count("embedding_size", embedding_size)
        found = CrossEntropyLoss() if loss is None else loss_from_config(loss) if isinstance(loss, Mapping) else loss
        if not isinstance(found, CrossEntropyLoss):
            raise ArgumentError("loss", "CrossEntropyLoss(), with its options, or its config", repr(loss))
        if attention is not None and attention not in SCORES:
            raise ArgumentError("attention", f"None or one of {', '.join(SCORES)}", repr(attention))
        score = None if attention is None else SCORES[attention]
        dtype = check_dtype(dtype).name
        input_feeding = check_flag("input_feeding", input_feeding)
        if input_feeding and attention is None:
            raise ArgumentError("input_feeding", "False where there is no attention", input_feeding)
        sizes = (hidden_size, num_layers, bias, dropout)
        encoder = Stack(cell, embedding_size, *sizes, bidirectional, dtype=dtype)
        fed = encoder.sizes[-1].output_size if input_feeding else 0
        decoder = Stack(cell, embedding_size + fed, *sizes, dtype=dtype)
        if attention == "dot" and encoder.directions == 2:
            raise ArgumentError("attention", "general or additive where the encoder has two directions", "'dot'")
        recurrent = StackParameters(encoder, draw=False)
        given = recurrent._arguments()
        self.config: dict[str, Any] = {
            "model": "encoder_decoder",
            "source_size": source_size,
            "target_size": target_size,
            "start": start,
            "end": end,
            "embedding_size": embedding_size,
            "cell": cell,
            **{
                name: given[name] for name in ("hidden_size", "num_layers", "bias", "dropout", "bidirectional", "dtype")
            },
            "attention": attention,
            "input_feeding": input_feeding,
            "loss": found.config,
        }
        self.dtype, self.layout = encoder.dtype, Layout()
        outputs, symbols = (encoder.output_size, decoder.output_size), (source_size, target_size, start)
        self.network = EncoderDecoderNetwork(encoder, decoder, *symbols, score, input_feeding, found, self.layout)
        self.start, self.end = start, end

        # The layers as users know them, on slices of the one vector.
        self._layers: dict[str, Module] = {
            "encoder.embedding": Embedding(source_size, embedding_size, dtype=dtype, _draw=False),
            "encoder.rnn": recurrent,
            **bridge_layers(encoder),
            "decoder.embedding": Embedding(target_size, embedding_size, dtype=dtype, _draw=False),
            "decoder.rnn": StackParameters(decoder, draw=False),
        }
        if score is not None:
            self._layers |= score.layers(*outputs, self.dtype)
            self._layers["combine"] = Linear(sum(outputs), decoder.output_size, dtype=dtype, _draw=False)
        self._layers["head"] = Linear(decoder.output_size, target_size, dtype=dtype, _draw=False)
        self._assemble(seed, _draw)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> EncoderDecoder:
        """The model of a ``config``, with parameters that are zeros: to be loaded, or only to compute with others.

        A ``"seed"`` in it is kept, and nothing is drawn.
        """
        return cls(**{name: value for name, value in config.items() if name != "model"}, _draw=False)

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names, and the configuration as metadata.

        `training` is recorded beside it, as JSON; `parameters` are others than the model's own. Raises OSError.
        """
        about = {"model": {**self.config, "seed": self.seed}, "training": training or {}}
        metadata = {name: json.dumps(value) for name, value in about.items()}
        save_weights(path, self.state_dict(parameters), {"format": FORMAT, **metadata})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EncoderDecoder:
        """Read what `save` wrote. Raises OSError, or WeightsError where the file is something else."""
        weights, metadata = load_weights(path)
        name = os.fspath(path)
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"{name}: a safetensors file, but no encoder–decoder of recurrio")
        try:
            model = cls.from_config(json.loads(metadata["model"]))
            model.load_state_dict(weights)
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{name}: a damaged encoder–decoder: {error}") from error
        return model

    def _arguments(self) -> dict[str, Any]:
        loss = self.network.loss
        return {**self.config, "loss": None if loss == CrossEntropyLoss() else loss}

    def facts(self) -> list[tuple[str, object]]:
        """What there is to say of it, by name: for a table."""
        network = self.network
        return [
            ("symbols", f"{network.source_size:,} to read, {network.target_size:,} to write"),
            ("cell", f"{network.encoder.cell.kind}{', reads both ways' * (network.encoder.directions == 2)}"),
            ("layers × units", f"{self.config['num_layers']} × {self.config['hidden_size']}"),
            ("attention", f"{self.config['attention'] or 'none'}{', fed' * network.feeds}"),
            ("loss", network.loss),
            ("parameters", f"{self.layout.size:,} {self.dtype.name}"),
        ]

    def _repr_html_(self) -> str:
        return html_table("EncoderDecoder", self.facts())

    def open(self, shape: Shape, gradient: Array, losses: Array, rank: Rank, arenas: Arenas) -> Passes:
        """See `recurrio.core.model.trainable.Trainable`, as for the next two."""
        return Passes(self.network, shape, gradient, losses, arenas)

    def room(self, steps: int, lanes: int, ranks: int) -> tuple[int, int]:
        """See `open`."""
        return room(self.network, steps, lanes)

    def initial_state(
        self,
        lanes: int,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> list[State]:
        """See `open`: nothing is carried."""
        return []

    def __call__(self, inputs: Array, targets: Array, lengths: Array | None = None) -> Array:
        """The outputs ``(S, B, V)`` before each of the `targets` ``(S, B)``, for the sources `inputs` ``(T, B)``.

        Raises ArgumentError.
        """
        columns, _ = self._outputs(SequenceBatch(inputs, targets, lengths=lengths))
        return np.ascontiguousarray(columns.T).reshape(*targets.shape, -1)

    def attention_weights(self, inputs: Array, targets: Array, lengths: Array | None = None) -> Array:
        """How much each of the `targets` ``(S, B)`` looks at each step of its source in `inputs` ``(T, B)``.

        The weights ``(B, S, T)`` of a target have a sum of 1, and are 0 at steps that do not exist. Raises
        ArgumentError, also where the model has no attention.
        """
        _, attention = self._outputs(SequenceBatch(inputs, targets, lengths=lengths))
        if attention is None:
            raise ArgumentError("attention", f"one of {', '.join(SCORES)}, for weights", None)
        return attention.weights

    def _outputs(self, batch: SequenceBatch) -> tuple[Array, Attention | None]:
        """Those ``(V, S·B)`` of `batch`, and the attention that was used for them."""
        passes = self._passes(batch, np.empty_like(self.parameters))
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            (columns,) = lockstep([passes.outputs(self.network.blocks(self.parameters), batch)])
        return columns, passes.attention

    def gradient(self, batch: SequenceBatch, *, rng: np.random.Generator | None = None) -> tuple[float, Array]:
        """The loss of `batch`, and its gradient as a vector ``(size,)``.

        Outputs drop out between layers only where an `rng` is given. Raises ArgumentError.
        """
        gradient = np.zeros_like(self.parameters)
        passes, total = self._passes(batch, gradient), self.network.total(batch)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            (loss,) = lockstep([passes.forward(self.network.blocks(self.parameters), batch, [], rng)])
            lockstep([passes.backward(1 / total)])
            lockstep([passes.weight_gradient()])
        return loss / total, gradient

    def _passes(self, batch: SequenceBatch, gradient: Array) -> Passes:
        """For one batch, which is checked, in fresh memory."""
        self.network.check(batch)
        arenas = Arenas(Arena(), Arena())
        return self.open(self.network.shape(batch), gradient, np.empty(1), Rank(), arenas)
