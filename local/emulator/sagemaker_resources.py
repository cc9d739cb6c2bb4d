"""What SageMaker keeps for a name: feature groups, packages, models, endpoints and so on, found by ARN.

All of it lies in one file, written whole at every change, so that a stack finds after a restart what it made before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One thing: what its Describe call answers, its tags, and what is for the emulator alone."""

    arn: str
    shown: dict[str, Any]
    """JSON alone: instants are seconds since 1970."""
    tags: dict[str, str] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)


class Resources:
    """All resources; safe for concurrent use."""

    def __init__(self, file: Path) -> None:
        """Starts with what `file` holds."""
        self._file, self._lock = file, threading.RLock()
        kept = json.loads(file.read_text()) if file.exists() else []
        self._all = {each["arn"]: Resource(**each) for each in kept}

    def find(self, arn: str) -> Resource | None:
        """The resource of this ARN."""
        return self._all.get(arn)

    def under(self, prefix: str) -> list[Resource]:
        """The resources whose ARNs begin with `prefix`, in the order of their creation."""
        with self._lock:
            return [each for each in self._all.values() if each.arn.startswith(prefix)]

    def add(self, resource: Resource) -> bool:
        """Keep a new resource; False where its ARN is taken."""
        with self._lock:
            if resource.arn in self._all:
                return False
            self._all[resource.arn] = resource
            self._save()
        return True

    def change(self, arn: str, shown: Mapping[str, Any], without: tuple[str, ...] = ()) -> bool:
        """Set members of what is shown, and leave out others; False where the resource is gone."""
        with self._lock:
            if arn not in self._all:
                return False
            self._all[arn].shown.update(shown)
            for name in without:
                self._all[arn].shown.pop(name, None)
            self._save()
        return True

    def keep(self, arn: str, **own: Any) -> None:
        """Set what is for the emulator alone, of a resource that is there."""
        with self._lock:
            self._all[arn].own.update(own)
            self._save()

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a resource that is there."""
        with self._lock:
            self._all[arn].tags.update(tags)
            self._save()

    def remove(self, arn: str) -> bool:
        """Forget a resource; False where there was none."""
        with self._lock:
            found = self._all.pop(arn, None) is not None
            self._save()
        return found

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps([asdict(each) for each in self._all.values()]))
        part.replace(self._file)


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """A request's Tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
