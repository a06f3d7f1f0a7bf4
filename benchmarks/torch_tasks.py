"""The networks of the tasks in PyTorch, as one writes them there: packed sequences, teacher forcing, its own CTC.

Their layers are made in the order of ours, so a seed gives both the same initial parameters; and they are trained on
the very same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from task_recipes import Recipe
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, log_softmax
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurrio.core import SequenceBatch
from recurrio.core.audio.log_mel import BANDS
from recurrio.core.audio.transcriber import STEP_SIZE
from recurrio.core.model.padding import PADDING, by_length
from recurrio.pipeline import Classification, Transcription, Translation

CLIP = 1.0
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


def read(rnn: nn.Module, inputs: Tensor, lengths: Tensor, *, packed: bool) -> tuple[Tensor, Tensor]:
    """The outputs ``(T, B, D·H)`` of inputs ``(T, B, I)``, zeros behind the end, and the last ones ``(B, D·H)``.

    Where they are not `packed`, the direction that goes back begins in the padding.
    """
    if packed:
        outputs, state = rnn(pack_padded_sequence(inputs, lengths, enforce_sorted=False))
        h = state[0] if isinstance(state, tuple) else state
        return pad_packed_sequence(outputs, total_length=len(inputs))[0], torch.cat((*h,), 1)
    outputs, _ = rnn(inputs)
    return outputs, outputs[lengths - 1, torch.arange(len(lengths))]


class Classifier(nn.Module):
    """embedding? → dropout → LSTM or GRU → its last output or the mean → dropout → linear."""

    def __init__(
        self,
        symbols: int | None,
        classes: int,
        *,
        cell: str,
        hidden_size: int,
        embedding_size: int = 0,
        bidirectional: bool = False,
        output: str,
        embedding_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Identity() if symbols is None else nn.Embedding(symbols, embedding_size)
        inputs = BANDS if symbols is None else embedding_size
        self.rnn = CELLS[cell](inputs, hidden_size, bidirectional=bidirectional)
        self.head = nn.Linear(hidden_size * (1 + bidirectional), classes)
        self.drops, self.drops_last = nn.Dropout(embedding_dropout), nn.Dropout(output_dropout)
        self.mean, self.packed = output == "mean", True

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        outputs, last = read(self.rnn, self.drops(self.embedding(inputs)), lengths, packed=self.packed)
        if self.mean:
            absent = torch.arange(len(inputs))[:, None] >= lengths
            last = outputs.masked_fill(absent[:, :, None], 0).sum(0) / lengths[:, None]
        return self.head(self.drops_last(last))

    def loss(self, batch: SequenceBatch) -> Tensor:
        return cross_entropy(self(*asked(batch.inputs, batch.lengths)), torch.from_numpy(batch.targets[0]).long())

    def outputs(self, inputs: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, None]:
        """As a model of ours is called."""
        return self(*asked(inputs, lengths))[None].numpy(), None


class EncoderDecoder(nn.Module):
    """Two of them, and Luong's attention between, or none."""

    def __init__(
        self,
        source: int,
        target: int,
        *,
        cell: str,
        hidden_size: int,
        embedding_size: int,
        attention: str | None,
    ) -> None:
        super().__init__()
        self.source, self.encoder = nn.Embedding(source, embedding_size), CELLS[cell](embedding_size, hidden_size)
        self.target, self.decoder = nn.Embedding(target, embedding_size), CELLS[cell](embedding_size, hidden_size)
        self.combine = None if attention is None else nn.Linear(2 * hidden_size, hidden_size)
        self.head = nn.Linear(hidden_size, target)
        self.end, self.packed = target - 1, True

    def encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What has been read ``(B, T, H)``, where nothing has ``(B, 1, T)``, and the last state ``(1, B, H)``."""
        memory, last = read(self.encoder, self.source(inputs), lengths, packed=self.packed)
        absent = torch.arange(len(inputs)) >= lengths[:, None]
        return memory.transpose(0, 1), absent[:, None], last[None]

    def decode(self, before: Tensor, memory: Tensor, absent: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs ``(S, B, V)`` behind the symbols `before` ``(S, B)``, and the state."""
        outputs, state = self.decoder(self.target(before), state)
        if self.combine is not None:
            queries = outputs.transpose(0, 1)
            weights = (queries @ memory.transpose(1, 2)).masked_fill(absent, -torch.inf).softmax(2)
            outputs = torch.tanh(self.combine(torch.cat((weights @ memory, queries), 2))).transpose(0, 1)
        return self.head(outputs), state

    def loss(self, batch: SequenceBatch) -> Tensor:
        targets = torch.from_numpy(batch.targets).long()
        before = torch.full_like(targets, self.end)
        before[1:] = targets[:-1].where(targets[:-1] != PADDING, self.end)
        outputs, _ = self.decode(before, *self.encode(*asked(batch.inputs, batch.lengths)))
        return cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=PADDING)

    def write(self, inputs: np.ndarray, lengths: np.ndarray, limit: int) -> list[list[int]]:
        """The likeliest symbols, each behind those before it, up to the end."""
        memory, absent, state = self.encode(*asked(inputs, lengths))
        before, written = torch.full((1, inputs.shape[1]), self.end), []
        for _ in range(limit):
            outputs, state = self.decode(before, memory, absent, state)
            before = outputs.argmax(2)
            written.append(before[0].tolist())
        return [[*lane[: lane.index(self.end)]] if self.end in lane else [*lane] for lane in zip(*written, strict=True)]


class Transcriber(nn.Module):
    """LSTM → dropout → linear → CTC."""

    def __init__(
        self, classes: int, *, cell: str, hidden_size: int, bidirectional: bool, output_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.rnn = CELLS[cell](STEP_SIZE, hidden_size, bidirectional=bidirectional)
        self.head = nn.Linear(hidden_size * (1 + bidirectional), classes)
        self.drops = nn.Dropout(output_dropout)
        self.blank, self.packed = classes - 1, True

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.drops(read(self.rnn, inputs, lengths, packed=self.packed)[0]))

    def loss(self, batch: SequenceBatch) -> Tensor:
        inputs, lengths = asked(batch.inputs, batch.lengths)
        targets, counts = torch.from_numpy(batch.targets.T), torch.from_numpy((batch.targets >= 0).sum(0))
        log_p = log_softmax(self(inputs, lengths), 2)
        return ctc_loss(log_p, targets, lengths, counts, blank=self.blank, zero_infinity=True)

    def outputs(self, inputs: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, None]:
        """As a model of ours is called."""
        return self(*asked(inputs, lengths)).numpy(), None


def asked(inputs: np.ndarray, lengths: np.ndarray | None) -> tuple[Tensor, Tensor]:
    """These as tensors, up to the end of the longest; one without steps has one, of zeros, as packing wants it."""
    steps = np.full(inputs.shape[1], len(inputs)) if lengths is None else np.maximum(lengths, 1)
    return torch.from_numpy(inputs[: steps.max()]), torch.from_numpy(steps)


def network(task: Any, options: dict[str, Any], seed: int) -> Any:  # noqa: ANN401 (a task, and its module)
    """A module for the task, of the `options` that a model of ours would have; its loss is the plain one."""
    options = {name: value for name, value in options.items() if name != "loss"}
    torch.manual_seed(seed)
    if isinstance(task, Classification):
        return Classifier(len(task.vocabulary), len(task.classes), **options)
    if isinstance(task, Translation):
        return EncoderDecoder(len(task.source), len(task.target) + 1, **options)
    if isinstance(task, Transcription):
        return Transcriber(len(task.vocabulary) + 1, **options)
    return Classifier(None, len(task.classes), **options)


def translate(net: EncoderDecoder, task: Translation, texts: Sequence[str]) -> list[str]:
    """The texts in the other language."""
    found = [""] * len(texts)
    for rows, inputs, lengths in by_length([task.source.encode(text) for text in texts]):
        for row, symbols in zip(rows, net.write(inputs, lengths, task.limit), strict=True):
            found[row] = task.target.decode(symbols)
    return found


def step(net: Any, optimizer: torch.optim.Optimizer, batch: SequenceBatch) -> float:  # noqa: ANN401 (a module)
    """Train on a batch, and return its loss."""
    optimizer.zero_grad()
    loss = net.loss(batch)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), CLIP)
    optimizer.step()
    return float(loss.item())


def train(task: Any, recipe: Recipe, seed: int, score: Any) -> float:  # noqa: ANN401 (a task; a function of its module)
    """The best score of the epochs."""
    torch.set_num_threads(1)
    net = network(task, recipe.model, seed)
    batches = task.batches(recipe.batch_size, epochs=recipe.epochs, seed=seed)
    optimizer, best = torch.optim.Adam(net.parameters(), recipe.lr), -np.inf
    schedule = recipe.schedule(batches.per_epoch)
    for number, batch in enumerate(batches):
        if schedule is not None:
            optimizer.param_groups[0]["lr"] = schedule.lr(number)
        step(net, optimizer, batch)
        if (number + 1) % batches.per_epoch == 0:
            net.eval()
            with torch.inference_mode():
                best = max(best, score(net))
            net.train()
    return float(best)
