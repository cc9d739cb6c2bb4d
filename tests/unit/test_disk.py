"""A full disk has a name and a remedy; other trouble with files stays what it is."""

import errno
from pathlib import Path

import pytest
from ratchet.disk import named_when_full
from ratchet.errors import BadConfiguration


def test_a_full_disk_is_a_bad_configuration_that_names_what_to_raise() -> None:
    said = r"raise EphemeralStorage of EvaluateFunction"
    with pytest.raises(BadConfiguration, match=said), named_when_full("EvaluateFunction"):
        Path("/dev/full").write_bytes(b"row")


def test_another_fault_of_a_file_is_passed_on() -> None:
    with pytest.raises(PermissionError), named_when_full("EvaluateFunction"):
        raise PermissionError(errno.EACCES, "Permission denied")
