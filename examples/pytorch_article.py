"""Training a small recurrent network, for readers who know it from PyTorch, and three kinds of layer side by side.

Run it with ``python examples/pytorch_article.py``; it takes less than a second.
"""

from __future__ import annotations

import numpy as np

from recurrio.core import GRU, LSTM, RNN, SGD, MSELoss, SequenceBatch, SequenceModel

INPUT, HIDDEN, OUTPUT = 10, 20, 1
STEPS, LANES = 5, 32  # sequences of 5 time steps; a batch of 32 of them
GATES = {RNN: 1, LSTM: 4, GRU: 3}  # pairs of matrices in a layer


def train() -> None:
    """Fit one batch of random numbers."""
    # RNN(10, 20), and Linear(20, 1) on its last output. The numbers they start from are those that torch gives the two
    # after `torch.manual_seed(0)`.
    model = SequenceModel(
        input_size=INPUT, hidden_size=HIDDEN, output_size=OUTPUT, cell="rnn", output="last", loss=MSELoss(), seed=0
    )
    optimizer = SGD(lr=0.01)

    # Time comes first, as in torch without `batch_first`. One output a sequence is one step of targets.
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((STEPS, LANES, INPUT), np.float32)
    targets = rng.standard_normal((1, LANES, OUTPUT), np.float32)
    batch = SequenceBatch(inputs, targets)

    print(f"Training: {model.parameters.size} parameters")
    for epoch in range(1, 101):
        # In torch: zero_grad(), output = model(inputs), loss = criterion(output, targets), loss.backward().
        # Nothing accumulates here, so that there is nothing to set to zero.
        loss, gradient, _ = model.gradient(batch)
        # In torch: optimizer.step(). All parameters are one vector; the last argument is where the new ones go.
        optimizer.step(model.parameters, gradient, model.parameters)
        if epoch % 10 == 0:
            print(f"  epoch {epoch:3}: loss {loss:.4f}")

    outputs, _ = model(inputs)
    print(f"  outputs {outputs.shape}, error after training {np.mean((outputs - targets) ** 2):.4f}")


def compare() -> None:
    """Run the three kinds over the same input, and count their parameters."""
    x = np.random.default_rng(0).standard_normal((STEPS, LANES, INPUT), np.float32)
    print("Parameters: gates·(H·I + H·H + 2H)")
    for kind, gates in GATES.items():
        layer = kind(INPUT, HIDDEN)
        output, state = layer(x)
        h_n = state.hidden if kind is LSTM else state  # only the LSTM has a second state, `state.cell`
        expected = gates * (HIDDEN * INPUT + HIDDEN * HIDDEN + 2 * HIDDEN)
        assert layer.parameters.size == expected
        assert np.array_equal(output[-1], h_n[0])  # the last output is the hidden state
        print(f"  {kind.__name__:4} {gates}·(200 + 400 + 40) = {expected:4}, output {output.shape}, h_n {h_n.shape}")


def main() -> None:
    """Train, then compare."""
    train()
    compare()


if __name__ == "__main__":
    main()
