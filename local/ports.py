"""Loopback ports: which are free, and who holds one that is not."""

import contextlib
import socket
from pathlib import Path

from ratchet.errors import BadConfiguration


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int, purpose: str) -> None:
    """Raises BadConfiguration naming the holder of a port that somebody asked for and that is taken."""
    if not is_free(port):
        raise BadConfiguration(f"Port {port}, asked {purpose}, is taken by {holder(port)}: end that or choose another.")


def holder(port: int) -> str:
    """`name (pid)` of the process that listens on a loopback port, or `another process` where it cannot be seen."""
    inodes = _listening_inodes(port)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and inodes & _socket_inodes(entry):
            return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return "another process"


def _listening_inodes(port: int) -> set[str]:
    tables = [table for name in ("tcp", "tcp6") if (table := Path(f"/proc/net/{name}")).exists()]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def _socket_inodes(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            # Descriptors come and go while one looks; the one that lists them is gone already.
            with contextlib.suppress(OSError):
                found.add(link.readlink().name.removeprefix("socket:[").removesuffix("]"))
    return found
