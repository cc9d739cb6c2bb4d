"""SageMaker's errors as ours. It has few codes: what is not there, or is there already, its messages say."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from ratchet.errors import BadConfiguration, Unavailable

ABSENT = ("does not exist", "could not be found", "could not find", "not found")
EXISTING = "already exist"
REFUSED = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"}
INVALID = {"ValidationException", "ValidationError", "ResourceLimitExceeded"}


def is_absent(error: ClientError) -> bool:
    """Whether what was asked about is not there."""
    told = error.response["Error"]
    return told["Code"] in {"ResourceNotFound", "ValidationException"} and any(
        sign in told["Message"].lower() for sign in ABSENT
    )


def translated(error: ClientError, what: str) -> BadConfiguration | Unavailable:
    """Of a call about something: BadConfiguration where it will never be done, Unavailable otherwise."""
    kind = BadConfiguration if error.response["Error"]["Code"] in REFUSED | INVALID else Unavailable
    return kind(f"SageMaker does not do what it was asked for with {what}: {error}")


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Raises ours instead."""
    try:
        yield
    except ClientError as error:
        raise translated(error, what) from error
    except BotoCoreError as error:
        raise Unavailable(f"SageMaker did not answer about {what}: {error}") from error
