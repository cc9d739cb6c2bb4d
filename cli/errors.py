"""What the command itself finds wrong, and the exit code of everything that can go wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError, ClientError
from ratchet.errors import BadInput, RatchetError

FAILED, USAGE, ALREADY_RUNNING, INTERRUPTED = 1, 2, 3, 130


class CommandError(RatchetError):
    """The command cannot do what was asked; its text is one line with the remedy."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Ends the process with one clear line and the documented exit code instead of a traceback."""
    try:
        yield
    except BadInput as error:
        _end(str(error), USAGE)
    except RatchetError as error:
        _end(str(error), FAILED)
    except ClientError as error:
        details = error.response.get("Error", {})
        _end(f"AWS refuses {error.operation_name}: {details.get('Code')}: {details.get('Message')}", FAILED)
    except BotoCoreError as error:
        _end(f"AWS cannot be reached: {error}", FAILED)
    except KeyboardInterrupt:
        _end("Interrupted.", INTERRUPTED)


def _end(text: str, code: int) -> None:
    click.secho(f"ratchet: {' '.join(text.split())}", fg="red", err=True)
    sys.exit(code)
