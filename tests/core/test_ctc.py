"""CTC: against all alignments, against torch, its rules for lengths, and that it trains as any other loss does."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labels import draw_labels

from recurrio.core import Adam, ArgumentError, CTCLoss, SequenceBatch, SequenceModel, ctc_greedy
from recurrio.core.gradcheck import directional_error
from recurrio.core.serial import train

Array = np.ndarray
SUM = CTCLoss(reduction="sum")


def gradient(loss: CTCLoss, outputs: Array, targets: Array, mask: Array | None = None) -> tuple[float, Array]:
    value, tape = loss.forward(outputs, targets, mask)
    return value, loss.backward(tape)


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in groupby(path) if label != blank]


def by_all_alignments(outputs: Array, labels: list[int], blank: int) -> float:
    """``−log p`` of the labels of one lane ``(T, V)``, or 0 where no path gives them."""
    exponentials = np.exp(outputs)
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    steps, classes = p.shape
    paths = product(range(classes), repeat=steps)
    total = sum(np.prod(p[np.arange(steps), path]) for path in paths if collapsed(path, blank) == labels)
    return float(-np.log(total)) if total else 0.0


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 3], [3, 1, 1], [1, 3, 1, 3]], ids=str)
def test_it_is_the_sum_over_all_alignments(labels: list[int], steps: int, blank: int) -> None:
    outputs = np.random.default_rng(steps).standard_normal((steps, 1, 4)) * 2
    value = CTCLoss(blank, reduction="sum")(outputs, np.array([labels], int).T.reshape(-1, 1))
    assert value == pytest.approx(by_all_alignments(outputs[:, 0], labels, blank), rel=1e-12)


@st.composite
def cases(draw: st.DrawFn) -> tuple[CTCLoss, Array, Array, Array]:
    """Any lengths of inputs and targets: 0 and 1, labels that repeat, and too many of them."""
    steps, lanes, classes = draw(st.integers(1, 9)), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    blank, rng = draw(st.integers(0, classes - 1)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = np.array(draw(st.lists(st.integers(0, steps), min_size=lanes, max_size=lanes)))
    targets = draw_labels(rng, draw(st.integers(0, steps + 3)), lanes, classes, blank)
    loss = CTCLoss(blank, reduction=draw(st.sampled_from(["mean", "sum"])))
    return loss, rng.standard_normal((steps, lanes, classes)) * 3, targets, lengths


@settings(deadline=None)
@given(cases(), st.sampled_from([("float32", 1e-5), ("float64", 1e-9)]))
def test_value_and_gradient_are_torchs(case: tuple[CTCLoss, Array, Array, Array], precision: tuple[str, float]) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    (loss, outputs, targets, lengths), (dtype, tolerance) = case, precision
    outputs = outputs.astype(dtype)
    value, d_outputs = gradient(loss, outputs, targets, np.arange(len(outputs))[:, None] < lengths)
    z, counts = torch.tensor(outputs, requires_grad=True), (targets >= 0).sum(axis=0)
    labels = np.full((len(lengths), max(1, len(targets))), loss.blank)  # torch wants room for one
    labels[:, : len(targets)] = np.where(targets < 0, loss.blank, targets).T
    with_steps = np.flatnonzero(lengths)  # torch's mean is over the other lanes too
    expected = (
        torch.nn.functional.ctc_loss(
            z[:, with_steps].log_softmax(-1),
            torch.tensor(labels[with_steps]),
            torch.tensor(lengths[with_steps]),
            torch.tensor(counts[with_steps]),
            blank=loss.blank,
            reduction=loss.reduction,
            zero_infinity=True,
        )
        if len(with_steps)
        else z.sum() * 0
    )
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(d_outputs, z.grad.numpy(), rtol=tolerance, atol=tolerance)


@settings(deadline=None)
@given(cases())
def test_the_gradient_is_the_slope(case: tuple[CTCLoss, Array, Array, Array]) -> None:
    loss, outputs, targets, lengths = case
    mask = np.arange(len(outputs))[:, None] < lengths
    value, d_outputs = gradient(loss, outputs, targets, mask)
    assert np.isfinite(value)
    if not d_outputs.any():
        outputs = outputs + np.random.default_rng(0).standard_normal(outputs.shape)
        assert loss(outputs, targets, mask) == value
        return
    error = directional_error(lambda: loss(outputs, targets, mask), outputs, d_outputs, rng=np.random.default_rng(1))
    assert error < 1e-6


@settings(deadline=None)
@given(cases(), st.data())
def test_a_step_that_does_not_count_is_as_if_it_were_not_there(
    case: tuple[CTCLoss, Array, Array, Array], data: st.DataObject
) -> None:
    loss, outputs, targets, lengths = case
    mask = np.zeros(outputs.shape[:2], bool)
    short = np.zeros_like(outputs)
    for lane, length in enumerate(lengths):
        kept = sorted(data.draw(st.permutations(range(len(outputs))))[:length])
        mask[kept, lane] = True
        short[:length, lane] = outputs[kept, lane]
    value, d_outputs = gradient(loss, np.where(mask[:, :, None], outputs, np.nan), targets, mask)
    expected, d_expected = gradient(loss, short, targets, np.arange(len(outputs))[:, None] < lengths)
    assert value == pytest.approx(expected, rel=1e-12)
    for lane, length in enumerate(lengths):
        np.testing.assert_allclose(d_outputs[mask[:, lane], lane], d_expected[:length, lane], rtol=1e-9, atol=1e-12)


def test_rows_behind_the_most_that_is_read_change_nothing() -> None:
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((3, 5, 4)), draw_labels(rng, 9, 5, 4)
    targets[:, 0] = [1, 2, 3, *[-1] * 6]
    read = CTCLoss().target_array(outputs.shape, outputs.dtype)[0]
    assert read == (4, 5)
    value, d_outputs = gradient(CTCLoss(), outputs, targets)
    again, d_again = gradient(CTCLoss(), outputs, targets[:4])
    assert again == value > 0
    assert np.array_equal(d_again, d_outputs)


@pytest.mark.parametrize(("labels", "fits"), [([1, 2, 3], 3), ([1, 1], 3), ([2, 2, 2], 5), ([1, 2, 2, 1], 5)], ids=str)
def test_what_does_not_fit_has_no_loss_and_no_gradient(labels: list[int], fits: int) -> None:
    outputs, targets = np.random.default_rng(0).standard_normal((6, 2, 4)), np.array([labels, labels]).T
    mask = np.arange(6)[:, None] < [fits - 1, fits]
    value, d_outputs = gradient(SUM, outputs, targets, mask)
    assert value == pytest.approx(SUM(outputs[:, 1:], targets[:, 1:], mask[:, 1:]))
    assert value > 0
    assert not d_outputs[:, 0].any()
    assert d_outputs[:fits, 1].all()
    # The mean counts it as a lane, as torch's does.
    assert CTCLoss().total(targets, mask) == 2
    assert CTCLoss()(outputs, targets, mask) == pytest.approx(value / len(labels) / 2)


def test_nan_stays_in_its_lane_also_where_labels_do_not_fit() -> None:
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 2, 4)), np.array([[1, 1], [2, 2], [3, -1]])
    value, d_outputs = gradient(SUM, outputs, targets)
    outputs[1, 0, 3] = np.nan
    bad, d_bad = gradient(SUM, outputs, targets)
    assert np.isfinite(value)
    assert np.isnan(bad)
    assert np.array_equal(d_bad[:, 1], d_outputs[:, 1])


def test_a_class_that_is_ruled_out() -> None:
    """As torch: a path that needs a class of −∞ has no probability, and labels without any path no loss."""
    outputs = np.random.default_rng(0).standard_normal((4, 2, 3))
    outputs[:2, :, 1] = outputs[:, 1, 2] = -np.inf
    value, d_outputs = gradient(SUM, outputs, np.array([[1, 2]]))
    p = np.exp(outputs[:, 0]) / np.exp(outputs[:, 0]).sum(axis=1, keepdims=True)
    total = p[0, 0] * p[1, 0] * (p[2, 1] * p[3, 0] + p[2, 0] * p[3, 1] + p[2, 1] * p[3, 1])
    assert value == pytest.approx(-np.log(total))
    assert np.isfinite(d_outputs).all()
    assert not d_outputs[:, 1].any()


def test_long_sequences_stay_precise_in_float32() -> None:
    """2,000 steps: a float32 as large as −log p is then has three digits behind the point."""
    rng = np.random.default_rng(0)
    outputs, targets = (rng.standard_normal((2000, 2, 5)) * 3).astype(np.float32), draw_labels(rng, 300, 2, 5)
    value, d_outputs = gradient(SUM, outputs, targets)
    expected, d_expected = gradient(SUM, outputs.astype(float), targets)
    np.testing.assert_allclose(value, expected, rtol=2e-6)
    np.testing.assert_allclose(d_outputs, d_expected, atol=1e-4)
    np.testing.assert_allclose(d_outputs.sum(axis=-1), 0, atol=2e-6)


def test_very_sure_outputs() -> None:
    outputs = np.full((4, 1, 3), -1e4, np.float32)
    outputs[[0, 1, 2, 3], 0, [1, 0, 1, 2]] = 1e4
    value, d_outputs = gradient(SUM, outputs, np.array([[1], [1], [2]]))
    assert value == 0
    assert not d_outputs.any()
    value, d_outputs = gradient(SUM, outputs, np.array([[2], [1], [2]]))
    assert value == 2e4
    assert d_outputs[0, 0].tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("targets", "got"),
    [
        ([[1], [4]], "4 at (1, 0)"),
        ([[0], [-1]], "0 at (0, 0)"),
        ([[-1], [2]], "2 at (1, 0)"),
    ],
)
def test_labels_that_are_none_are_refused(targets: list[list[int]], got: str) -> None:
    outputs, labels = np.zeros((3, 1, 4)), np.array(targets)
    with pytest.raises(ArgumentError) as caught:
        SUM(outputs, labels)
    assert str(caught.value) == (
        f"targets: expected labels in 0…3 without the blank, 0, and behind them negative numbers, got {got}"
    )
    assert SUM(outputs, labels, np.zeros((3, 1), bool)) == 0


def test_other_arguments_that_are_refused() -> None:
    outputs, targets = np.zeros((3, 2, 4)), np.zeros((2, 2), int) + 1
    for call, message in (
        (lambda: CTCLoss(blank=-1), "blank: expected a whole number of at least 0"),
        (lambda: CTCLoss(blank=4)(outputs, targets), "blank: expected one of the classes 0…3, got 4"),
        (lambda: CTCLoss(blank=4).kernel(4, 1, outputs.dtype), "blank: expected one of the classes 0…3, got 4"),
        (lambda: SUM(outputs[0], targets), r"outputs: expected \(T, B, F\), got \(2, 4\)"),
        (lambda: SUM(outputs, targets[:, :1]), "targets: expected"),
        (lambda: SUM(outputs, targets[0]), "targets: expected"),
        (lambda: SUM(outputs, targets * 1.0), "targets: expected an array of integers"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def make_model(**options: object) -> SequenceModel:
    return SequenceModel(input_size=3, output_size=4, hidden_size=6, loss=CTCLoss(), seed=1, **options)  # type: ignore[arg-type]


def make_batches(dtype: str, count: int, lanes: int) -> list[SequenceBatch]:
    """What is beyond the length of a lane is nonsense; there is another number of rows in each."""
    rng, batches = np.random.default_rng(0), []
    for number in range(count):
        inputs, lengths = rng.standard_normal((8, lanes, 3)).astype(dtype), rng.integers(0, 9, lanes)
        inputs[np.arange(8)[:, None] >= lengths] = np.nan
        batches.append(SequenceBatch(inputs, draw_labels(rng, 3 * number % 11, lanes, 4), True, lengths))
    return batches


@pytest.mark.parametrize("output", ["steps", "last"])
@pytest.mark.parametrize("lanes", [1, 5])  # one: fewer than there are ranks
def test_shards_and_ranks_add_up(lanes: int, output: str) -> None:
    results = []
    for shards, ranks in ((1, 1), (1, 2), (1, 3), (lanes, 1), (lanes, 2)):
        model = make_model(dtype="float64", output=output)
        batches = make_batches("float64", 8, lanes)
        losses = [step.loss for step in train(model, Adam(0.01), batches, shards=shards, ranks=ranks)]
        results.append((model.parameters, losses))
    for parameters, losses in results[1:]:
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-9)
        np.testing.assert_allclose(parameters, results[0][0], atol=1e-9)


def test_it_learns_to_spell() -> None:
    """A lane is a word of the letters 1 … 4, each of which is shown for some steps, as often as it likes."""
    rng = np.random.default_rng(0)

    def batch() -> SequenceBatch:
        words = [rng.integers(1, 5, rng.integers(1, 5)) for _ in range(16)]
        inputs, targets = np.zeros((20, 16, 5), np.float32), np.full((4, 16), -1)
        lengths = np.zeros(16, int)
        for lane, word in enumerate(words):
            targets[: len(word), lane] = word
            for letter in word:
                for shown in [letter] * rng.integers(1, 4) + [0] * rng.integers(1, 3):
                    inputs[lengths[lane], lane, shown] = 1
                    lengths[lane] += 1
        return SequenceBatch(inputs, targets, True, lengths)

    model = SequenceModel(input_size=5, output_size=5, hidden_size=24, cell="gru", loss=CTCLoss(), seed=0)
    losses = [step.loss for step in train(model, Adam(0.02), (batch() for _ in range(120)), clip=5.0)]
    assert losses[-1] < 0.1 < 1 < losses[0]
    unseen = batch()
    outputs, _ = model(unseen.inputs, lengths=unseen.lengths, reset=True)
    read = ctc_greedy(outputs, unseen.lengths)
    assert [labels.tolist() for labels in read] == [
        [label for label in column if label >= 0] for column in unseen.targets.T.tolist()
    ]
