"""The pool of warm execution environments, with processes that are counters."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.emulator.lambda_environment import Function
from local.emulator.runtime_pool import IDLE_SECONDS, MOST_IDLE, Pool

ONE = Function("one", "1", "app.handler", 3, 128, Path("code"), (), ())


class Process:
    """Remembers on which thread it started and how often it was stopped."""

    def __init__(self, function: Function) -> None:
        self.function, self.idle_since, self.stops = function, 0.0, 0
        self.thread = threading.get_ident()

    def stop(self) -> None:
        self.stops += 1


class Recorder:
    """Starts processes, and is their clock."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.now = 0.0

    def start(self, function: Function) -> Any:
        process = Process(function)
        self.started.append(process)
        return process


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def pool(recorder: Recorder) -> Pool[Any]:
    return Pool(recorder.start, clock=lambda: recorder.now)


def use(pool: Pool[Any], function: Function = ONE) -> Any:
    with pool.lease(function) as lease:
        return lease.process


def test_a_process_given_back_serves_the_next_invocation(pool: Pool[Any], recorder: Recorder) -> None:
    assert use(pool) is use(pool)
    assert len(recorder.started) == 1


def test_a_lent_process_serves_nobody_else(pool: Pool[Any]) -> None:
    with pool.lease(ONE) as first, pool.lease(ONE) as second:
        assert first.process is not second.process


@pytest.mark.parametrize("change", [{"version": "2"}, {"code": Path("new")}, {"variables": (("COLOUR", "red"),)}])
def test_a_changed_function_gets_a_new_process(pool: Pool[Any], change: dict[str, Any]) -> None:
    assert use(pool) is not use(pool, replace(ONE, **change))


def test_a_spent_process_is_stopped_and_replaced(pool: Pool[Any]) -> None:
    with pool.lease(ONE) as lease:
        lease.spend()
    assert lease.process.stops == 1
    assert use(pool) is not lease.process


def test_a_process_whose_invocation_raised_is_stopped(pool: Pool[Any], recorder: Recorder) -> None:
    with pytest.raises(ZeroDivisionError), pool.lease(ONE):
        raise ZeroDivisionError
    assert recorder.started[0].stops == 1


def test_who_idles_too_long_is_stopped_at_the_next_occasion(pool: Pool[Any], recorder: Recorder) -> None:
    idle = use(pool)
    recorder.now = IDLE_SECONDS + 1
    use(pool, replace(ONE, name="other"))
    assert idle.stops == 1


@pytest.mark.parametrize("change", [{"timeout": 4}, {"variables": (("COLOUR", "red"),)}])
def test_a_changed_configuration_ends_the_processes_of_the_one_before(pool: Pool[Any], change: dict[str, Any]) -> None:
    with pool.lease(ONE) as working:
        idle = use(pool)
        use(pool, replace(ONE, **change))
        assert (idle.stops, working.process.stops) == (1, 0)
    assert working.process.stops == 1


def test_another_version_of_a_function_stays_warm_beside_the_new_one(pool: Pool[Any]) -> None:
    before = use(pool)
    use(pool, replace(ONE, version="2"))
    assert use(pool) is before


def test_of_too_many_idle_processes_the_longest_idle_is_stopped(pool: Pool[Any], recorder: Recorder) -> None:
    for number in range(MOST_IDLE + 1):
        recorder.now = float(number)
        use(pool, replace(ONE, name=str(number)))
    assert [process.stops for process in recorder.started] == [1] + [0] * MOST_IDLE


def test_all_processes_start_on_one_thread_that_outlives_the_invocations(pool: Pool[Any], recorder: Recorder) -> None:
    threads = [threading.Thread(target=use, args=(pool, replace(ONE, name=str(n)))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({process.thread for process in recorder.started}) == 1


def test_closing_stops_the_idle_and_the_working_and_starts_no_more(pool: Pool[Any], recorder: Recorder) -> None:
    use(pool, replace(ONE, name="idle"))
    with pool.lease(ONE):
        pool.close()
    assert all(process.stops >= 1 for process in recorder.started)
    with pytest.raises(RuntimeError, match="stopping"):
        use(pool)
