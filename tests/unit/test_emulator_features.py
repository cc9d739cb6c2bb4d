"""Records of feature groups as values, what an online store keeps, and resources that survive."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.emulator.feature_values import Schema
from local.emulator.generated_secrets import as_request, secret
from local.emulator.sagemaker_calls import Refused, page, refuse_unbuilt
from local.emulator.sagemaker_online import Kept, OnlineStore
from local.emulator.sagemaker_resources import Resource, Resources

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEMA = Schema({"user": "String", "at": "Fractional", "clicks": "Integral", "share": "Fractional"}, "user", "at")


def record(**values: str) -> list[dict[str, str]]:
    told = {"user": "u1", "at": "1795262400", **values}
    return [{"FeatureName": name, "ValueAsString": value} for name, value in told.items()]


def test_values_have_the_declared_types() -> None:
    values = SCHEMA.values(record(clicks="-3", share="2.5e-1"))
    assert values == {"user": "u1", "at": 1795262400.0, "clicks": -3, "share": 0.25}
    assert SCHEMA.instant(values["at"]) == NOON


@pytest.mark.parametrize("text", ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00.000Z"])
def test_an_event_time_as_text_is_utc(text: str) -> None:
    assert SCHEMA.instant(text) == NOON


@pytest.mark.parametrize("text", ["", " 1", "1_0", "0x1", "nan", "inf", "1.", "٣", "one"])
def test_what_is_no_number_is_refused(text: str) -> None:
    for name in ("clicks", "share"):
        with pytest.raises(Refused, match=name):
            SCHEMA.values(record(**{name: text}))


def test_a_feature_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Refused, match="user is there twice"):
        SCHEMA.values([*record(), *record()])


def test_an_event_time_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(Refused, match="must be an ISO 8601 date"):
        SCHEMA.values(record(at="1e30"))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1))
def test_an_online_store_shows_the_last_of_the_latest_events_in_any_order(events: list[tuple[int, bool]]) -> None:
    store = OnlineStore()
    for number, (hour, deleted) in enumerate(events):
        store.put("group", "u1", Kept(NOON + timedelta(hours=hour), None if deleted else {"n": str(number)}))
    latest = max(hour for hour, _ in events)
    number, deleted = [(n, gone) for n, (hour, gone) in enumerate(events) if hour == latest][-1]
    assert store.get("group", "u1") == (None if deleted else {"n": str(number)})


def test_resources_are_found_again_with_tags_and_what_is_their_own(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "resources.json"
    first = Resources(file)
    assert first.add(Resource("arn:a/1", {"Name": "a", "Reason": "none"}, {"k": "v"}, {"n": 1}))
    assert not first.add(Resource("arn:a/1", {}))
    first.change("arn:a/1", {"Status": "Ready"}, without=("Reason",))
    first.tag("arn:a/1", {"more": "w"})
    first.keep("arn:a/1", n=2)
    first.add(Resource("arn:a/2", {}))
    first.remove("arn:a/2")
    (found,) = Resources(file).under("arn:a/")
    assert found == Resource("arn:a/1", {"Name": "a", "Status": "Ready"}, {"k": "v", "more": "w"}, {"n": 2})


def test_a_change_of_what_is_gone_is_told(tmp_path: Path) -> None:
    resources = Resources(tmp_path / "resources.json")
    assert not resources.change("arn:nobody", {"Status": "Ready"})
    assert not resources.remove("arn:nobody")


def test_pages_hold_all_in_order() -> None:
    found = [{"Name": name, "CreationTime": number} for number, name in enumerate("cab")]
    first, more = page(found, {"MaxResults": 2, "SortBy": "Name", "SortOrder": "Ascending"}, {"Name": "Name"})
    second, end = page(found, {"SortBy": "Name", "SortOrder": "Ascending", **more}, {"Name": "Name"})
    assert ("".join(each["Name"] for each in [*first, *second]), end) == ("abc", {})
    assert [each["Name"] for each in page(found, {}, {})[0]] == ["b", "a", "c"]


def test_what_is_left_empty_is_not_refused() -> None:
    refuse_unbuilt("CreateModel", {"Containers": []}, ("Containers", "VpcConfig"))
    with pytest.raises(Refused, match="Containers of CreateModel is not implemented"):
        refuse_unbuilt("CreateModel", {"Containers": [{}]}, ("Containers",))


def test_a_generated_secret_is_asked_for_as_the_template_says() -> None:
    wanted = {"PasswordLength": "64", "ExcludePunctuation": "true", "IncludeSpace": False, "ExcludeCharacters": "ab"}
    asked = {"PasswordLength": 64, "ExcludePunctuation": True, "IncludeSpace": False, "ExcludeCharacters": "ab"}
    assert as_request(wanted) == asked


def test_a_generated_secret_stands_under_its_key() -> None:
    assert secret({}, "p") == "p"
    template = {"SecretStringTemplate": '{"user": "u"}', "GenerateStringKey": "key"}
    assert json.loads(secret(template, "p")) == {"user": "u", "key": "p"}
    with pytest.raises(ValueError, match="must be a JSON object"):
        secret({"SecretStringTemplate": "[]", "GenerateStringKey": "key"}, "p")
