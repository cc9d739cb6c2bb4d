"""The source's secret: read whenever it is needed, and what it lacks is named."""

import pytest
from botocore.exceptions import ClientError
from ratchet.adapters.secrets import read_project, read_secret, translated
from ratchet.errors import BadConfiguration, Unavailable


def test_a_changed_secret_counts_at_once():
    texts = iter(['{"url": "u", "key": "k "}', '{"db_url": "d", "key": null}'])
    assert read_secret("s", lambda name: next(texts)) == {"url": "u", "key": "k"}
    assert read_secret("s", lambda name: next(texts)) == {"db_url": "d"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no JSON"), ("[]", "no JSON object"), ("{}", "lacks url and key"), ('{"url": "u", "key": ""}', "lacks key")],
)
def test_what_a_secret_lacks_is_named(text, said):
    with pytest.raises(BadConfiguration, match=said):
        read_secret("name", lambda name: text)


def test_a_project_is_read_beside_a_database():
    text = '{"db_url": "d", "url": "u", "key": "k"}'
    assert read_project("s", lambda name: text) == ("u", "k")


@pytest.mark.parametrize(
    ("text", "lacks"),
    [('{"db_url": "d"}', "lacks url and key"), ('{"db_url": "d", "url": "u", "key": " "}', "lacks key,")],
)
def test_predictions_for_a_table_need_the_project_and_not_only_the_database(text, lacks):
    with pytest.raises(BadConfiguration, match=rf"{lacks}.*upsert_table"):
        read_project("s", lambda name: text)


def test_an_unnamed_secret_is_a_bad_configuration():
    with pytest.raises(BadConfiguration, match="RATCHET_SECRET"):
        read_secret("")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", BadConfiguration),
        ("ParameterNotFound", BadConfiguration),
        ("AccessDeniedException", BadConfiguration),
        ("ThrottlingException", Unavailable),
    ],
)
def test_errors_of_aws_become_named_ones(code, kind):
    error = translated(ClientError({"Error": {"Code": code}}, "GetSecretValue"), "my/secret")
    assert type(error) is kind
    assert "my/secret" in str(error)
