"""The supervisor keeps small fake services: what lives is left alone, what died is healed, nothing stays behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ratchet.errors import BadConfiguration, Unavailable

from cli.destroy import destroy_laptop
from local import ports, postgres, processes
from local.laptop import down, require_disk
from local.paths import Paths
from local.processes import Identity
from local.supervisor import Service, Supervisor

SLEEPER = """
import subprocess, time
subprocess.Popen(['sleep', '60'], start_new_session=True)
print('up', flush=True)
time.sleep(60)
"""


@pytest.fixture
def paths(tmp_path):
    found = Paths(tmp_path / ".ratchet")
    found.prepare()
    return found


@pytest.fixture
def supervisor(paths):
    one = Supervisor(paths)
    yield one
    one.stop_all()


def fake(supervisor, program=SLEEPER, *, ready=None, patience=10.0, name="fake"):
    log = supervisor.log(name)
    says_up = ready or (lambda: log.exists() and "up" in log.read_text())
    return Service(name, [sys.executable, "-c", program], Path("/"), says_up, 0, patience=patience)


def pid_of(paths, name="fake"):
    return json.loads(paths.laptop.read_text())["services"][name]["pid"]


def test_a_running_service_is_left_alone_by_a_second_start(supervisor, paths):
    assert supervisor.ensure(fake(supervisor))
    before = pid_of(paths)
    assert not Supervisor(paths).ensure(fake(supervisor))
    assert pid_of(paths) == before


def test_a_service_that_died_is_started_again(supervisor, paths):
    supervisor.ensure(fake(supervisor))
    dead = pid_of(paths)
    os.kill(dead, signal.SIGKILL)
    while supervisor.running("fake"):
        time.sleep(0.01)
    assert supervisor.ensure(fake(supervisor))
    assert pid_of(paths) != dead


def test_a_service_whose_command_changed_is_started_again(supervisor, paths):
    supervisor.ensure(fake(supervisor))
    before = pid_of(paths)
    assert supervisor.ensure(fake(supervisor, SLEEPER + " # changed"))
    assert pid_of(paths) != before


def test_stopping_ends_children_in_sessions_of_their_own_too(supervisor, paths):
    supervisor.ensure(fake(supervisor))
    family = supervisor.leftovers()
    assert len(family) == 2
    assert supervisor.stop_all() == ["fake"]
    assert not any(processes.alive(one) for one in family)
    assert supervisor.leftovers() == []


def test_a_service_that_ends_at_once_is_reported_with_its_last_words(supervisor):
    with pytest.raises(Unavailable, match="fake ended at once: no room here"):
        supervisor.ensure(fake(supervisor, "raise SystemExit('no room here')", ready=lambda: False))


def test_a_service_that_is_not_ready_in_time_is_ended_and_reported(supervisor):
    with pytest.raises(Unavailable, match=r"not ready within 0 s; its log"):
        supervisor.ensure(fake(supervisor, ready=lambda: False, patience=0.2))
    assert supervisor.names() == []
    assert supervisor.leftovers() == []


def test_ctrl_c_while_waiting_ends_the_service(supervisor):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervisor.ensure(fake(supervisor, ready=interrupted))
    assert supervisor.names() == []


def test_a_program_that_cannot_be_started_is_one_clear_line(supervisor):
    with pytest.raises(BadConfiguration, match="ghost cannot be started"):
        supervisor.ensure(Service("ghost", ["/nowhere/ghost"], Path("/"), lambda: True, 0))


def test_a_recycled_pid_is_never_ended():
    other = subprocess.Popen(["sleep", "30"])
    try:
        seen = processes.identify(other.pid)
        processes.stop(Identity(seen.pid, seen.started - 1, seen.boot), patience=0.1)
        processes.stop(Identity(seen.pid, seen.started, "another boot"), patience=0.1)
        time.sleep(0.1)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_program_of_ours_with_a_living_parent_is_no_orphan(tmp_path):
    program = tmp_path / "sleeper"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "30"])
    try:
        assert processes.orphans_in(tmp_path) == []
    finally:
        child.kill()
        child.wait()


def test_a_port_is_remembered_and_left_when_somebody_takes_it(supervisor, paths):
    first = supervisor.port("emulator")
    assert Supervisor(paths).port("emulator") == first
    with socket.create_server(("127.0.0.1", first)):
        assert supervisor.port("emulator") != first


def test_a_taken_port_that_was_asked_for_names_its_holder(supervisor):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadConfiguration, match=rf"Port {port}.*pid {os.getpid()}"):
            supervisor.port("emulator", port)
    assert ports.is_free(port)


def test_a_broken_record_names_the_file_to_delete(supervisor, paths):
    paths.laptop.write_text("{")
    with pytest.raises(BadConfiguration, match=r"laptop\.json is not JSON"):
        supervisor.names()
    paths.laptop.unlink()


def test_down_without_anything_running_does_nothing(tmp_path):
    assert down(Paths(tmp_path / ".ratchet")) == []


def test_a_full_disk_is_reported_before_anything_is_started(paths):
    with pytest.raises(BadConfiguration, match=r"Only .* GiB are free"):
        require_disk(paths, needed=2**62)


def test_destroy_removes_what_postgres_keeps_outside_as_well(tmp_path, monkeypatch):
    paths = Paths(tmp_path / ".ratchet")
    paths.prepare()
    (postgres._away(paths) / "data").mkdir(parents=True)
    monkeypatch.setenv("RATCHET_HOME", str(paths.root))
    told = destroy_laptop()
    assert told["removed"] == [f"{paths.state} (data, models, logs)"]
    assert not paths.state.exists()
    assert not postgres._away(paths).exists()
