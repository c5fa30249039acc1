"""`check` where nobody outside needs to be asked: misspelt settings, and each secret blamed for itself."""

import base64
from typing import Any

import pytest

from worker.commands.checks_inside import secrets, strays
from worker.commands.findings import Finding
from worker.config import Settings, read_settings

GOOD: dict[str, Any] = {
    "journal_keys": f"k:{base64.b64encode(b'k' * 32).decode()}",
    "invoice_key": "an invoice key of chance",
    "db_service_token": "a-token",
    "gateway_login": "login",
    "gateway_transaction_key": "0123456789abcdef",
}


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WORKER_{name.upper()}", raising=False)


def failed(**settings: Any) -> dict[str, str]:
    """What is found wrong with these secrets, by what is blamed."""
    found: list[Finding] = list(secrets(read_settings(**settings)))
    return {it.what: it.text for it in found if it.state == "FAILED"}


def test_a_misspelt_setting_is_named_with_the_nearest_one() -> None:
    """WORKER_LEESE_S=3 passed in silence, and the lease stayed as it was."""
    given = [
        "WORKER_LEESE_S",
        "WORKER_LEASE_S",
        "worker_in_flight",
        "WORKER_QQQQ",
        "PATH",
        "MY_WORKER_X",
    ]
    found = {it.what: (it.state, it.text) for it in strays(given)}
    assert {
        "WORKER_LEESE_S": (
            "warning",
            "is no setting, and changes nothing; is WORKER_LEASE_S meant?",
        ),
        "WORKER_QQQQ": ("warning", "is no setting, and changes nothing"),
    } == found


def test_with_good_secrets_nothing_is_blamed() -> None:
    """Each is said to be well."""
    assert {} == failed(**GOOD)
    assert 5 == len(list(secrets(read_settings(**GOOD))))


def test_an_empty_environment_names_all_that_must_be_set() -> None:
    """The login was not named at all; whoever set what was named met the next line only then."""
    found = failed()
    assert {
        "WORKER_JOURNAL_KEYS",
        "WORKER_INVOICE_KEY",
        "WORKER_DB_SERVICE_TOKEN",
        "WORKER_GATEWAY_LOGIN",
        "WORKER_GATEWAY_TRANSACTION_KEY",
    } == found.keys()
    assert all(text.startswith("must be set") for text in found.values())


@pytest.mark.parametrize(
    ("wrong", "blamed", "says"),
    [
        ({"gateway_transaction_key": "k" * 80}, "WORKER_GATEWAY_TRANSACTION_KEY", "must be 1 to 16 characters"),
        ({"gateway_login": ""}, "WORKER_GATEWAY_LOGIN", "must be set: the API Login ID"),
        ({"invoice_key": "short"}, "WORKER_INVOICE_KEY", "must be at least 16 characters"),
        ({"journal_keys": "k:x"}, "WORKER_JOURNAL_KEYS", "each entry must be `id:base64 of 32 bytes`"),
        ({"journal_keys": None, "journal_keys_file": "/nowhere/x"}, "WORKER_JOURNAL_KEYS_FILE", "cannot be read"),
        ({"gateway_accounts": "USD x"}, "WORKER_GATEWAY_LOGIN", "must not be set beside"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_blamed_alone_and_named_once(
    wrong: dict[str, Any], blamed: str, says: str
) -> None:
    """A bad transaction key was told as "FAILED WORKER_INVOICE_KEY: WORKER_GATEWAY_TRANSACTION_KEY: must…"."""
    [(what, text)] = failed(**{**GOOD, **wrong}).items()
    assert blamed == what
    assert text.startswith(says)
    assert "WORKER_" not in text.split(" WORKER_GATEWAY_ACCOUNTS")[0]


def test_a_bad_key_is_named_beside_a_missing_login() -> None:
    """One run names both."""
    found = failed(**{**GOOD, "gateway_login": "", "gateway_transaction_key": "k" * 80})
    assert {"WORKER_GATEWAY_LOGIN", "WORKER_GATEWAY_TRANSACTION_KEY"} == found.keys()
