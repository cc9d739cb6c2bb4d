"""Settings name everything that is wrong with the environment at once."""

import pytest
from ratchet.errors import BadConfiguration
from ratchet.settings import parse

MINIMAL = {"RATCHET_BUCKET": "b", "RATCHET_STACK": "s"}


def test_defaults_fill_what_the_template_leaves_out() -> None:
    assert parse(MINIMAL | {"RATCHET_TRAINING_INSTANCE": " "}).training_instance == "ml.g4dn.xlarge"


def test_every_kind_is_converted() -> None:
    found = parse(MINIMAL | {"RATCHET_TRAINING_SPOT": "TRUE", "RATCHET_MACHINE_TIMEOUT_SECONDS": "60"})
    assert (found.training_spot, found.machine_timeout_seconds) == (True, 60)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(BadConfiguration) as error:
        parse({"RATCHET_BUCKET": "", "RATCHET_TRAINING_SPOT": "yes", "RATCHET_MACHINE_TIMEOUT_SECONDS": "soon"})
    for part in ("RATCHET_BUCKET is not set", "RATCHET_STACK is not set", "'yes'", "'soon'"):
        assert part in str(error.value)
