"""A full disk as a named error: what a function keeps in its temporary storage grows with the rows."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ratchet.errors import BadConfiguration


@contextmanager
def named_when_full(function: str) -> Iterator[None]:
    """Raises BadConfiguration for a full disk; `function` is the logical name of the template's resource."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise BadConfiguration(
            f"The temporary storage is full: raise EphemeralStorage of {function} in template.yaml (on a laptop, free "
            'some disk space), or run with fewer rows ({"limit": N}).'
        ) from error
