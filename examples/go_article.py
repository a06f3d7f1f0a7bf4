"""The tiny network of an article on recurrent networks in Go, with its gradients put right, and the way on.

The article builds the network by hand and names goroutines, channels, cross-entropy and Adagrad as what to learn next.
Here they are, on the layers of `recurrio.core`. For the channels::

    goroutine         nursery.start_soon(f, …)        for x := range c  async for x in receive
    make(chan T, n)   trio.open_memory_channel[T](n)  defer close(c)    with send:
    WaitGroup         async with trio.open_nursery()

Run it with ``python examples/go_article.py``; it takes about a second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import trio
from trio import MemoryReceiveChannel as Receiver
from trio import MemorySendChannel as Sender

from recurrio.core import RNN, Adagrad, CrossEntropyLoss, Linear
from recurrio.core.gradcheck import directional_error
from recurrio.core.layers import Tape
from recurrio.core.losses import LossTape

RECORD, TARGET = [0.2, 0.4], 0.9  # the article's
LOSS, STEPS = CrossEntropyLoss(), 800


class Model(NamedTuple):
    """Hidden units, and outputs from their state at every step."""

    rnn: RNN
    linear: Linear


def article_model() -> Model:
    """The article's network. Its input matrix has a column for each hidden unit (by rows: 0.701387); ours, a row."""
    rnn = RNN(2, 2, nonlinearity="sigmoid", bias=False, dtype="float64")
    inputs, hidden = np.array([[0.5, 0.2], [0.1, 0.3]]), np.array([[0.4, 0.4], [0.5, 0.5]])
    rnn.load_state_dict({"weight_ih_l0": inputs.T, "weight_hh_l0": hidden.T})
    linear = Linear(2, 1, bias=False, dtype="float64")
    linear.load_state_dict({"weight": np.array([[0.6, 0.7]])})
    return Model(rnn, linear)


def passes(model: Model, x: np.ndarray) -> tuple[float, list[dict[str, np.ndarray]]]:
    """``½(y − t)²`` summed over the steps of `x` ``(T, I)``, and the gradients of both layers."""
    output, _, rnn_tape = model.rnn.forward(x)
    y, linear_tape = model.linear.forward(output)
    error = y - TARGET  # the article's error, which is the slope of half its square
    d_output, d_linear = model.linear.backward(linear_tape, error)
    return float((error**2).sum() / 2), [model.rnn.backward(rnn_tape, d_output)[2], d_linear]


def check_gradients(model: Model, x: np.ndarray) -> None:
    """Print the gradients, and how far they are from the slope of the loss itself."""
    rng = np.random.default_rng(0)
    for layer, gradients in zip(model, passes(model, x)[1], strict=True):
        for name, gradient in gradients.items():
            print(f"  {name:12}", np.array2string(gradient.ravel(), precision=6))
        error = directional_error(lambda: passes(model, x)[0], layer.parameters, layer.flatten(gradients), rng=rng)
        print(f"  {'':12} relative error {error:.0e}")
        assert error < 1e-6


# What travels through the channels. The model goes round with the batches, and only the stage that holds it may use it:
# nothing is locked, and every batch meets the newest weights, while `load` works ahead.
Batch = tuple[np.ndarray, np.ndarray]  # bits (T, B, 1), and whether the ones so far are odd in number (T, B)
Tapes = tuple[Tape, np.ndarray, LossTape]  # what a backward pass needs of the forward pass
Forwarded = tuple[Model, Tapes, float]
Backwarded = tuple[Model, list[np.ndarray], float]  # for each layer its gradient, as flat as its parameters


def draw(rng: np.random.Generator, steps: int, lanes: int) -> Batch:
    """Random sequences."""
    bits = rng.integers(2, size=(steps, lanes))
    return bits[:, :, None].astype(np.float32), bits.cumsum(axis=0) % 2


async def load(send: Sender[Batch]) -> None:
    """Send the batches. Leaving `with` closes the channel, which ends the next stage, and so on."""
    rng = np.random.default_rng(0)
    with send:
        for _ in range(STEPS):
            await send.send(draw(rng, steps=8, lanes=32))


async def forward(receive: Receiver[Batch], models: Receiver[Model], send: Sender[Forwarded]) -> None:
    """Compute the loss of each batch, once the model has come back from `update`."""
    with receive, send:
        async for inputs, targets in receive:
            model = await models.receive()
            # This takes a fraction of a millisecond; what takes long belongs in `trio.to_thread.run_sync`.
            output, _, rnn_tape = model.rnn.forward(inputs)
            logits, linear_tape = model.linear.forward(output)
            loss, loss_tape = LOSS.forward(logits, targets)
            await send.send((model, (rnn_tape, linear_tape, loss_tape), loss))


async def backward(receive: Receiver[Forwarded], send: Sender[Backwarded]) -> None:
    """Compute the gradients, from the loss down."""
    with receive, send:
        async for model, (rnn_tape, linear_tape, loss_tape), loss in receive:
            d_output, d_linear = model.linear.backward(linear_tape, LOSS.backward(loss_tape))
            _, _, d_rnn = model.rnn.backward(rnn_tape, d_output)
            await send.send((model, [model.rnn.flatten(d_rnn), model.linear.flatten(d_linear)], loss))


async def update(receive: Receiver[Backwarded], models: Sender[Model]) -> None:
    """Step down the gradients, and hand the model back."""
    optimizers, step = [Adagrad(0.1), Adagrad(0.1)], 0  # one a layer, for each keeps the squares of one flat vector
    with receive:
        async for model, gradients, loss in receive:
            for layer, gradient, optimizer in zip(model, gradients, optimizers, strict=True):
                optimizer.step(layer.parameters, gradient, layer.parameters)
            step += 1
            if step == 1 or step % 200 == 0:
                print(f"  step {step:3}: loss {loss:.3f}")
            await models.send(model)


async def train(model: Model) -> None:
    """Run the four stages until the batches have ended."""
    send_batch, receive_batch = trio.open_memory_channel[Batch](2)
    send_forwarded, receive_forwarded = trio.open_memory_channel[Forwarded](0)
    send_backwarded, receive_backwarded = trio.open_memory_channel[Backwarded](0)
    send_model, receive_model = trio.open_memory_channel[Model](1)
    with send_model, receive_model:  # closed here, for `update` sends the model once more when `forward` has ended
        await send_model.send(model)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, send_batch)
            nursery.start_soon(forward, receive_batch, receive_model, send_forwarded)
            nursery.start_soon(backward, receive_forwarded, send_backwarded)
            nursery.start_soon(update, receive_backwarded, send_model)


def main() -> None:
    """Print the three parts."""
    model, record = article_model(), np.array([RECORD])
    print(f"The article's network: {RECORD} gives {model.linear(model.rnn(record)[0])[0, 0]:.6f}.")

    # The article's backward pass multiplies by zeros in place of the state that the forward pass computed.
    print(f"\nIts gradients for the target {TARGET} and half the squared error, beside the slope of that loss. The")
    print("article's own backward uses a hidden vector of zeros, which gives the output weights no gradient. One step:")
    check_gradients(model, record)
    print("The hidden weights have no gradient yet: before the first step the state is zero. Two steps:")
    check_gradients(model, np.array([RECORD, RECORD]))

    print("\nCross-entropy and Adagrad, through channels: are the ones so far odd in number?")
    model = Model(RNN(1, 16, seed=0), Linear(16, 2, seed=0))
    trio.run(train, model)
    inputs, targets = draw(np.random.default_rng(1), steps=8, lanes=1000)
    accuracy = (model.linear(model.rnn(inputs)[0]).argmax(axis=-1) == targets).mean()
    print(f"Right for {accuracy:.1%} of 8000 new bits.")


if __name__ == "__main__":
    main()
