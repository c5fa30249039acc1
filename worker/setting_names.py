"""The variable behind a rule that was broken: where a part checks its own settings it names them in its own words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gateway.endpoint": "WORKER_GATEWAY_URL",
        "gateway.login": "WORKER_GATEWAY_LOGIN",
        "gateway.transaction_key": "WORKER_GATEWAY_TRANSACTION_KEY",
        "gateway.environment": "WORKER_ENVIRONMENT",
        "gateway.cut_off.zone": "WORKER_GATEWAY_CUT_OFF",
        "db_service.url": "WORKER_DB_SERVICE_URL",
        "db_service.token": "WORKER_DB_SERVICE_TOKEN",
        "journal_url": "WORKER_JOURNAL_URL",
        "journal_keys": "WORKER_JOURNAL_KEYS",
        "state_file": "WORKER_STATE_FILE",
        "schema_registry_url": "WORKER_SCHEMA_REGISTRY_URL",
    }
)


def variable(field: str) -> str:
    """The name of the variable to mend, or `field` itself where it comes from no setting."""
    return _VARIABLES.get(field, field)
