"""Secrets in addresses: found in every form, and nothing else taken for one."""

from __future__ import annotations

import pytest

from suite.errors import ConfigError
from suite.records.storage import Storage
from suite.text import secrets
from suite.text.secrets import keep_secret, redact, secrets_of


@pytest.fixture(autouse=True)
def _none_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


WITH = {
    "http://ann:S3cret@host:5000": "http://host:5000",
    "https://ann:S3cret@host/path@v2": "https://v2",  # too much rather than too little
    "https://S3cret@host": "https://host",
    "https://ann:S3cret%40x@host": "https://host",
    "http://ann:p@ss/S3cret@host": "http://host",
    "postgresql+psycopg2://ann:S3cret@host:5432/db": "postgresql+psycopg2://ann:***@host:5432/db",
    "mysql://ann:S3cret@host/db?charset=utf8": "mysql://ann:***@host/db?charset=utf8",
    "postgresql://host/db?user=ann&password=S3cret": "postgresql://host/db?user=ann&password=***",
    "https://host/?api_token=S3cret#a": "https://host/?api_token=***#a",
    "s3://KEY:S3cret@bucket/sweep": "s3://KEY:***@bucket/sweep",
}

WITHOUT = (
    "http://127.0.0.1:5000",
    "https://host:8080/a@b",
    "sqlite:////home/ann@work:1/mlflow.db",
    "postgresql://ann@host/db",
    "s3://bucket/sweep?region=eu-west-1",
    "databricks://profile",
    "results/a:b@c",
    "--set optimizer.lr=0.1",
)


@pytest.mark.parametrize(("address", "left"), list(WITH.items()))
def test_secrets_are_found_and_left_out(address: str, left: str) -> None:
    assert redact(address) == left
    assert redact(f"--mlflow-uri={address} --resume") == f"--mlflow-uri={left} --resume"
    assert any("S3cret" in secret for secret in secrets_of(address))
    assert keep_secret(address)
    assert "S3cret" not in redact(f"could not log in as ann with {secrets_of(address)[-1]}")


@pytest.mark.parametrize("address", WITHOUT)
def test_what_is_none_stays(address: str) -> None:
    assert redact(address) == address
    assert secrets_of(address) == []
    assert not keep_secret(address)


def test_secrets_of_the_environment_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "fr0m-env")
    keep_secret(None)
    assert redact("token fr0m-env is wrong") == "token *** is wrong"


def test_a_results_address_with_a_secret_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Storage("s3://KEY:S3cret@bucket/sweep")
    assert "S3cret" not in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
    assert Storage("s3://bucket/sweep?region=eu").address == "s3://bucket/sweep?region=eu"


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://ann:S3'cret@host:5000", "S3'cret"),
        ('http://ann:S3"cret <x>@host', 'S3"cret <x>'),
        ("http://ann:S3@cret/x@host", "S3@cret/x"),
        ("http://ann:S3%20cret@host", "S3 cret"),
        ("http://host/?password=S3 cret'&page=2", "S3 cret'"),
    ],
)
def test_a_secret_may_hold_any_sign(address: str, secret: str) -> None:
    assert keep_secret(address)
    assert secret in secrets_of(address)
    assert secret not in redact(address)
    assert secret not in redact(f"refused: {address} as ann, {secret}")
