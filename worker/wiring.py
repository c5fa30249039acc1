"""Builds the parts of a session out of the settings. Nothing is decided and nothing runs here."""

import datetime as dt
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from avro.catalog import Catalog
from avro.reader import Reader as WireReader
from avro.registry import Credentials, Registry
from avro.writer import Writer, registered_headers, single_object_headers
from db_client.installation import fingerprint
from db_client.sealing import Sealer, read_keys
from db_client.service import DbService, DbServiceSettings
from db_client.service_calls import unobserved
from db_client.service_pages import RecordPages
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import EXPONENTS
from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.reading_desk import ReadingDesks
from handlers.gateway.authorizenet.settings import (
    PRODUCTION,
    SANDBOX,
    Account,
    AuthorizeNetSettings,
    CutOff,
)
from handlers.ports import Lease, Rules
from worker import run_state
from worker.askers import Askers, AskerSettings
from worker.config import Settings, SettingsError
from worker.decode import Decoder
from worker.fuse import FuseSettings
from worker.own_signature import derive
from worker.routes import EventWire, Topics
from worker.setting_names import variable
from worker.telemetry import Metrics, log

_TRIES_OF_A_RECORD: Final = (
    3  # how many slow calls a payment waits before it is parked as unrecorded
)


def new_session_id() -> str:
    """Time-ordered, so that sessions sort by age: milliseconds, then chance, in hexadecimal."""
    return f"{int(time.time() * 1000):011x}-{secrets.token_hex(3)}"


def topics(settings: Settings) -> Topics:
    """The names of all topics."""
    return Topics(settings.topic_prefix, settings.kafka_group)


def topic_kinds(settings: Settings) -> dict[str, str]:
    """Topic name → kind of record, commands and events."""
    return topics(settings).kinds


def sealer(settings: Settings) -> Sealer:
    """Seals waiting means and dead letters. Raises InvalidValueError."""
    return Sealer(read_keys(settings.secret("journal_keys").reveal()))


def registry(settings: Settings) -> Registry | None:
    """The schema registry, where one is set."""
    if settings.schema_registry_url is None:
        return None
    password = settings.schema_registry_password
    credentials = None
    if settings.schema_registry_user and password is not None:
        credentials = Credentials(
            settings.schema_registry_user, Secret(password.get_secret_value())
        )
    return Registry(settings.schema_registry_url, credentials=credentials)


def wire_reader(settings: Settings) -> WireReader:
    """Reads every topic of ours."""
    return WireReader(Catalog(), registry(settings))


def wire_writer(settings: Settings) -> Writer:
    """Writes every topic of ours. With a registry its schemas are registered now: raises Unavailable, SchemaRefused."""
    catalog, names = Catalog(), topic_kinds(settings)
    found = registry(settings)
    if found is None:
        return Writer(catalog, single_object_headers(catalog, names))
    try:
        return Writer(catalog, registered_headers(catalog, names, registry=found))
    finally:
        found.close()


def event_wire(settings: Settings) -> EventWire:
    """Encodes events, and commands of our own, signed."""
    return EventWire(
        wire_writer(settings),
        topics=topics(settings),
        source=settings.event_source,
        signing_key=signing_key(settings),
    )


def signing_key(settings: Settings) -> bytes:
    """Signs commands of our own. Raises InvalidValueError."""
    return derive(_invoice_key(settings))


def decoder(settings: Settings) -> Decoder:
    """Decodes commands."""
    return Decoder(
        reader=wire_reader(settings),
        sealer=sealer(settings),
        kinds=topics(settings).commands,
        max_age_s=settings.max_command_age_s,
        signing_key=signing_key(settings),
        askers=askers(settings),
    )


def askers(settings: Settings) -> Askers | None:
    """Judges who may ask; None where that is switched off. Raises InvalidValueError."""
    others = (settings.askers_issuer, settings.askers_jwks_file, settings.askers_jwks_url)
    if not settings.askers_audience:
        if any(others):
            raise InvalidValueError(
                "WORKER_ASKERS_AUDIENCE",
                "must be set where WORKER_ASKERS_ISSUER or a key set is: without it no token is asked for",
            )
        return None
    return Askers(
        AskerSettings(
            issuer=settings.askers_issuer,
            audience=settings.askers_audience,
            jwks_file=settings.askers_jwks_file,
            jwks_url=settings.askers_jwks_url,
            ca_file=settings.askers_ca_file,
        ),
        signing_key=signing_key(settings),
    )


def fuse(settings: Settings) -> FuseSettings:
    """When a topic's intake stops. Raises InvalidValueError."""
    return FuseSettings(settings.fuse_run, settings.fuse_share, settings.fuse_window)


def accounts(settings: Settings) -> dict[str, Account]:
    """The merchant accounts by the name that the journal has of them, one for each currency. Raises InvalidValueError.

    The name comes from the login: after another login has been set, the old account's open charges are still known as
    its own, and nobody takes their absence from the new account for an answer.
    """
    found: dict[str, Account] = {}
    for currency, login, key in _credentials(settings):
        name = hashlib.sha256(login.encode()).hexdigest()[:12]
        name = name if name not in found else f"{name}-{currency}"
        found[name] = Account(Secret(login), key, currency, cut_off(settings))
    return found


def _credentials(settings: Settings) -> list[tuple[str, str, Secret]]:
    """Currency, login and transaction key of each account."""
    if settings.gateway_accounts is None and settings.gateway_accounts_file is None:
        one = settings.secret("gateway_transaction_key")
        return [(currency, settings.gateway_login, one) for currency in settings.gateway_currencies]
    if settings.gateway_login:
        raise InvalidValueError(
            "WORKER_GATEWAY_LOGIN",
            "must not be set beside WORKER_GATEWAY_ACCOUNTS: which one counts?",
        )
    found: dict[str, tuple[str, str, Secret]] = {}
    for entry in settings.secret("gateway_accounts").reveal().replace(",", "\n").splitlines():
        if not entry.strip():
            continue
        currency, _, rest = entry.strip().partition(" ")
        login, colon, key = rest.strip().partition(":")
        if currency not in EXPONENTS or not colon or currency in found:
            raise InvalidValueError(
                "WORKER_GATEWAY_ACCOUNTS",
                "each entry must be `USD login:transaction key`, each currency once",
            )
        found[currency] = (currency, login, Secret(key))
    if not found:
        raise InvalidValueError("WORKER_GATEWAY_ACCOUNTS", "needs at least one account")
    return list(found.values())


def gateway(
    settings: Settings,
    *,
    lease: Lease,
    metrics: Metrics,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> AuthorizeNet:
    """The gateway's adapter. `now` is the journal's clock. Raises InvalidValueError for impossible credentials."""
    return AuthorizeNet(
        _gateway_settings(settings),
        lease=lease,
        observe=metrics.gateway_call,
        noticed=_gateway_noticed,
        now=now,
    )


def _gateway_noticed(account: str, *, failed: int, why: str) -> None:
    if failed:
        text = "the gateway does not answer: payments wait, intake pauses while no account works"
        log.warning(text, what=account, count=failed, why=why)
    else:
        log.info("the gateway answers again", what=account)


def reading_desks(settings: Settings) -> ReadingDesks:
    """The gateway for a program that only asks. Raises InvalidValueError for impossible credentials."""
    return ReadingDesks(_gateway_settings(settings))


def _gateway_settings(settings: Settings) -> AuthorizeNetSettings:
    return AuthorizeNetSettings(
        endpoint=settings.gateway_url,
        accounts=accounts(settings),
        environment=PRODUCTION if settings.environment == PRODUCTION else SANDBOX,
        total_deadline_s=settings.gateway_deadline_s,
        connect_timeout_s=settings.gateway_connect_timeout_s,
        margin_s=settings.gateway_margin_s,
        in_flight=settings.in_flight,
        unsent_within_s=settings.unsent_within_s,
        ca_file=settings.gateway_ca_file,
    )


def cut_off(settings: Settings) -> CutOff | None:
    """The end of the merchant account's day; None for a simulator that never settles."""
    if settings.gateway_cut_off == "none":
        return None
    at, zone = settings.gateway_cut_off.split()
    return CutOff(dt.time.fromisoformat(at), zone)


def records(settings: Settings, *, metrics: Metrics | None = None) -> DbService:
    """The db-service's client."""
    observe = metrics.db_service_call if metrics else unobserved
    return DbService(_db_service_settings(settings), observe=observe)


def record_pages(settings: Settings) -> RecordPages:
    """The db-service for a program that only asks what is recorded."""
    return RecordPages(_db_service_settings(settings))


def _db_service_settings(settings: Settings) -> DbServiceSettings:
    return DbServiceSettings(
        url=settings.db_service_url,
        token=settings.secret("db_service_token"),
        timeout_s=settings.db_service_timeout_s,
        give_up_s=_TRIES_OF_A_RECORD * settings.db_service_timeout_s,
        order_cache_s=settings.order_cache_s,
        ca_file=settings.db_service_ca_file,
    )


def rules(settings: Settings) -> Rules:
    """What decides, for the passage. Raises InvalidValueError."""
    return Rules(
        environment=settings.environment,
        merchant_accounts={it.currency: name for name, it in accounts(settings).items()},
        invoice_key=_invoice_key(settings),
        absence_after_s=settings.absence_after_s,
        max_command_age_s=settings.max_command_age_s,
        ask_schedule_s=settings.ask_schedule_s,
        unsent_wait_s=settings.retry_wait_s,
        unrecorded_wait_s=settings.retry_wait_s,
        order_check=settings.order_check,
        one_payment=settings.one_payment,
        authorisation_days=settings.authorisation_days,
        refund_days=settings.refund_days,
        bank_return_days=settings.bank_return_days,
        settlement_wait_s=settings.settlement_wait_s,
        late_charge=settings.late_charge,
    )


def installation_fingerprint(settings: Settings) -> str:
    """What the journal remembers of invoice key and environment."""
    return fingerprint(_invoice_key(settings), environment=settings.environment)


_SHORTEST_INVOICE_KEY: Final = 16


def _invoice_key(settings: Settings) -> bytes:
    key = settings.secret("invoice_key").reveal().encode()
    if len(key) < _SHORTEST_INVOICE_KEY:
        raise InvalidValueError(
            "WORKER_INVOICE_KEY", f"must be at least {_SHORTEST_INVOICE_KEY} characters of chance"
        )
    return key


def insist_usable(settings: Settings) -> None:
    """Raise InvalidValueError for what is missing or cannot be right, before anything is begun.

    Where it is more than one thing: SettingsError with all of them, so that nobody mends one to meet the next.
    """
    looks: tuple[Callable[[Settings], object], ...] = (
        signing_key,
        sealer,
        rules,
        accounts,
        askers,
        fuse,
        lambda it: it.secret("db_service_token"),
        lambda it: run_state.insist_folder(it.state_file),
    )
    wrong = []
    for look in looks:
        try:
            look(settings)
        except InvalidValueError as invalid:
            wrong.append(invalid)
    lines = dict.fromkeys(
        f"{variable(it.field)}: {it.rule}" for it in wrong
    )  # one key serves several
    if len(lines) > 1:
        raise SettingsError("\n".join(lines))
    if wrong:
        raise wrong[0]


def consumer_properties(settings: Settings) -> dict[str, Any]:
    """The consumer of intake. Explicit offsets, little prefetch: the journal is the buffer.

    Partitions are dealt by range, topic by topic: the sticky assignors count partitions only, and were seen to give all
    of `payment_initiation` to one worker of two and the quiet topics to the other. That range is eager costs nothing
    here: no work hangs on a partition, for what was admitted is in the journal.
    """
    properties: dict[str, Any] = {
        **settings.kafka_properties(),
        "group.id": settings.kafka_group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 8192,
        "queued.min.messages": 2000,
        "log_level": "2",
        "error_cb": lambda _error: None,
        "max.poll.interval.ms": 120_000,
    }
    if settings.kafka_group_protocol == "consumer":
        properties |= {"group.protocol": "consumer", "group.remote.assignor": "range"}
    else:
        session_ms = int(settings.kafka_session_timeout_s * 1000)
        properties |= {
            "partition.assignment.strategy": "range",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(session_ms // 3, 100),
        }
    return properties
