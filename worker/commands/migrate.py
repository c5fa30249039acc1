"""`migrate`: brings the journal's schema to what this version needs."""

from typing import Final

from worker.commands.exits import epilog
from worker.commands.terminal import say

EPILOG: Final = epilog("run_worker.py migrate")


def migrate() -> None:
    """Bring the journal's schema up to date.

    Safe to run at any time and from several places at once: one waits for the other.
    """
    from db_client import history, schema
    from worker.config import read_settings

    settings = read_settings()
    with history.journal(settings.journal_url.get_secret_value(), role="migrate") as engine:
        before = schema.present_revision(engine)
        needed = schema.needed_revision()
        if before == needed:
            say(f"The journal's schema is at {needed} already.")
            return
        schema.migrate(engine)
    say(f"The journal's schema: {before or 'nothing'} -> {needed}.")
