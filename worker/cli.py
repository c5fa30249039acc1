"""The command line. Each command lives in a file of its own; here stands only the frame."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from handlers.domain.errors import InvalidValueError, WorkerError
from worker.config import SettingsError, read_settings

app = typer.Typer(no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def door(context: typer.Context) -> None:
    """Kafka-native payment worker."""
    if context.invoked_subcommand is None:
        run()


@app.command()
def run() -> None:
    """Run a worker until SIGTERM."""
    import uvloop

    from worker.session import run_sessions
    from worker.telemetry import Metrics, set_up_logs

    settings = read_settings()
    set_up_logs(form=settings.log_format, level=settings.log_level)
    metrics = Metrics()
    metrics.serve(host=settings.metrics_host, port=settings.metrics_port)

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run_sessions(settings, metrics=metrics, stop=stop)

    uvloop.run(work())


@app.command()
def migrate() -> None:
    """Bring the journal's schema up to date."""
    from db_client import schema
    from db_client.database import engine

    settings = read_settings()
    schema.migrate(engine(settings.journal_url.get_secret_value(), role="migrate"))


@app.command()
def topics(
    create: Annotated[bool, typer.Option()] = True,
    partitions: Annotated[int, typer.Option()] = 6,
    replicas: Annotated[int, typer.Option()] = 1,
) -> None:
    """Create the topics that are missing."""
    from worker import wiring
    from worker.kafka_admin import Admin

    settings = read_settings()
    names = wiring.topics(settings)
    wanted = dict.fromkeys([*names.commands, *names.events, *names.dead_letters], partitions)
    created = Admin(settings.kafka_properties()).create(
        {**wanted, names.progress: 1}, replicas=replicas, config={}
    )
    typer.echo(f"created: {', '.join(created) or 'none were missing'}")


def main() -> None:
    """The process door."""
    try:
        app()
    except (SettingsError, InvalidValueError, WorkerError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
