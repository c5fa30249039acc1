"""The group's other sessions, as the janitor sees them. All methods raise Unavailable while the database is away."""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from db_client.failures import away
from db_client.sessions import dead_sessions, drop_connections, end_if_expired


@dataclass(frozen=True, slots=True)
class Sessions:
    """`settled_s`: how long the database must be up before an expired lease counts."""

    engine: Engine
    me: str
    group: str
    settled_s: float

    def dead(self) -> list[str]:
        """Ids of sessions that are to be taken over, the oldest first."""
        try:
            return dead_sessions(
                self.engine, me=self.me, group=self.group, settled_s=self.settled_s
            )
        except DBAPIError as error:
            raise away(error) from None

    def end_if_expired(self, session_id: str) -> bool:
        """End its row where its lease ran out, its connections first; True where it is ended now."""
        with suppress(
            DBAPIError
        ):  # of another database role it may not be: then its locks are waited for
            drop_connections(self.engine, session_id=session_id)
        try:
            return end_if_expired(self.engine, session_id=session_id)
        except DBAPIError as error:
            raise away(error) from None
