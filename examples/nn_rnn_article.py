"""``output, h_n = RNN(x, h_0)``: its shapes, and the formula behind it, worked out by hand beside it.

::

    h_t = tanh(W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh)

Run it with ``python examples/nn_rnn_article.py``; it takes less than a second.
"""

from __future__ import annotations

import numpy as np

from recurrio.core import RNN

SEQ_LEN, BATCH, INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS = 5, 3, 10, 20, 2


def by_hand(parameters: dict[str, np.ndarray], x: np.ndarray, h_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The formula in a loop: over the layers, and in each over the time steps. Rows are the sequences, so ``x·Wᵀ``."""
    last = []
    for layer, h in enumerate(h_0):
        W_ih, W_hh, b_ih, b_hh = (
            parameters[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        outputs = []
        for x_t in x:
            h = np.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
            outputs.append(h)
        last.append(h)
        x = np.stack(outputs)  # what the next layer reads
    return x, np.stack(last)


def main() -> None:
    """Print the shapes, and how far the two are apart."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SEQ_LEN, BATCH, INPUT_SIZE), np.float32)
    h_0 = rng.standard_normal((NUM_LAYERS, BATCH, HIDDEN_SIZE), np.float32)

    rnn = RNN(INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS, seed=0)
    output, h_n = rnn(x, h_0)
    print(f"x      [seq_len, batch, input_size]       {x.shape}")
    print(f"h_0    [num_layers, batch, hidden_size]   {h_0.shape}")
    print(f"output [seq_len, batch, hidden_size]      {output.shape}")
    print(f"h_n    [num_layers, batch, hidden_size]   {h_n.shape}")

    # The parameters of both layers, under torch's names.
    parameters = rnn.state_dict()
    for name, array in parameters.items():
        print(f"  {name:12} {array.shape}")

    expected_output, expected_h_n = by_hand(parameters, x, h_0)
    difference = max(np.abs(output - expected_output).max(), np.abs(h_n - expected_h_n).max())
    print(f"largest difference from the formula: {difference:.0e}")

    # `output` is the last layer at every step, `h_n` every layer at the last step. They meet in one corner.
    print(f"output[-1] is h_n[-1]: {np.array_equal(output[-1], h_n[-1])}")

    # With batch_first the batch is the first axis of x and output, but not of the states.
    batch_first = RNN(INPUT_SIZE, HIDDEN_SIZE, NUM_LAYERS, batch_first=True)
    batch_first.load_state_dict(parameters)
    turned, same_h_n = batch_first(x.transpose(1, 0, 2), h_0)
    print(f"batch_first: output {turned.shape}, h_n {same_h_n.shape}")

    # Sequences of different lengths: h_n is each one's state after its own last step, and the output beyond is zero.
    output, h_n = rnn(x, h_0, lengths=np.array([5, 3, 1]))
    print(f"lengths 5, 3, 1: outputs that are zero {(output == 0).all(axis=2).sum(axis=0)}")
    print(f"h_n[-1] is the output at step 3: {np.array_equal(h_n[-1, 1], output[2, 1])}")


if __name__ == "__main__":
    main()
