"""What the emulator was started with; set once by `serve` before any extension is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The command line of the emulator, checked."""

    port: int
    state: Path
    """Buckets, stacks, extracted functions and logs; survives a restart."""
    runtime_python: Path
    """A Python with awslambdaric and the boto3 of AWS's image."""
    rie: Path
    """AWS's runtime interface emulator."""
    auth: bool = True

    @property
    def endpoint(self) -> str:
        """The address of every emulated service."""
        return f"http://127.0.0.1:{self.port}"


_settings: Settings | None = None


def configure(settings: Settings) -> None:
    """Set the settings of this process."""
    global _settings
    _settings = settings


def current() -> Settings:
    """The settings of this process; RuntimeError before `configure`."""
    if _settings is None:
        raise RuntimeError("The emulator is not configured: start it with `python -m local.emulator`.")
    return _settings
