"""A journal knows with which keys and names it began, and which database it is: slips of an operator are told."""

from db_client.incarnation import read_incarnation, same_timeline
from db_client.installation import fingerprint, strangeness
from tests.contract.journal_stage import JournalStage

OURS = fingerprint(b"invoice-key", environment="sandbox")


def test_a_journal_keeps_to_the_key_and_names_that_it_began_with(stage: JournalStage) -> None:
    """Under another key, environment or group open charges would be told absent, or finished by nobody."""
    stage.clear()
    assert "" == strangeness(stage.engine, ours=OURS, group="workers")
    assert "" == strangeness(stage.engine, ours=OURS, group="workers")
    for key, environment in ((b"another-key", "sandbox"), (b"invoice-key", "production")):
        other = fingerprint(key, environment=environment)
        told = strangeness(stage.engine, ours=other, group="workers")
        assert "WORKER_INVOICE_KEY or WORKER_ENVIRONMENT" in told
    assert "'workers'" in strangeness(stage.engine, ours=OURS, group="renamed")


def test_the_key_is_not_in_the_journal(stage: JournalStage) -> None:
    """What is stored is a check of it, not the key."""
    strangeness(stage.engine, ours=OURS, group="workers")
    [row] = stage.sql("SELECT * FROM installation")
    assert "invoice-key" not in str(row)


def test_a_dump_that_was_loaded_is_another_incarnation(stage: JournalStage) -> None:
    """Same server, same timeline, same start: only the table's own file tells that its rows are from elsewhere."""
    with stage.engine.connect() as connection:
        before = read_incarnation(connection)
    stage.sql("CREATE TABLE kept AS SELECT * FROM operation")
    stage.sql("TRUNCATE operation")
    stage.sql("INSERT INTO operation SELECT * FROM kept")
    stage.sql("DROP TABLE kept")
    with stage.engine.connect() as connection:
        after = read_incarnation(connection)
    assert before != after
    assert same_timeline(before, after)
