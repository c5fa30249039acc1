"""Checks that ask nobody but the schema registry: settings, secrets, schemas. A secret is never part of a text."""

from collections.abc import Callable, Iterator
from typing import Final

from avro.catalog import Catalog
from avro.compat import fully_transitive
from avro.errors import SchemaRefused
from avro.writer import subject
from db_client.sealing import read_keys
from handlers.domain.errors import InvalidValueError, Unavailable
from handlers.domain.secret import Secret
from worker import wiring
from worker.commands.exits import text_of
from worker.commands.findings import Finding, failed, ok
from worker.commands.neighbours import remedy
from worker.config import Settings

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


def secrets(settings: Settings) -> Iterator[Finding]:
    """Each secret: there, readable, of the right shape."""

    def keys(secret: Secret) -> str:
        count = len(read_keys(secret.reveal()))
        if not count:
            raise InvalidValueError(
                "journal_keys", "must hold at least one `id:base64 of 32 bytes`"
            )
        return f"{count} key{'s' if count > 1 else ''}, the first one seals"

    def invoice(_secret: Secret) -> str:
        wiring.rules(settings)
        return "long enough; never change it"

    def token(_secret: Secret) -> str:
        wiring.records(settings)
        return "well formed"

    def gateway(_secret: Secret) -> str:
        return f"well formed, for {', '.join(it.currency for it in wiring.accounts(settings).values())}"

    looks: dict[str, Callable[[Secret], str]] = {
        "journal_keys": keys,
        "invoice_key": invoice,
        "db_service_token": token,
        _gateway_secret(settings): gateway,
    }
    for name, look in looks.items():
        yield _secret(settings, name, look=look)


def _gateway_secret(settings: Settings) -> str:
    several = settings.gateway_accounts or settings.gateway_accounts_file
    return "gateway_accounts" if several else "gateway_transaction_key"


def _secret(settings: Settings, name: str, *, look: Callable[[Secret], str]) -> Finding:
    what = f"WORKER_{name.upper()}"
    try:
        return ok(what, look(settings.secret(name)))
    except InvalidValueError as invalid:
        return failed(what, text_of(invalid))
    except UnicodeError:
        return failed(what, f"{what}_FILE: is not a text file")


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
