"""Lines about forecasts: how good they are beside naive ones, whose they are, which keys are worst. Needs rich."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from ...core.online.bet import ENOUGH
from .course import DRIFT, LEAD
from .lines import Cell, columns_of, curve, flow, table

__all__ = ["contest", "scores", "skills", "worst"]

MOST_TARGETS = 3  # that have lines of their own
MOST_KEYS = 3
LONGEST = 72  # cells of a curve
NONE = "–"
Metrics = Mapping[str, Any]


def scores(records: Mapping[str, Any], width: int) -> list[Text]:
    """The metrics of all labels and of the last ones, beside the naive ones, and whether bounds hold."""
    metrics, bounds = records.get("metrics"), records.get("bounds", {})
    if metrics is None:
        return []
    if not metrics["all"].get("count"):
        return flow([Text("no forecast has been scored yet: no label has come true", "dim")], width)
    rows = [*_rows(metrics, bounds, "")]
    of_targets = metrics.get("targets", {})
    for name, own in [*of_targets.items()][:MOST_TARGETS]:
        rows += _rows(own, {**bounds, **bounds.get("targets", {}).get(name, {})}, f"{name}, ")
    some = next(iter(of_targets.values()), metrics)
    heads = _heads(some["all"], bounds)
    lines = table(["forecasts", *heads], [[name, *(row.get(head, "") for head in heads)] for name, row in rows], width)
    if (more := len(of_targets) - MOST_TARGETS) > 0:
        lines += flow([Text(f"and {more} more targets, which are in the mean", "dim")], width)
    return lines + _naive(some["all"], width)


def _heads(metrics: Metrics, bounds: Mapping[str, Any]) -> list[str]:
    within = [_within(bounds)] if "interval" in bounds else []
    if "accuracy" in metrics:
        return ["accuracy", "naive", "skill", "log loss", "naive loss", "kappa", "labels"]
    return ["MAE", "naive", "skill", *within, "labels", "RMSE", "naive RMSE"]


def _rows(metrics: Metrics, bounds: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Cell]]]:
    for scope in ("all", "window"):
        own, held = metrics[scope], bounds.get(scope, {}).get("coverage")
        row = _cells(own) | {"skill": _skill(own.get("skill"))}
        if scope in bounds:  # of the mean of several targets there are none
            row[_within(bounds)] = NONE if held is None else f"{held:.1%}"
        count = own["count"]
        which = "all" if scope == "all" else f"last {count:,}"
        mean = "" if prefix or "targets" not in metrics else "mean, "
        yield f"{mean}{prefix}{which}", row | {"labels": f"{count:,}"}


def _within(bounds: Mapping[str, Any]) -> str:
    return f"in {100 * bounds['interval']:.4g}% bounds"


def _cells(metrics: Metrics) -> dict[str, Cell]:
    if "accuracy" in metrics:
        return {
            "accuracy": _share(metrics["accuracy"]),
            "naive": _share(metrics["naive_accuracy"]),
            "log loss": _number(metrics["log_loss"]),
            "naive loss": _number(metrics["naive_log_loss"]),
            "kappa": _number(metrics.get("kappa"), "+.3f"),
        }
    if "mae" not in metrics:
        return {}
    return {
        "MAE": _number(metrics["mae"]),
        "naive": _number(metrics["naive_mae"]),
        "RMSE": _number(metrics.get("rmse")),
        "naive RMSE": _number(metrics.get("naive_rmse")),
    }


def _naive(metrics: Metrics, width: int) -> list[Text]:
    """What each naive way comes to, where there are several."""
    name = "accuracy" if "accuracy" in metrics else "mae"
    ways = [(way, own[name]) for way, own in metrics.get("naive", {}).items() if own.get(name) is not None]
    if len(ways) < 2:
        return []
    said = [
        Text.assemble((f"{way} ", "dim"), _share(value) if name == "accuracy" else _number(value))
        for way, value in ways
    ]
    return flow([Text("naive ways:", "dim"), *said], width)


def contest(records: Mapping[str, Any], width: int) -> list[Text]:
    """The model and its challengers: who leads, and the evidence that another one is better."""
    each = records.get("contest")
    if not each:
        return []
    measure = next((name for name in ("MAE", "accuracy") if name in _cells(each[0]["metrics"])), None)
    rows = []
    for one in each:
        leads = one["name"] == records["leader"]
        evidence: Cell = ("leads", "bold") if leads else f"{one['evidence']:+.1f} of {ENOUGH:.1f}"
        if "failed" in one:
            evidence = ("failed", "bold magenta")
        measured = [] if measure is None else [_cells(one["metrics"]).get(measure, NONE)]
        rows.append([one["name"], evidence, _skill(one["metrics"].get("skill")), *measured])
    return table(["model", "evidence", "skill", *([] if measure is None else [measure])], rows, width)


def worst(records: Mapping[str, Any], width: int) -> list[Text]:
    """The keys of which forecasts are worst."""
    keys = records.get("worst", [])[:MOST_KEYS]
    if not keys:
        return []
    if "accuracy" in keys[0]:
        rows = [
            [key["key"], _share(key["accuracy"]), _share(key["naive_accuracy"]), f"{key['labels']:,}"] for key in keys
        ]
        return table(["worst keys", "accuracy", "naive", "labels"], rows, width)
    rows = [
        [key["key"], _number(key["mae"]), _number(key["naive_mae"]), _skill(key["skill"]), f"{key['labels']:,}"]
        for key in keys
    ]
    return table(["worst keys", "MAE", "naive", "skill", "labels"], rows, width)


def skills(course: Sequence[tuple[float, str]], width: int) -> list[Text]:
    """The skill at each look as a curve, with the marks of what was new then."""
    if len(course) < 2:
        return []
    values, most = [skill for skill, _ in course], min(width, LONGEST)
    marks = "".join([max(course[index][1] for index in group) or " " for group in columns_of(len(values), most)])
    said = ["skill of the last labels:", f"{values[0]:+.3f} to {values[-1]:+.3f}"]
    said += [f"{mark} {what}" for mark, what in ((DRIFT, "drift"), (LEAD, "another model leads")) if mark in marks]
    lines = [Text(curve(values, most), "cyan")]
    if marks.strip():
        lines.append(Text(marks.rstrip(), "bold yellow"))
    return lines + flow([Text(text, "dim") for text in said], width)


def _skill(skill: float | None) -> Cell:
    return NONE if skill is None else (f"{skill:+.3f}", "green" if skill > 0 else "magenta")


def _share(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def _number(value: float | None, form: str = ".5g") -> str:
    return NONE if value is None else f"{value:{form}}"
