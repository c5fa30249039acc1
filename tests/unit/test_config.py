"""The settings: a wrong one is named with its rule, bounds assert each other, secrets come from files or variables."""

import base64
from pathlib import Path

import pytest

from handlers.domain.errors import InvalidValueError
from worker.config import Settings, SettingsError, read_settings
from worker.settings_told import RULES
from worker.wiring import insist_usable


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WORKER_{name.upper()}", raising=False)


def test_the_defaults_are_usable_together() -> None:
    """Whoever sets nothing gets bounds that hold."""
    settings = read_settings()
    assert settings.lease_s * 0.75 > settings.gateway_deadline_s + settings.gateway_margin_s


@pytest.mark.parametrize(
    ("given", "named", "rule"),
    [
        ({"lease_s": "80"}, "WORKER_LEASE_S", "WORKER_GATEWAY_MARGIN_S (65); set it above"),
        ({"kafka_transaction_timeout_s": "90"}, "WORKER_KAFKA_TRANSACTION_TIMEOUT_S", "shorter than WORKER_LEASE_S"),
        ({"gateway_currencies": "USD,XXX"}, "WORKER_GATEWAY_CURRENCIES", "XXX is no ISO 4217 code"),
        ({"ask_schedule_s": "5,0"}, "WORKER_ASK_SCHEDULE_S", "all above 0"),
        ({"ask_schedule_s": "soon"}, "WORKER_ASK_SCHEDULE_S", "each must be a number of seconds"),
        ({"lease_s": "abc"}, "WORKER_LEASE_S", "must be a number of seconds"),
        ({"lease_s": "nan"}, "WORKER_LEASE_S", "must be a number of seconds"),
        ({"lease_s": "0"}, "WORKER_LEASE_S", "must be a number of seconds above 0"),
        ({"fuse_share": "half"}, "WORKER_FUSE_SHARE", "must be a number"),
        ({"fuse_share": "1"}, "WORKER_FUSE_SHARE", "must be a number below 1"),
        ({"in_flight": "2.5"}, "WORKER_IN_FLIGHT", "must be a whole number"),
        ({"gateway_login": "x" * 26}, "WORKER_GATEWAY_LOGIN", "must be at most 25 characters long"),
        ({"order_check": "on"}, "WORKER_ORDER_CHECK", "must be 'strict' or 'off'"),
        ({"in_flight": "0"}, "WORKER_IN_FLIGHT", "must be a number, at least 1"),
        ({"kafka_group_protocol": "eager"}, "WORKER_KAFKA_GROUP_PROTOCOL", "'classic' or 'consumer'"),
        ({"gateway_url": "ftp://x"}, "WORKER_GATEWAY_URL", "must begin with http"),
        ({"gateway_cut_off": "25:00 UTC"}, "WORKER_GATEWAY_CUT_OFF", "must be `HH:MM zone`, such as"),
        ({"gateway_cut_off": "noon"}, "WORKER_GATEWAY_CUT_OFF", "must be `HH:MM zone`, such as"),
        ({"gateway_cut_off": "none"}, "WORKER_GATEWAY_CUT_OFF", "simulator only"),
        ({"metrics_port": "70000"}, "WORKER_METRICS_PORT", "must be a number, at most 65535"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_rule(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str, rule: str
) -> None:
    """The start stops with the variable's name and what is allowed."""
    for name, value in given.items():
        monkeypatch.setenv(f"WORKER_{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    text = str(raised.value)
    assert text.startswith(f"{named}: ")
    assert rule in text
    assert "Input should" not in text


def test_every_pattern_is_told_in_words() -> None:
    """Nobody is answered with a regular expression: each setting that has one has its rule in words."""
    patterned = {
        name
        for name, field in Settings.model_fields.items()
        if any(getattr(it, "pattern", None) for it in field.metadata)
    }
    assert patterned == set(RULES)


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody mends one line to meet the next."""
    monkeypatch.setenv("WORKER_IN_FLIGHT", "none")
    monkeypatch.setenv("WORKER_LEASE_S", "long")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert ["WORKER_IN_FLIGHT", "WORKER_LEASE_S"] == sorted(
        line.split(":")[0] for line in str(raised.value).splitlines()
    )


def test_wrong_journal_keys_are_told_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were named only to whoever had mended all the others; keys that are right are not mentioned."""
    monkeypatch.setenv("WORKER_LEASE_S", "long")
    monkeypatch.setenv("WORKER_JOURNAL_KEYS", "hunter2")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert [
        "WORKER_LEASE_S: must be a number of seconds",
        "WORKER_JOURNAL_KEYS: each entry must be `id:base64 of 32 bytes`",
    ] == str(raised.value).splitlines()
    monkeypatch.setenv("WORKER_JOURNAL_KEYS", f"k:{base64.b64encode(b'k' * 32).decode()}")
    with pytest.raises(SettingsError, match=r"^WORKER_LEASE_S: must be a number of seconds$"):
        read_settings()
    monkeypatch.delenv("WORKER_JOURNAL_KEYS")
    monkeypatch.setenv("WORKER_JOURNAL_KEYS_FILE", "/nowhere/x")
    with pytest.raises(SettingsError, match="WORKER_JOURNAL_KEYS_FILE: cannot be read"):
        read_settings()


def test_the_start_names_all_that_must_be_mended(tmp_path: Path) -> None:
    """Nobody sets one secret to meet the next one; a single thing is named by itself, as before."""
    good = {
        "journal_keys": f"k:{base64.b64encode(b'k' * 32).decode()}",
        "invoice_key": "an invoice key of chance",
        "db_service_token": "a-token",
        "gateway_login": "login",
        "gateway_transaction_key": "0123456789abcdef",
    }
    insist_usable(read_settings(**good))
    with pytest.raises(InvalidValueError, match=r"journal_keys: each entry must be"):
        insist_usable(read_settings(**good | {"journal_keys": "k:x"}))
    with pytest.raises(SettingsError) as raised:
        insist_usable(
            read_settings(**good | {"journal_keys": None, "state_file": tmp_path / "nope" / "x"})
        )
    keys, folder = str(raised.value).splitlines()
    assert (
        "WORKER_JOURNAL_KEYS: must be set: `id:base64 of 32 bytes`, one a line or separated by commas"
        " (or WORKER_JOURNAL_KEYS_FILE, the path of a file with it)"
    ) == keys
    assert folder.startswith("WORKER_STATE_FILE: the folder ")
    with pytest.raises(SettingsError) as raised:
        insist_usable(read_settings())
    assert {
        "WORKER_INVOICE_KEY",
        "WORKER_JOURNAL_KEYS",
        "WORKER_GATEWAY_TRANSACTION_KEY",
        "WORKER_DB_SERVICE_TOKEN",
    } == {line.partition(":")[0] for line in str(raised.value).splitlines()}


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules and currencies are written as people write them."""
    monkeypatch.setenv("WORKER_ASK_SCHEDULE_S", "0.5, 1,2")
    monkeypatch.setenv("WORKER_GATEWAY_CURRENCIES", "USD, JPY")
    settings = read_settings()
    assert (0.5, 1.0, 2.0) == settings.ask_schedule_s
    assert ("USD", "JPY") == settings.gateway_currencies


def test_a_secret_comes_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mounted secret is read without its line's end; the variable itself wins where both are set."""
    path = tmp_path / "token"
    path.write_text("from-the-file\n")
    monkeypatch.setenv("WORKER_DB_SERVICE_TOKEN_FILE", str(path))
    assert "from-the-file" == read_settings().secret("db_service_token").reveal()
    monkeypatch.setenv("WORKER_DB_SERVICE_TOKEN", "from-the-variable")
    assert "from-the-variable" == read_settings().secret("db_service_token").reveal()


def test_a_missing_secret_names_both_ways(tmp_path: Path) -> None:
    """The error says which variables would do, and an unreadable file is named as such."""
    with pytest.raises(
        InvalidValueError, match=r"WORKER_INVOICE_KEY: must be set .or WORKER_INVOICE_KEY_FILE"
    ):
        read_settings().secret("invoice_key")
    with pytest.raises(InvalidValueError, match="WORKER_INVOICE_KEY_FILE: cannot be read"):
        read_settings(invoice_key_file=tmp_path / "absent").secret("invoice_key")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidValueError, match="UTF-8"):
        read_settings(invoice_key_file=tmp_path / "bytes").secret("invoice_key")


def test_settings_never_print_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `repr` nor an error shows what a secret setting holds."""
    monkeypatch.setenv("WORKER_INVOICE_KEY", "hunter2-hunter2-hunter2")
    monkeypatch.setenv("WORKER_JOURNAL_URL", "postgresql://u:hunter2@h/db")
    settings = read_settings()
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("WORKER_LEASE_S", "hunter2")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert "hunter2" not in str(raised.value)


def test_kafka_properties_come_from_a_file(tmp_path: Path) -> None:
    """TLS and SASL stand in a file of librdkafka's own names; comments and blank lines are passed over."""
    path = tmp_path / "kafka.properties"
    path.write_text("# ours\nsecurity.protocol = SASL_SSL\n\nsasl.mechanism=SCRAM-SHA-512\n")
    assert {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
    } == read_settings(kafka_config_file=path).kafka_properties()
