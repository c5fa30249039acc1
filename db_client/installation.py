"""With which invoice key, environment and group a journal began: a worker with others must not go on with it.

Under another key or environment every open charge would be looked for under another invoice number, and be told absent.
Under another group nobody would take the old one's sessions over. The key itself is not stored, only a keyed check.
"""

import hashlib
import hmac

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from db_client.failures import away
from db_client.tables import installation


def fingerprint(invoice_key: bytes, *, environment: str) -> str:
    """A check of both from which neither can be read."""
    message = f"installation\x1f{environment}".encode()
    return hmac.new(invoice_key, message, hashlib.sha256).hexdigest()[:32]


def strangeness(engine: Engine, *, ours: str, group: str, claim: bool = True) -> str:
    """Why this journal is not ours, or "". The first of all claims it, where `claim` is set. Raises Unavailable."""
    try:
        with engine.begin() as connection:
            row_of_ours = {"fingerprint": ours, "group_name": group}
            if claim:
                claimed = insert(installation).values(**row_of_ours).on_conflict_do_nothing()
                connection.execute(claimed)
            row = connection.execute(select(installation)).one_or_none()
    except DBAPIError as error:
        raise away(error) from None
    if row is None:
        return ""
    if row.fingerprint != ours:
        return (
            "this journal began with another WORKER_INVOICE_KEY or WORKER_ENVIRONMENT: with these, charges that are"
            " open would be looked for under other numbers. Set the old ones"
        )
    if row.group_name != group:
        return (
            f"this journal belongs to the group {row.group_name!r}: under another one nobody would finish its work."
            " Set WORKER_KAFKA_GROUP to it"
        )
    return ""
