"""`migrate`: brings the journal's schema to what this version needs."""

from typing import Annotated, Final

import typer

from worker.commands.exits import epilog
from worker.commands.terminal import as_json, say

EPILOG: Final = epilog(
    "run_worker.py migrate",
    json='{"before": the revision that was there, or null, "now", "changed"}',
)


def migrate(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False
) -> None:
    """Bring the journal's schema up to date.

    Safe to run at any time and from several places at once: one waits for the other.
    """
    from db_client import history, schema
    from worker.config import read_settings

    settings = read_settings()
    with history.journal(settings.journal_url.get_secret_value(), role="migrate") as engine:
        before = schema.present_revision(engine)
        needed = schema.needed_revision()
        if before != needed:
            schema.migrate(engine)
    if json:
        say(as_json({"before": before, "now": needed, "changed": before != needed}))
    elif before == needed:
        say(f"The journal's schema is at {needed} already.")
    else:
        say(f"The journal's schema: {before or 'nothing'} -> {needed}.")
