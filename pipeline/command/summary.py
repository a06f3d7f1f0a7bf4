"""What a training run comes to, in a line."""

from __future__ import annotations

from ..observe.words import bits_of, counts_of, scores_of
from .outcome import Outcome
from .settings import Settings

__all__ = ["summary"]


def summary(outcome: Outcome, settings: Settings, where: str | None, *, interrupted: bool) -> str:
    """What a run comes to, in a line."""
    stopped = "interrupted" if interrupted else "done"
    records = None if outcome.records is None else outcome.records.report()
    if where is None:
        came = "" if records is None or not records["records"] else f" ({counts_of(records)})"
        return f"{stopped} before the first step{came}; nothing was written"
    if records is not None:
        parts = [f"{stopped}: {outcome.steps:,} steps", counts_of(records), scores_of(records), f"wrote {where}"]
        return "; ".join(filter(None, parts))
    if outcome.epochs:
        return f"{stopped}: {outcome.epochs}; wrote {where}"
    if not outcome.losses:
        return f"{stopped}: there was no more than the {outcome.steps:,} steps; wrote {where}"
    mean = sum(outcome.losses) / len(outcome.losses)
    if outcome.first is not None and not outcome.last() <= outcome.first:
        stopped += f", but worse than it began (loss {_loss(outcome.first)} at first; a smaller --lr may help)"
    parts = [f"{stopped}: {outcome.steps:,} steps, loss {_loss(mean)} (mean of the last {len(outcome.losses)})"]
    if bits := bits_of(outcome.symbols):
        parts.append(f"{bits} in the first pass")
    if not interrupted and settings.steps is not None and outcome.steps < settings.steps:
        parts.append(f"the source ended before --steps {settings.steps:,}")
    if outcome.leftover:
        parts.append(f"{outcome.leftover:,} symbols at the end filled no batch")
    if outcome.unknown:
        parts.append(f"{outcome.unknown:,} symbols are none of the vocabulary")
    return "; ".join([*parts, f"wrote {where}"])


def _loss(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1e6 else f"{loss:.3g}"
