"""Engine processes that stay between runs: which one a run gets, and when they end."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import pytest
from support.processes import gone, is_alive

from TotalSegmentatorLib.errors import EngineError, SetupError
from TotalSegmentatorLib.jobs import EngineCommand, EnginePool, JobContext, Started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def pool(tmp_path) -> Iterator[EnginePool]:
    pool = EnginePool(tmp_path)
    yield pool
    pool.release()


@pytest.fixture
def pid_of(message):
    """Runs a lent process once; gives its process id."""

    def pid_of(process, behaviour: str = "result") -> int:
        events: list = []
        process.run(message(behaviour), JobContext(events.append))
        (started,) = (event for event in events if isinstance(event, Started))
        return started.pid

    return pid_of


def test_a_process_is_lent_again(pool, fake, pid_of):
    with pool.lend(fake) as process:
        first = pid_of(process)
    equal = EngineCommand(list(fake.arguments), dict(fake.variables))
    with pool.lend(equal) as process:
        assert pid_of(process) == first


def test_another_environment_gets_another_process(pool, fake, pid_of):
    other = dataclasses.replace(fake, variables={**fake.variables, "TOTALSEG_WEIGHTS_PATH": "/w"})
    pids = set()
    for command in (fake, other, fake):
        with pool.lend(command) as process:
            pids.add(pid_of(process))
    assert len(pids) == 2


def test_two_at_the_same_time_get_two_of_which_one_is_kept(pool, fake, pid_of):
    with pool.lend(fake) as one, pool.lend(fake) as other:
        pids = [pid_of(one), pid_of(other)]
    assert pids[0] != pids[1]
    assert sorted(map(is_alive, pids)) == [False, True]
    with pool.lend(fake) as process:
        assert pid_of(process) in pids


def test_as_many_are_kept_as_run_at_once(pool, fake, pid_of):
    with pool.lend(fake, 2) as one, pool.lend(fake, 2) as other:
        pids = {pid_of(one), pid_of(other)}
    with pool.lend(fake, 2) as one, pool.lend(fake, 2) as other:
        assert {pid_of(one), pid_of(other)} == pids
    with pool.lend(fake) as one:
        pid_of(one)
    assert len([pid for pid in pids if is_alive(pid)]) == 1


def test_a_process_in_doubt_is_not_kept(pool, fake, pid_of):
    with pool.lend(fake) as process:
        first = pid_of(process)
        with pytest.raises(EngineError):
            pid_of(process, "crash")
    with pool.lend(fake) as process:
        assert pid_of(process) != first


def test_release_ends_what_is_idle_only(pool, fake, pid_of):
    with pool.lend(fake) as one, pool.lend(fake) as other:
        idle, lent = pid_of(one), pid_of(other)
        with pool.lend(fake) as third:
            kept = pid_of(third)
        pool.release()
        assert gone(kept)
        assert is_alive(idle) and is_alive(lent)
    pool.release()
    assert gone(idle) and gone(lent)


def test_missing_interpreter_is_one_sentence(pool, tmp_path):
    command = EngineCommand([tmp_path / "no-python"], {})
    with pytest.raises(SetupError) as caught, pool.lend(command):
        pass
    assert caught.value.code == "environment.no_interpreter"
