"""Where the laptop target keeps its things: all under `.ratchet/` in the checkout. This is the only map of it."""

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The checkout this code runs from."""


@dataclass(frozen=True)
class Paths:
    """The folders and files under one `.ratchet/`. Nothing is created here; see `prepare`."""

    root: Path
    """`.ratchet/` itself."""

    @property
    def state(self) -> Path:
        """What `down` leaves and `destroy` removes: data, logs, remembered ports."""
        return self.root / "state"

    @property
    def laptop(self) -> Path:
        """`laptop.json`: ports and processes."""
        return self.state / "laptop.json"

    @property
    def keys(self) -> Path:
        """The local Supabase's keys and the database password, readable by the owner alone."""
        return self.state / "supabase-keys.json"

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` works, so that two of them take turns."""
        return self.state / "lock"

    @property
    def emulator(self) -> Path:
        """The emulator's own state."""
        return self.state / "emulator"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's home: data and password file."""
        return self.state / "postgres"

    @property
    def lite(self) -> Path:
        """The working folder of Supabase Lite: its `supabase/config.toml`."""
        return self.state / "lite"

    @property
    def logs(self) -> Path:
        """One log per process and per environment."""
        return self.state / "logs"

    def environment(self, name: str) -> Path:
        """The environment called `name`: emulator, sam, runtime, training, node, postgres or supabase."""
        return self.root / "envs" / name

    def python(self, name: str) -> Path:
        """The Python of the environment called `name`."""
        return self.environment(name) / "bin" / "python"

    def rie(self) -> Path:
        """AWS's runtime emulator, which ships inside aws-sam-cli."""
        found = sorted(
            self.environment("sam").glob("lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
        )
        return found[-1] if found else self.environment("sam") / "aws-lambda-rie-x86_64"

    def prepare(self) -> None:
        """Create the folders that every command needs."""
        for folder in (self.root, self.state, self.logs, self.emulator, self.lite, self.root / "envs"):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o755)
        # Supabase Lite logs its keys.
        self.logs.chmod(0o700)


def default_paths() -> Paths:
    """The `.ratchet/` of this checkout, or the folder that RATCHET_HOME names: a second target beside the first."""
    return Paths(Path(os.environ.get("RATCHET_HOME") or CHECKOUT / ".ratchet").resolve())
