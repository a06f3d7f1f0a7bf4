"""Print the lowest versions that pyproject.toml allows, as constraints for pip: each ``>=`` becomes ``==``."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lowest() -> list[str]:
    """A line for each package. Raises ValueError for one whose versions have no lower bound."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, found = data["project"], set()
    extras = chain.from_iterable(project["optional-dependencies"].values())
    for requirement in [*data["build-system"]["requires"], *project["dependencies"], *extras]:
        if requirement.startswith(project["name"] + "["):
            continue  # the extras of its own
        bound = re.match(r"([\w.-]+)(?:\[.*?\])?(?:>=|==)([\w.]+)", requirement)
        if bound is None:
            raise ValueError(f"{requirement}: expected a lowest version, as {requirement}>=1.0")
        found.add("==".join(bound.groups()))
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(lowest()))
