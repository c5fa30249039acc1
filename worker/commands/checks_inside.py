"""Checks that ask nobody but the schema registry: settings, secrets, schemas. A secret is never part of a text."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from avro.catalog import Catalog
from avro.compat import fully_transitive
from avro.errors import SchemaRefused
from avro.writer import subject
from db_client.sealing import read_keys
from handlers.domain.errors import InvalidValueError, Unavailable
from worker import wiring
from worker.commands.exits import about_of, text_of
from worker.commands.findings import Finding, failed, ok, warning
from worker.commands.neighbours import remedy
from worker.config import Settings
from worker.run_state import insist_folder

_SANDBOX_HOST: Final = "apitest.authorize.net"


def setting_notes(settings: Settings) -> Iterator[Finding]:
    """The settings could be read; what a person should know about them."""
    yield ok(
        "settings",
        f"environment {settings.environment}, group {settings.kafka_group},"
        f" topics {settings.topic_prefix or 'without'} prefix",
    )
    if settings.environment == "production" and _SANDBOX_HOST in settings.gateway_url:
        yield failed(
            "settings",
            "environment production with the sandbox's gateway: set WORKER_GATEWAY_URL",
        )
    try:
        insist_folder(settings.state_file)
    except InvalidValueError as invalid:
        yield failed("WORKER_STATE_FILE", invalid.rule)


def strays(environment: Iterable[str]) -> Iterator[Finding]:
    """Variables that look like settings and are none: whoever misspelt one believes that it counts."""
    known = {f"WORKER_{name.upper()}": name.upper() for name in Settings.model_fields}
    for name in sorted(environment):
        plain = name.upper().removeprefix("WORKER_")
        if not name.upper().startswith("WORKER_") or name.upper() in known:
            continue
        near = difflib.get_close_matches(plain, known.values(), n=1)
        meant = f"; is WORKER_{near[0]} meant?" if near else ""
        yield warning(name, f"is no setting, and changes nothing{meant}")


def secrets(settings: Settings) -> Iterator[Finding]:
    """Each secret, and the login beside it: there, readable, of the right shape. What is wrong is named for itself."""

    def keys() -> str:
        count = len(read_keys(settings.secret("journal_keys").reveal()))
        if not count:
            raise InvalidValueError(
                "journal_keys", "must hold at least one `id:base64 of 32 bytes`"
            )
        return f"{count} key{'s' if count > 1 else ''}, the first one seals"

    def invoice() -> str:
        wiring.signing_key(settings)
        return "long enough; never change it"

    def token() -> str:
        wiring.records(settings)
        return "well formed"

    yield _looked("WORKER_JOURNAL_KEYS", keys)
    yield _looked("WORKER_INVOICE_KEY", invoice)
    yield _looked("WORKER_DB_SERVICE_TOKEN", token)
    if settings.gateway_accounts or settings.gateway_accounts_file:
        yield _looked("WORKER_GATEWAY_ACCOUNTS", lambda: _accounts(settings))
        return
    what = "WORKER_GATEWAY_LOGIN"
    if settings.gateway_login:
        yield ok(what, "is set")
    else:
        yield failed(what, "must be set: the API Login ID of the merchant account")
    login = settings.gateway_login or "none yet"  # so that the key is looked at for itself
    alone = settings.model_copy(update={"gateway_login": login})
    yield _looked("WORKER_GATEWAY_TRANSACTION_KEY", lambda: _accounts(alone))


def _accounts(settings: Settings) -> str:
    currencies = (it.currency for it in wiring.accounts(settings).values())
    return f"well formed, for {', '.join(currencies)}"


def _looked(what: str, look: Callable[[], str]) -> Finding:
    """What was found, under the name of the variable that is to be mended."""
    try:
        return ok(what, look())
    except InvalidValueError as invalid:
        named = about_of(invalid) or what
        if named.startswith("WORKER_"):
            return failed(named, invalid.rule)
        return failed(what, text_of(invalid))
    except UnicodeError:
        return failed(what, "must be a text that HTTP can carry")


def schemas(settings: Settings) -> Iterator[Finding]:
    """Every version of every schema reads every other one; the registry takes ours."""
    catalog = Catalog()
    for kind in catalog.kinds:
        what = f"schema {kind}"
        versions = catalog.versions(kind)
        if catalog.current(kind).text not in {version.text for version in versions}:
            yield failed(what, "is not in avro/avsc/history/: copy it there under the next number")
        elif obstacles := fully_transitive(versions):
            yield failed(what, f"{obstacles[0]}: change it so that all versions read each other")
        else:
            yield ok(what, f"{len(versions)} version(s), all read each other")
    if settings.schema_registry_url is not None:
        yield from _registry(settings, catalog)


def _registry(settings: Settings, catalog: Catalog) -> Iterator[Finding]:
    what = "schema registry"
    try:
        registry = wiring.registry(settings)
    except InvalidValueError as invalid:
        yield failed(what, text_of(invalid))
        return
    assert registry is not None
    try:
        for topic, kind in wiring.topic_kinds(settings).items():
            name = subject(topic)
            found = registry.conflicts(name, catalog.current(kind).text)
            if found:
                yield failed(what, f"would refuse {name}: {found[0]}")
            else:
                yield ok(what, f"takes {name}")
    except SchemaRefused as refused:
        yield failed(what, str(refused))
    except Unavailable as away:
        yield failed(what, f"{away.why}. {remedy(away.what)}")
    finally:
        registry.close()
