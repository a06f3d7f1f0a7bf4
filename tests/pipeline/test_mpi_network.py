"""Jobs of MPI over TCP, between network namespaces: the same bits, what crosses the wire, and a link that is cut."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.mpi import job, needs_mpi, ranks_of, wait_for_the_end
from support.mpi_wire import BATCHES
from support.namespaces import hosts, why_not

WHY_NOT = why_not()


@needs_mpi
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("shards", [2, 4] if os.environ.get("RECURRIO_MPI") else [2])
def test_over_tcp_the_bits_are_the_same_and_a_link_that_is_cut_ends_all(shards: int, tmp_path: Path) -> None:
    over_tcp = {"UCX_TLS": "tcp,self"}  # else MPICH goes through shared memory
    words = ["-m", "support.mpi_wire", shards]
    with hosts(shards + 1, tmp_path) as there:
        how = {"before": there.before, "options": there.options, "environment": over_tcp}
        with job(shards + 1, *words, where=tmp_path, **how) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            ranks = ranks_of(process, shards + 1)
            assert process.stdout.readline() == "begin\n"
            before = there.sent_and_received(0)
            process.stdin.write("\n")
            process.stdin.flush()
            found = json.loads(process.stdout.readline())
            crossed = [after - earlier for after, earlier in zip(there.sent_and_received(0), before, strict=True)]
            assert found["same"]
            # To each worker and back, or in slices; the version behind the last batch but one goes nowhere.
            copies = found["bytes"] * (shards if shards < 4 else 1)
            least = [(BATCHES - 1) * copies, BATCHES * copies]
            assert all(low <= count < 1.2 * low for low, count in zip(least, crossed, strict=True)), (crossed, least)
            process.stdin.write("\n")
            process.stdin.flush()
            until = there.sent_and_received(0)[0] + found["bytes"]
            while there.sent_and_received(0)[0] < until:
                assert process.poll() is None
            there.cut(2)
            errors = wait_for_the_end(process, ranks, 20)
            assert process.returncode != 0
            assert "StageHungError: stage " in errors
