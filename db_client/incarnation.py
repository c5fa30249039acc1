"""Which database this is, and since when: what tells a restart, a fail-over and a restored copy apart.

`system identifier / timeline / start of the postmaster . database . table . file`: the last three change where a dump
was loaded, into the same server or another. A changed timeline or system means a fail-over or a restore by
recovery. A changed start alone may be a plain restart or a restored copy of the files: a session that lives through it
proves by its own count of commits that nothing was lost; of a session that did not live through it nobody knows, and
what it admitted but did not open becomes suspect at take-over.
"""

from typing import Final

from sqlalchemy import Connection, text

_READ: Final = text(
    "SELECT system_identifier::text || '/'"
    " || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) || '/'"
    " || extract(epoch FROM pg_postmaster_start_time())::text"
    " || '.' || (SELECT oid::text FROM pg_database WHERE datname = current_database())"
    " || '.' || to_regclass('operation')::oid::text"
    " || '.' || pg_relation_filenode(to_regclass('operation'))::text"
    " FROM pg_control_system()"
)


def read_incarnation(connection: Connection) -> str:
    """`system/timeline/start` of the database behind `connection`."""
    value: str = connection.execute(_READ).scalar_one()
    return value


def same_timeline(one: str, other: str) -> bool:
    """True where only what follows the timeline may differ."""
    return one.rsplit("/", 1)[0] == other.rsplit("/", 1)[0]
