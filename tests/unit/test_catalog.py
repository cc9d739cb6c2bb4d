"""A pipeline is a folder; its pipeline.yaml is checked whole."""

import copy
from importlib import resources

import pytest
import yaml
from ratchet import catalog
from ratchet.errors import BadConfiguration, UnknownPipeline


@pytest.fixture
def document() -> dict[str, object]:
    text = resources.files("pipelines").joinpath("returns", "pipeline.yaml").read_text()
    loaded: dict[str, object] = yaml.safe_load(text)
    return copy.deepcopy(loaded)


def test_every_pipeline_loads() -> None:
    assert "returns" in catalog.names()
    for name in catalog.names():
        assert catalog.load(name).name == name


@pytest.mark.parametrize("name", ["nope", "../returns", "Returns", ""])
def test_an_unknown_pipeline_names_those_that_exist(name: str) -> None:
    with pytest.raises(UnknownPipeline, match="returns"):
        catalog.load(name)


def test_all_faults_of_a_pipeline_are_named_at_once(document: dict[str, dict[str, object]]) -> None:
    del document["title"]
    document["gate"]["alpha"] = "small"
    document["data"]["colour"] = "blue"
    document["source"]["page_rows"] = True
    with pytest.raises(BadConfiguration) as error:
        catalog.parse(document, "pipeline.yaml")
    for part in ("'title' is missing", "gate: alpha is 'small'", "'colour' is unknown", "page_rows is True"):
        assert part in str(error.value)


def test_the_keys_of_returns_stand_where_readers_look() -> None:
    keys = catalog.load("returns").keys
    assert keys.pointer() == "model/latest.json"
    assert keys.train("r") == "train/run_ts=r/train.parquet"
    assert keys.model("r") == "model/run_ts=r/model.tar.gz"
