"""What the laptop target needs of this machine, one finding for each need, with its remedy. Changes nothing."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import RatchetError

from local import environments, node, ports
from local.environments import RECIPES
from local.paths import Paths, default_paths
from local.supervisor import Supervisor

DISK_FIRST = 8 * 1024**3
"""Bytes for all environments, the build and a few runs."""
MEMORY = 4 * 1024**3


@dataclass(frozen=True)
class Check:
    """One finding."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


def examine(paths: Paths | None = None) -> list[Check]:
    """All checks of the laptop target, in the order in which `up` would meet them."""
    paths = paths or default_paths()
    checks = (_system, _tools, _python, _node, _disk, _memory, _environments, _ports, _leftovers)
    return [_safely(check, paths) for check in checks]


def _safely(check: Callable[[Paths], Check], paths: Paths) -> Check:
    try:
        return check(paths)
    except RatchetError as error:
        return Check(check.__name__.strip("_"), False, str(error), "see the detail")


def _system(paths: Paths) -> Check:
    told = f"{platform.system()} {platform.machine()}"
    fits = told == "Linux x86_64"
    return Check("system", fits, told, "" if fits else "use Linux on x86_64 (on Windows: WSL2)")


def _tools(paths: Paths) -> Check:
    missing = [tool for tool in ("make", "setpriv", "prlimit") if shutil.which(tool) is None]
    detail = f"missing: {', '.join(missing)}" if missing else "make, setpriv, prlimit"
    return Check("tools", not missing, detail, "install make and util-linux" if missing else "")


def _python(paths: Paths) -> Check:
    return Check("python", True, f"{environments.find_python('3.12')} is Python 3.12")


def _node(paths: Paths) -> Check:
    found = node.find_node()
    return Check("node", True, str(found.program) if found else f"none from version {node.OLDEST}: PyPI's is installed")


def _disk(paths: Paths) -> Check:
    there = next(folder for folder in (paths.root, *paths.root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    made = all(environments.is_current(recipe, paths) for recipe in RECIPES)
    needed = DISK_FIRST // 4 if made else DISK_FIRST
    detail = f"{free / 1024**3:.1f} GiB free under {there}, {needed / 1024**3:.0f} needed"
    return Check("disk", free >= needed, detail, "" if free >= needed else "free some disk space")


def _memory(paths: Paths) -> Check:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    detail = f"{free / 1024**3:.1f} GiB available, {MEMORY / 1024**3:.0f} wanted"
    return Check("memory", free >= MEMORY, detail, "" if free >= MEMORY else "end some programs: training needs it")


def _environments(paths: Paths) -> Check:
    missing = [recipe.name for recipe in RECIPES if not environments.is_current(recipe, paths)]
    detail = f"to be made: {', '.join(missing)}" if missing else "all made"
    return Check("environments", not missing, detail, "run `ratchet up`; it downloads them once" if missing else "")


def _ports(paths: Paths) -> Check:
    supervisor = Supervisor(paths)
    known = supervisor.ports().items()
    taken = [(name, port) for name, port in known if not supervisor.running(name) and not ports.is_free(port)]
    told = ", ".join(f"{name}'s port {port} by {ports.holder(port)}" for name, port in taken)
    return Check(
        "ports",
        not taken,
        f"taken: {told}" if taken else "free or ours",
        "`ratchet up` chooses others" if taken else "",
    )


def _leftovers(paths: Paths) -> Check:
    supervisor = Supervisor(paths)
    running = [name for name in supervisor.names() if supervisor.running(name)]
    left = [] if running else [one.pid for one in supervisor.leftovers() if one.pid != os.getpid()]
    detail = f"processes of an earlier laptop target: {left}" if left else f"running: {', '.join(running) or 'nothing'}"
    return Check("leftovers", not left, detail, "run `ratchet down`" if left else "")
