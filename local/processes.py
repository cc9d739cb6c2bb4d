"""Start, recognise and end processes of our own; a pid counts only with its start time, so a recycled one is safe.

Boundary: Linux's /proc. Knows nothing of what the processes do.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one of the same pid."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks since boot."""
    boot: str
    """The kernel's boot id: ticks start anew with every boot."""


def boot_id() -> str:
    """The id of the running boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """The identity of a running process, or None where there is none (a zombie is none)."""
    if pid in _children:
        _children[pid].poll()
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Identity(pid, int(fields[19]), boot_id())


def alive(identity: Identity) -> bool:
    """Whether this very process still runs."""
    return identify(identity.pid) == identity


def start(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    user: int | None = None,
) -> Identity:
    """Start a command in a session of its own, output appended to `log`. Raises OSError when it cannot be started."""
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
    _children[child.pid] = child
    return identify(child.pid) or Identity(child.pid, -1, boot_id())


def stop(identity: Identity, *, by: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> None:
    """End a process and all it started: politely first, then by SIGKILL. A recycled pid is left alone."""
    if identity.boot != boot_id():
        return
    leader = identify(identity.pid)
    if leader is not None and leader != identity:
        return
    members = family(identity)
    if leader is not None:
        _signal(identity, by)
        _wait(lambda: not alive(identity), patience)
    for member in {*members, *family(identity)}:
        _signal(member, signal.SIGKILL)
    _wait(lambda: not any(alive(member) for member in members), patience)


def family(identity: Identity) -> list[Identity]:
    """The process, its descendants and whoever shares its session, dead parents notwithstanding.

    The kernel gives no pid out anew while it still names a session, so a session outlives its leader safely.
    """
    if identity.boot != boot_id():
        return []
    table = {pid: fields for pid in _pids() if (fields := _stat(pid)) is not None}
    known = {identity.pid}
    grew = True
    while grew:
        more = {p for p, f in table.items() if int(f[1]) in known or int(f[3]) == identity.pid} - known
        known |= more
        grew = bool(more)
    found = (identify(pid) for pid in known)
    return [one for one in found if one is not None and one.started >= identity.started]


def orphans_in(folder: Path) -> list[Identity]:
    """Every process whose program, as it was called, lies inside `folder` and whose parent is gone.

    One with a living parent is that parent's business: another program may use the same environments.
    """
    inside = f"{folder}{os.sep}".encode()
    found = (identify(pid) for pid in _pids() if _program(pid).startswith(inside) and _is_orphan(pid))
    return [one for one in found if one is not None]


def _is_orphan(pid: int) -> bool:
    """Whether init, or a user's systemd, has taken the process over."""
    fields = _stat(pid)
    if fields is None:
        return False
    parent = int(fields[1])
    return parent == 1 or _program(parent).endswith(b"systemd")


def _program(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0]
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state, parent, group, session, and so on."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _signal(identity: Identity, number: signal.Signals) -> None:
    if alive(identity):
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
