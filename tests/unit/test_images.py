"""The table of training images, from the SDK's own table to the template."""

import pytest
from ratchet.endpoint.container import IMAGE

from tools.images import BEGIN, END, SERVING, mappings, pin

VERSIONS = {
    "2.2.0": {"py_versions": ["py310"], "registries": {"us-east-1": "111111111111"}},
    "2.8.0": {"py_versions": ["py311", "py312"], "registries": {"us-east-1": "222222222222"}},
    "2.10.0": {"py_versions": ["py313"], "registries": {"eu-west-1": "333333333333"}},
}
TABLE = {"training": {"versions": VERSIONS}, "inference": {"versions": VERSIONS}}


def test_images_with_a_python_too_old_for_the_common_layer_are_left_out() -> None:
    block = mappings(TABLE)
    assert '"2.8.0": {Python: py312}' in block
    assert "2.2.0" not in block
    assert "111111111111" not in block


def test_every_region_that_has_one_of_the_images_is_named_once() -> None:
    rows = [line for line in mappings(TABLE).splitlines() if "Account" in line]
    assert rows == ['    eu-west-1: {Account: "333333333333"}', '    us-east-1: {Account: "222222222222"}']


def test_an_endpoint_has_the_newest_image_with_the_python_of_the_bundles_wheels() -> None:
    assert "pytorch: {Tag: 2.8.0-cpu-py312}" in mappings(TABLE)
    assert SERVING.removeprefix("py") == IMAGE[1].replace(".", "")


def test_only_what_stands_between_the_markers_changes() -> None:
    template = f"Mappings:\n{BEGIN}\nold\n{END}\nResources:\n"
    assert pin(template, f"{BEGIN}\nnew\n{END}") == f"Mappings:\n{BEGIN}\nnew\n{END}\nResources:\n"


def test_a_template_without_the_markers_is_refused() -> None:
    with pytest.raises(SystemExit, match="markers"):
        pin("Mappings:\n", "x")
