"""The settings: environment variables `WORKER_*`, typed, checked at start, secrets masked.

Every secret may be given as `WORKER_X` or as `WORKER_X_FILE`, a path to a file that holds it (a mounted container
secret). A wrong setting stops the start with its name and what is allowed. Bounds assert each other here and nowhere
else: the lease outlives the slowest gateway call, the kafka_txn is shorter than the lease.
"""

# ruff: noqa: E501 - one setting a row: the descriptions are the table that people read
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from handlers.domain.errors import InvalidValueError, WorkerError
from handlers.domain.money import EXPONENTS
from handlers.domain.secret import Secret
from handlers.ports import LateCharge, OnePayment, OrderCheck
from worker.setting_names import variable
from worker.settings_told import told

_SECRETS = (
    "journal_keys",
    "invoice_key",
    "db_service_token",
    "gateway_transaction_key",
    "gateway_accounts",
)
_FORMS = {"journal_keys": "`id:base64 of 32 bytes`, one a line or separated by commas"}
_MAX_FILE_BYTES = 65_536  # no secret and no list of properties is longer, and /dev/zero never ends
_CODE = re.compile("[A-Za-z]{3}")
_HALF = re.compile("[\ud800-\udfff]")  # how Python keeps a byte of the environment that is no UTF-8
_RENEWALS_A_LEASE = 4  # as db_client.sessions renews it

Seconds = Annotated[float, Field(gt=0, le=604_800)]


class Settings(BaseSettings):
    """Everything that can be set. The README's table is generated from the descriptions here."""

    model_config = SettingsConfigDict(
        env_prefix="WORKER_",
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,  # no bound holds for a number that is none
    )

    environment: str = Field(
        "sandbox",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="Name of the installation; part of every invoice number, so never change it. `production` is special: a test-mode answer is a fault there.",
    )
    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        min_length=1,
        description="Kafka brokers, `host:port` separated by commas.",
    )
    kafka_group: str = Field(
        "payment-worker",
        pattern=r"^[A-Za-z0-9._-]{1,60}$",
        description="Consumer group; also the first part of every transactional id.",
    )
    kafka_group_protocol: Literal["classic", "consumer"] = Field(
        "classic",
        description="`classic` is the protocol of all brokers (a dead member's partitions move after kafka_session_timeout_s); `consumer` is KIP-848 (its session timeout is the broker's).",
    )
    kafka_session_timeout_s: Seconds = Field(
        10, description="When the group takes a silent member's partitions away (classic)."
    )
    kafka_config_file: Path | None = Field(
        None, description="File of `name=value` lines handed to librdkafka: TLS, SASL."
    )
    kafka_transaction_timeout_s: Seconds = Field(
        15, description="Timeout of a kafka_txn; shorter than the lease."
    )
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,60}$", description="Put before every topic's name."
    )
    event_source: str = Field(
        "/payment-worker",
        min_length=1,
        max_length=200,
        description="CloudEvents `source` of what the worker publishes.",
    )
    schema_registry_url: str | None = Field(
        None, description="Confluent Schema Registry. Without it: Avro single-object encoding."
    )
    schema_registry_user: str = Field("", description="User for the registry.")
    schema_registry_password: SecretStr | None = Field(
        None, description="Password for the registry."
    )
    journal_url: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/journal"),
        description="The journal's PostgreSQL, `postgresql://user:password@host:port/name`.",
    )
    journal_keys: SecretStr | None = Field(
        None,
        description="Keys that seal waiting payment means and dead letters: `id:base64 of 32 bytes`, the first one seals.",
    )
    journal_keys_file: Path | None = Field(None, description="File with the same.")
    invoice_key: SecretStr | None = Field(
        None,
        description="Key from which invoice numbers are derived; at least 16 characters, the same for ever.",
    )
    invoice_key_file: Path | None = Field(None, description="File with the same.")
    db_service_url: str = Field(
        "http://127.0.0.1:8080", pattern=r"^https?://", description="Base URL of the db-service."
    )
    db_service_token: SecretStr | None = Field(None, description="Bearer token for the db-service.")
    db_service_token_file: Path | None = Field(None, description="File with the same.")
    db_service_timeout_s: Seconds = Field(10, description="Deadline of one call to the db-service.")
    db_service_ca_file: Path | None = Field(
        None, description="Certificate authority of the db-service, where it is not a public one."
    )
    gateway_url: str = Field(
        "https://apitest.authorize.net/xml/v1/request.api",
        pattern=r"^https?://",
        description="The gateway's endpoint.",
    )
    gateway_login: str = Field(
        "", max_length=25, description="API Login ID of the merchant account."
    )
    gateway_transaction_key: SecretStr | None = Field(
        None, description="Transaction key of the merchant account."
    )
    gateway_transaction_key_file: Path | None = Field(None, description="File with the same.")
    gateway_currencies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("USD",),
        description="Currencies of the merchant account, separated by commas. Any other is refused.",
    )
    gateway_accounts: SecretStr | None = Field(
        None,
        description="Several merchant accounts, one for each currency: `USD login:transaction key`, one a line or separated by commas. Replaces the login, the key and the currencies above.",
    )
    gateway_accounts_file: Path | None = Field(None, description="File with the same.")
    gateway_deadline_s: Seconds = Field(
        60,
        description="Total deadline of one gateway call. Longer than the gateway's slowest answer.",
    )
    gateway_margin_s: Annotated[float, Field(ge=0)] = Field(
        5, description="How much longer than the deadline the lease must still be when bytes leave."
    )
    gateway_connect_timeout_s: Seconds = Field(
        5, description="Limit for connecting to the gateway."
    )
    gateway_cut_off: str = Field(
        "16:00 America/Los_Angeles",
        pattern=r"^(none|([01]\d|2[0-3]):[0-5]\d [A-Za-z_+/-]+(/[A-Za-z_+-]+)*)$",
        description="When the merchant account's day ends and its batch settles: `HH:MM zone`, as the merchant interface says. A charge that has left the unsettled list must not look absent. `none` only for a simulator that never settles.",
    )
    gateway_ca_file: Path | None = Field(
        None, description="Certificate authority of the gateway, for a simulator behind TLS."
    )
    order_check: OrderCheck = Field(
        OrderCheck.STRICT,
        description="`strict` asks the db-service for the order before money moves: it must exist, be the user's, be payable, and owe just this amount. `off` believes the command.",
    )
    one_payment: OnePayment = Field(
        OnePayment.ENFORCE,
        description="A second payment of an order that is paid, or being paid, is refused (`enforce`), made and marked (`shadow`), or not looked at (`off`).",
    )
    order_cache_s: Annotated[float, Field(ge=0, le=60)] = Field(
        3, description="How long an order that was looked up is believed."
    )
    orphan_wait_s: Seconds = Field(
        900,
        description="How long a command waits for its payment to be known, before it is a dead letter (`payment_unknown`).",
    )
    authorisation_days: Annotated[int, Field(ge=1, le=60)] = Field(
        30, description="After how many days the gateway lets an authorisation go."
    )
    refund_days: Annotated[int, Field(ge=1, le=365)] = Field(
        180, description="For how many days after settlement the gateway refunds."
    )
    bank_return_days: Annotated[int, Field(ge=0, le=90)] = Field(
        7,
        description="For how many days after settlement a bank transfer may come back; until then it is not refunded.",
    )
    late_charge: LateCharge = Field(
        LateCharge.VOID,
        description="A charge that shows up at the gateway after its payment was told as failed is voided (`void`), or a person decides (`review`). What is settled by then is always for a person.",
    )
    walk_every_s: Seconds = Field(
        600,
        description="How often the gateway's lists are walked for what happened without us: settlements, returns, late charges.",
    )
    settlement_wait_s: Seconds = Field(
        3600,
        description="When a refund looks again, where nobody can say when the charge's batch is through.",
    )
    askers_audience: str = Field(
        "",
        max_length=200,
        description="Switches the customers' tokens on: the `aud` that a command's JWT must carry. Empty: who may write to the topic may ask.",
    )
    askers_issuer: str = Field(
        "", max_length=200, description="The `iss` that tokens must carry; empty is any."
    )
    askers_jwks_file: Path | None = Field(
        None, description="The issuer's keys (a JWK set), as a file; or by URL."
    )
    askers_jwks_url: str | None = Field(None, description="Where the issuer's keys are fetched.")
    askers_ca_file: Path | None = Field(
        None, description="Certificate authority of that URL, where it is not a public one."
    )
    fuse_run: Annotated[int, Field(ge=0, le=10_000)] = Field(
        100,
        description="So many dead letters in a row stop the intake of their topic; 0 is never.",
    )
    fuse_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5,
        description="Such a share of dead letters among the last fuse_window records of a topic stops its intake; 0 is never.",
    )
    fuse_window: Annotated[int, Field(ge=10, le=10_000)] = Field(
        200, description="Over how many records of a topic the share is taken."
    )
    most_waiting: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        10_000,
        description="So many operations may wait in line or be asked for, over all workers; above that only verifications are read.",
    )
    in_flight: Annotated[int, Field(ge=1, le=5000)] = Field(
        200, description="Payments in work at once in one worker."
    )
    intake_batch: Annotated[int, Field(ge=1, le=1000)] = Field(
        200, description="Records admitted in one commit at most."
    )
    lease_s: Seconds = Field(
        90,
        description="How long a silent worker keeps its work. Three quarters of it exceed deadline and margin of the gateway.",
    )
    max_command_age_s: Seconds = Field(
        86_400, description="Older commands are dead letters (`stale`)."
    )
    absence_after_s: Annotated[float, Field(ge=0)] = Field(
        900,
        description="How long after a call's deadline a complete scan may prove that a charge is absent.",
    )
    ask_schedule_s: Annotated[tuple[float, ...], NoDecode] = Field(
        (5, 15, 45, 120, 300, 900, 3600, 21_600, 86_400),
        description="Waits between questions about an undecided payment; the last one repeats.",
    )
    retry_wait_s: Seconds = Field(
        5,
        description="Wait before something that was surely not sent, or not recorded, is tried again.",
    )
    janitor_tick_s: Seconds = Field(0.5, description="How often due work is looked for.")
    shutdown_grace_s: Seconds = Field(
        30,
        description="How long a stopping worker finishes what is in flight; the rest goes to another worker.",
    )
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0, description="Prometheus endpoint; 0 is off."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint.")
    state_file: Path = Field(
        Path(tempfile.gettempdir(), "payment-worker.state"),
        description="Where a running worker says how it is; `health` reads it.",
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Format of the log on standard error."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            if isinstance(value, str) and _HALF.search(value):
                raise ValueError(f"{name}: must be a text in UTF-8")
        for name in ("gateway_currencies", "ask_schedule_s"):
            if isinstance(values.get(name), str):
                values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
        return values

    @model_validator(mode="after")
    def _bounds_hold(self) -> Self:
        unknown = [code for code in self.gateway_currencies if code not in EXPONENTS]
        if unknown:
            # Shown only where it looks like a code: what was put here by mistake may be a key.
            told = [code if _CODE.fullmatch(code) else "an entry" for code in unknown]
            raise ValueError(f"gateway_currencies: {', '.join(told)} is no ISO 4217 code")
        if not self.ask_schedule_s or min(self.ask_schedule_s) <= 0:
            raise ValueError("ask_schedule_s: needs at least one wait, all above 0")
        if self.gateway_cut_off == "none" and "authorize.net" in self.gateway_url:
            raise ValueError(
                "gateway_cut_off: `none` is for a simulator only; say when the merchant account's day ends,"
                " such as `16:00 America/Los_Angeles`"
            )
        needed = self.gateway_deadline_s + self.gateway_margin_s
        if self.lease_s * (1 - 1 / _RENEWALS_A_LEASE) <= needed:
            raise ValueError(
                "lease_s: three quarters of it must exceed WORKER_GATEWAY_DEADLINE_S + WORKER_GATEWAY_MARGIN_S"
                f" ({needed:g}); set it above {needed * 4 / 3:g}"
            )
        if self.kafka_transaction_timeout_s >= self.lease_s:
            raise ValueError("kafka_transaction_timeout_s: must be shorter than WORKER_LEASE_S")
        return self

    @property
    def unsent_within_s(self) -> float:
        """How long a call that surely was not sent is tried again."""
        return min(15.0, self.gateway_deadline_s)

    @property
    def longest_send_s(self) -> float:
        """From the intent's commit to the last moment at which one of its calls can still be under way."""
        return (
            self.unsent_within_s + 2 * self.gateway_deadline_s
        )  # the first try may fail as late as its deadline

    def secret(self, name: str) -> Secret:
        """The secret `name` from its variable or its file. Raises InvalidValueError where neither is set."""
        assert name in _SECRETS, f"{name} is no secret setting"
        given: SecretStr | None = getattr(self, name)
        path: Path | None = getattr(self, f"{name}_file")
        if given is not None:
            return Secret(given.get_secret_value())
        variable = f"WORKER_{name.upper()}"
        if path is None:
            form = f": {_FORMS[name]}" if name in _FORMS else ""
            raise InvalidValueError(
                variable, f"must be set{form} (or {variable}_FILE, the path of a file with it)"
            )
        return Secret(_text_of(path, f"{variable}_FILE").strip())

    def kafka_properties(self) -> dict[str, str]:
        """Properties for librdkafka from the file, bootstrap servers included."""
        properties = {"bootstrap.servers": self.kafka_bootstrap_servers}
        if self.kafka_config_file is None:
            return properties
        text = _text_of(self.kafka_config_file, "WORKER_KAFKA_CONFIG_FILE")
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip() and not name.lstrip().startswith("#"):
                properties[name.strip()] = value.strip()
        return properties


def _text_of(path: Path, variable: str) -> str:
    """The text of a file that `variable` names. Raises InvalidValueError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidValueError(variable, f"cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_FILE_BYTES:
        raise InvalidValueError(variable, f"must be a file of at most {_MAX_FILE_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidValueError(variable, "must be a text in UTF-8") from None


class SettingsError(WorkerError):
    """One or more settings are wrong: each with its variable and the rule."""


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises SettingsError with every wrong variable and what is allowed."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join([told(error), *_wrong_keys(overrides)])) from None


class _Keys(BaseSettings):
    """The journal's keys alone, for where another setting is wrong."""

    model_config = SettingsConfigDict(env_prefix="WORKER_", extra="ignore")

    journal_keys: SecretStr | None = None
    journal_keys_file: Path | None = None


def _wrong_keys(overrides: Mapping[str, Any]) -> Iterator[str]:
    """The line about the journal's keys: whoever has mended the rest shall not meet it only then."""
    from db_client.sealing import read_keys

    try:
        keys = _Keys(**overrides)
        given = Settings.model_construct(
            journal_keys=keys.journal_keys, journal_keys_file=keys.journal_keys_file
        )
        if keys.journal_keys or keys.journal_keys_file:
            read_keys(given.secret("journal_keys").reveal())
    except InvalidValueError as invalid:
        yield f"{variable(invalid.field)}: {invalid.rule}"
    except (ValidationError, UnicodeError):  # no text at all, which the settings say themselves
        return
