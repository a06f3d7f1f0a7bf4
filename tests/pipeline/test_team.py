"""A team: passes that meet, and what happens after one has failed."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core.ranks import Pass
from recurrio.pipeline.crew import CrewMember
from recurrio.pipeline.team import SharedMemory, Team, WorkerError, supported

pytestmark = pytest.mark.skipif(not supported(), reason="worker processes take Linux on x86-64")


def test_a_team_that_has_failed_is_of_no_more_use(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"vocabulary_size": 5, "hidden_size": 4}
    arguments = {"model": model, "steps": 3, "lanes": 2, "slots": 1, "workspaces": 1, "seed": [0, 0]}
    memory = SharedMemory(1 << 22)
    try:
        places = {"parameters": 1 << 20, "gradients": 2 << 20}
        with Team(CrewMember, {**arguments, **places}, memory, ranks=2) as team:
            team.ready()
            assert team.run("forward", 0, 0, 0, 0, 0) == pytest.approx(6 * np.log(5))  # all parameters are zero

            def fail(*_: float) -> Pass[None]:
                yield
                raise RuntimeError("broken")

            monkeypatch.setattr(team.member, "forward", fail)
            with pytest.raises(RuntimeError, match="broken"):
                team.run("forward", 0, 0, 0, 0, 0)
            monkeypatch.undo()
            with pytest.raises(WorkerError, match="out of step"):
                team.run("forward", 0, 0, 0, 0, 0)
    finally:
        memory.close()
