"""The same training step in PyTorch and in JAX: embedding? → LSTM → linear → cross-entropy → clip by norm → Adam."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from recurrio.core import SequenceBatch

LR, CLIP, BETA1, BETA2, EPS = 1e-3, 1.0, 0.9, 0.999, 1e-8

Steps = Callable[[list[SequenceBatch]], list[float]]  # seconds of each training step


def torch_steps(V: int, I: int, H: int, *, tokens: bool, threads: int) -> Steps:
    """PyTorch with `threads`; the state goes on from batch to batch."""

    def run(batches: list[SequenceBatch]) -> list[float]:
        torch.set_num_threads(threads)
        embedding = torch.nn.Embedding(V, I) if tokens else torch.nn.Identity()
        rnn, head = torch.nn.LSTM(I, H), torch.nn.Linear(H, V)
        parameters = [*embedding.parameters(), *rnn.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, LR)
        state, times = None, []
        for batch in batches:
            start = perf_counter()
            inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets).long()
            optimizer.zero_grad()
            output, state = rnn(embedding(inputs), state)
            state = tuple(part.detach() for part in state)
            loss = torch.nn.functional.cross_entropy(head(output).flatten(0, 1), targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            loss.item()
            times.append(perf_counter() - start)
        return times

    return run


def jax_steps(V: int, I: int, H: int, *, tokens: bool) -> Steps:
    """JAX, the whole step under one jit with its buffers donated; the inputs' product is outside of the scan."""
    rng = np.random.default_rng(0)
    shapes = {"w_x": (I, 4 * H), "w_h": (H, 4 * H), "b": (4 * H,), "w_o": (H, V), "b_o": (V,)}
    shapes |= {"embedding": (V, I)} if tokens else {}
    initial = {name: 0.1 * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}

    def loss_of(p: dict[str, Any], inputs: Any, targets: Any, state: Any) -> tuple[Any, Any]:  # noqa: ANN401 (JAX's trees)
        x = p["embedding"][inputs] if tokens else inputs

        def cell(carry: Any, from_x: Any) -> tuple[Any, Any]:  # noqa: ANN401 (JAX's trees)
            h, c = carry
            i, f, g, o = jnp.split(from_x + h @ p["w_h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        state, hidden = jax.lax.scan(cell, state, x @ p["w_x"] + p["b"])
        logs = jax.nn.log_softmax(hidden @ p["w_o"] + p["b_o"])
        return -jnp.mean(jnp.take_along_axis(logs, targets[..., None], -1)), state

    def step(p: Any, m: Any, v: Any, n: Any, inputs: Any, targets: Any, state: Any) -> tuple[Any, ...]:  # noqa: ANN401 (JAX's trees)
        (loss, state), g = jax.value_and_grad(loss_of, has_aux=True)(p, inputs, targets, state)
        norm = jnp.sqrt(sum(jnp.sum(part * part) for part in jax.tree.leaves(g)))
        g = jax.tree.map(lambda part: part * jnp.minimum(1.0, CLIP / (norm + 1e-6)), g)
        m = jax.tree.map(lambda a, b: BETA1 * a + (1 - BETA1) * b, m, g)
        v = jax.tree.map(lambda a, b: BETA2 * a + (1 - BETA2) * b * b, v, g)
        first, second = 1 - BETA1**n, 1 - BETA2**n
        p = jax.tree.map(lambda p, m, v: p - LR * (m / first) / (jnp.sqrt(v / second) + EPS), p, m, v)
        return p, m, v, n + 1, state, loss

    compiled = jax.jit(step, donate_argnums=(0, 1, 2, 3, 6))

    def run(batches: list[SequenceBatch]) -> list[float]:
        p = jax.tree.map(jnp.array, initial)
        m, v = (jax.tree.map(jnp.zeros_like, p) for _ in range(2))
        n, lanes, times = jnp.float32(1), batches[0].inputs.shape[1], []
        state = jnp.zeros((lanes, H)), jnp.zeros((lanes, H))
        for batch in batches:
            start = perf_counter()
            p, m, v, n, state, loss = compiled(p, m, v, n, batch.inputs, batch.targets, state)
            float(loss)
            times.append(perf_counter() - start)
        return times

    return run
