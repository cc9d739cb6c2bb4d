"""The source's secret: cached for a while, and what it lacks is named."""

import pytest
from botocore.exceptions import ClientError
from ratchet.adapters.secrets import Secrets, translated
from ratchet.errors import BadConfiguration, Unavailable


def secrets(*texts):
    asked = []

    def fetch(name):
        asked.append(name)
        return texts[min(len(asked), len(texts)) - 1]

    now = [0.0]
    return Secrets(fetch, lambda: now[0]), asked, now


def test_a_secret_is_fetched_again_after_five_minutes():
    store, asked, now = secrets('{"url": "u", "key": "k "}', '{"db_url": "d", "key": null}')
    assert store.read("s") == store.read("s") == {"url": "u", "key": "k"}
    now[0] = 301
    assert store.read("s") == {"db_url": "d"}
    assert asked == ["s", "s"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no JSON"), ("[]", "no JSON object"), ("{}", "lacks url and key"), ('{"url": "u", "key": ""}', "lacks key")],
)
def test_what_a_secret_lacks_is_named(text, said):
    with pytest.raises(BadConfiguration, match=said):
        secrets(text)[0].read("name")


def test_an_unnamed_secret_is_a_bad_configuration():
    with pytest.raises(BadConfiguration, match="RATCHET_SECRET"):
        secrets("{}")[0].read("")


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
