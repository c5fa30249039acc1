"""Where each neighbour is expected, and what to do when it does not answer. Addresses only, never a credential."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from worker.config import Settings


def _journal(settings: Settings) -> str:
    try:
        parts = urlsplit(settings.journal_url.get_secret_value())
        port = parts.port or 5432
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.hostname or 'the local socket'}:{port}{parts.path}"


def _plain(url: str) -> str:
    """The URL without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


# What is unavailable → (where it is expected, what to do).
_KNOWN: Final[Mapping[str, tuple[Callable[[Settings], str], str]]] = MappingProxyType(
    {
        "journal": (
            _journal,
            "Is PostgreSQL running there, and is WORKER_JOURNAL_URL right (host, port, name, user, password)?",
        ),
        "Kafka": (
            lambda settings: settings.kafka_properties()["bootstrap.servers"],
            "Is a broker running there, are WORKER_KAFKA_BOOTSTRAP_SERVERS and _CONFIG_FILE (TLS, SASL) right?",
        ),
        "db-service": (
            lambda settings: _plain(settings.db_service_url),
            "Is it running there, and are WORKER_DB_SERVICE_URL and WORKER_DB_SERVICE_TOKEN right?",
        ),
        "gateway": (
            lambda settings: _plain(settings.gateway_url),
            "Is WORKER_GATEWAY_URL right, and does the network let this machine reach it?",
        ),
        "schema registry": (
            lambda settings: _plain(settings.schema_registry_url or ""),
            "Is it running there, and are WORKER_SCHEMA_REGISTRY_URL, _USER and _PASSWORD right?",
        ),
    }
)


def address(what: str, settings: Settings) -> str:
    """Where `what` is expected, or "" where that is not known."""
    known = _KNOWN.get(what)
    return known[0](settings) if known else ""


def remedy(what: str) -> str:
    """What to do when `what` is unavailable."""
    known = _KNOWN.get(what)
    return known[1] if known else "Try again."
