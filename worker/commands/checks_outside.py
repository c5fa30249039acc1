"""Checks that ask the neighbours: journal, Kafka, db-service, gateway. Each has a deadline; none changes anything."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from db_client import history, schema
from db_client.history import Database
from db_client.installation import strangeness
from db_client.rebuilding import unfinished
from db_client.sealed_keys import sealed_with
from db_client.sealing import read_keys
from handlers.domain.errors import InvalidValueError, Unavailable
from worker import wiring
from worker.commands.exits import text_of
from worker.commands.findings import Finding, failed, ok, warning
from worker.commands.neighbours import address, remedy
from worker.commands.topics import progress, purposes
from worker.config import Settings
from worker.kafka_admin import TopicFacts, open_admin
from worker.telemetry import Metrics

_DEADLINE_S: Final = 10.0
_REPLY_CODE: Final = re.compile(r"[EI][0-9]{5}\b")


def journal(settings: Settings) -> Iterator[Finding]:
    """Reachable, at the needed revision, as durable as a journal must be."""
    try:
        with history.journal(settings.journal_url.get_secret_value(), role="check") as engine:
            found = history.look_at(engine, group=settings.kafka_group)
            present = schema.present_revision(engine)
    except InvalidValueError as invalid:
        yield failed("journal", text_of(invalid))
        return
    except Unavailable as away:
        yield failed("journal", _advice(away, settings))
        return
    if found.read_only:
        yield failed(
            "journal", "is a read-only standby: point WORKER_JOURNAL_URL at the primary server"
        )
        return
    yield ok("journal", f"PostgreSQL {found.version} at {address('journal', settings)}")
    needed = schema.needed_revision()
    if present == needed:
        yield ok("journal schema", f"revision {needed}")
        yield _ours(settings)
        yield from _sealed(settings)
        yield from _rebuild(settings)
    else:
        yield failed(
            "journal schema",
            f"is {present or 'not there'}, and this version needs {needed}: run `run_worker.py migrate`",
        )
    yield from _durability(found)


def _ours(settings: Settings) -> Finding:
    """Whether the workers of this journal have our key, environment and group. Writes nothing."""
    what = "journal and settings"
    try:
        ours = wiring.installation_fingerprint(settings)
        with history.journal(settings.journal_url.get_secret_value(), role="check") as engine:
            strange = strangeness(engine, ours=ours, group=settings.kafka_group, claim=False)
    except (InvalidValueError, Unavailable) as error:
        return failed(what, text_of(error) if isinstance(error, InvalidValueError) else str(error))
    return failed(what, strange) if strange else ok(what, "belong together")


def _sealed(settings: Settings) -> Iterator[Finding]:
    """Whether our keys open what is sealed in the journal. Nothing is opened."""
    what = "journal keys"
    try:
        ours = read_keys(settings.secret("journal_keys").reveal()).keys()
        with history.journal(settings.journal_url.get_secret_value(), role="check") as engine:
            found = sealed_with(engine, letter_topics=wiring.topics(settings).dead_letters)
    except InvalidValueError:
        return  # there are none, or no good ones: that is said already
    except Unavailable as away:
        yield failed(what, _advice(away, settings))
        return
    means, letters = sorted(found.means - ours), sorted(found.letters - ours)
    add = "add it behind the first one in WORKER_JOURNAL_KEYS"
    for name in means:
        yield failed(what, f"payments wait that the key {name!r} sealed, which is not there: {add}")
    for name in letters:
        yield warning(
            what, f"dead letters are there that the key {name!r} sealed, which is not there: {add}"
        )
    if not means and not letters:
        yield ok(what, "open all that is sealed in the journal")


def _rebuild(settings: Settings) -> Iterator[Finding]:
    """A rebuild that somebody began and did not end; nothing where there is none."""
    try:
        with history.journal(settings.journal_url.get_secret_value(), role="check") as engine:
            begun = unfinished(engine)
    except Unavailable as away:
        yield failed("rebuild", str(away))
        return
    if begun is not None:
        since = begun.since.isoformat().replace("+00:00", "Z")
        yield warning(
            "rebuild",
            f"one since {since} is not finished ({begun.by} began it): `run_worker.py rebuild --since {since}` goes on",
        )


def _durability(found: Database) -> Iterator[Finding]:
    weak = [name for name, value in found.settings.items() if value == "off"]
    if weak:
        yield warning(
            "journal durability",
            f"{' and '.join(weak)} off: a crash of the database may lose what it confirmed; set it to on",
        )
    asynchronous = [name for name, state in found.standbys.items() if state == "async"]
    if asynchronous:
        yield warning(
            "journal durability",
            f"standby {', '.join(asynchronous)} is asynchronous: a fail-over to it loses the last commits;"
            " name it in synchronous_standby_names",
        )
    if not found.standbys:
        yield warning(
            "journal durability",
            "no standby: this one disk lost is the journal lost; give it a synchronous one",
        )
    elif not weak and not asynchronous:
        yield ok(
            "journal durability",
            f"commits are on disk before they count; standbys: {', '.join(found.standbys)}",
        )
    timeline = found.incarnation.split("/")[1]
    if found.moved_since is None:
        yield ok("journal timeline", f"{timeline}, the same as when the last session began")
    else:
        yield warning(
            "journal timeline",
            f"{timeline} is not the one on which session {found.moved_since} began (a fail-over or a restored"
            " copy): what Kafka has and the journal lost is asked for at the gateway before it is sent",
        )


def kafka(settings: Settings) -> Iterator[Finding]:
    """Reachable, with every topic, each in enough copies."""
    try:
        admin = open_admin(settings.kafka_properties())
        brokers = admin.brokers()
        wanted = purposes(settings)
        found = admin.describe(wanted)
        in_sync = admin.min_in_sync(found)
    except InvalidValueError as invalid:
        yield failed("Kafka", text_of(invalid))
        return
    except Unavailable as away:
        yield failed("Kafka", _advice(away, settings))
        return
    servers = address("Kafka", settings)
    yield ok("Kafka", f"{brokers} broker{'s' if brokers != 1 else ''} behind {servers}")
    for name in wanted:
        facts = found.get(name)
        if facts is None:
            yield failed(f"topic {name}", "is missing: run `run_worker.py topics --create`")
        elif name == progress(settings) and facts.partitions != 1:
            yield failed(
                f"topic {name}",
                f"has {facts.partitions} partitions and must have 1: remove it and run"
                " `run_worker.py topics --create` while no worker runs",
            )
        else:
            yield _topic(facts, in_sync.get(name))


def _topic(facts: TopicFacts, in_sync: int | None) -> Finding:
    what = f"topic {facts.name}"
    text = (
        f"{facts.partitions} partition{'s' if facts.partitions != 1 else ''},"
        f" replication {facts.replicas}, min.insync.replicas {in_sync or 'not ours to see'}"
    )
    if facts.replicas == 1:
        return warning(what, f"{text}: one broker lost is this topic lost; give it 3 replicas")
    if in_sync == 1:
        return warning(
            what, f"{text}: an acknowledged record may be on one broker only; set it to 2"
        )
    return ok(what, text)


def services(settings: Settings) -> Iterator[Finding]:
    """The db-service takes our token, the gateway our credentials. Nothing is written there."""
    yield _service("db-service", _ask_db_service, settings=settings)
    yield _service("gateway", _ask_gateway, settings=settings)


class _NoLease:
    """A lease for one who sends nothing: no charge passes the gate under it."""

    def remaining_s(self) -> float:
        return 0.0


def _service(
    what: str, ask: Callable[[Settings], Awaitable[str]], *, settings: Settings
) -> Finding:
    async def asked() -> str:
        return await ask(settings)

    try:
        wrong = asyncio.run(asked())
    except InvalidValueError as invalid:
        return failed(what, text_of(invalid))
    except UnicodeError:
        return failed(what, "its secret is not a text file")
    except OSError as error:
        return failed(what, f"its certificate authority cannot be read: {error.strerror}")
    at = address(what, settings)
    if wrong:
        return failed(what, f"{at}: {wrong.rstrip('.')}. {_next_step(what, wrong)}".rstrip())
    return ok(what, f"{at} takes our credentials")


def _next_step(what: str, wrong: str) -> str:
    """Who answered is there: then it is the credentials, not the network."""
    if what == "gateway" and _REPLY_CODE.search(wrong):
        return (
            "Are WORKER_GATEWAY_LOGIN and WORKER_GATEWAY_TRANSACTION_KEY right, and of this gateway"
            " (sandbox and production have their own)?"
        )
    return "" if "check the" in wrong else remedy(what)


async def _ask_db_service(settings: Settings) -> str:
    service = wiring.records(
        settings.model_copy(
            update={"db_service_timeout_s": min(_DEADLINE_S, settings.db_service_timeout_s)}
        )
    )
    try:
        return await service.probe()
    finally:
        await service.aclose()


async def _ask_gateway(settings: Settings) -> str:
    gateway = wiring.gateway(
        settings.model_copy(
            update={"gateway_deadline_s": min(_DEADLINE_S, settings.gateway_deadline_s)}
        ),
        lease=_NoLease(),
        metrics=Metrics(),
    )
    try:
        for name, account in wiring.accounts(settings).items():
            wrong = await gateway.probe(name)
            if wrong:
                return f"{account.currency}: {wrong}"
        return ""
    finally:
        await gateway.aclose()


def _advice(away: Unavailable, settings: Settings) -> str:
    return f"{away.why.rstrip('.')} (at {address(away.what, settings)}). {remedy(away.what)}"
