"""The stage's own servers, Apache Kafka and PostgreSQL.

They are killed, frozen and put back in time here, so that every other test may rely on what they do.
"""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.watching import all_gone, family
from tests.waiting import SETTLES_WITHIN_S, wait_until
from worker.demo import broker as broker_module
from worker.demo import ports
from worker.demo.broker import Broker, jars
from worker.demo.postgres import Postgres
from worker.demo.stage_error import StageError

QUIET = {"log_level": 0}


# What Apache Kafka is made of.


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A full cache of this test's own, on a machine without a network."""
    filled = Path(jars(say=print).classpath.split(":")[0]).parent
    mine = tmp_path / "cache" / filled.name
    mine.mkdir(parents=True)
    for jar in filled.glob("*.jar"):
        (mine / jar.name).symlink_to(jar)
    monkeypatch.setenv("PAYMENT_WORKER_CACHE", str(mine.parent))
    [dead_end] = ports.free_ports(1)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, f"http://{ports.LOOPBACK}:{dead_end}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return mine


def test_a_full_cache_needs_no_network(own_cache: Path) -> None:
    """The second start downloads nothing and says nothing."""
    said: list[str] = []
    kafka = jars(say=said.append)
    assert [] == said
    assert {str(jar) for jar in own_cache.glob("*.jar")} == set(kafka.classpath.split(":"))
    assert os.access(kafka.java, os.X_OK)


def test_a_jar_that_differs_from_the_lock_is_never_run(own_cache: Path) -> None:
    """The error names the file, both hashes and the next step."""
    jar = own_cache / "kafka-clients-4.2.0.jar"
    damaged = bytearray(jar.read_bytes())
    damaged[1000] ^= 1
    jar.unlink()
    jar.write_bytes(damaged)
    with pytest.raises(StageError, match=r"kafka-clients-4.2.0.jar is not the file") as caught:
        jars(say=print)
    assert "Next: remove it and start again" in str(caught.value)


def test_a_download_that_fails_leaves_nothing_that_counts(own_cache: Path) -> None:
    """Without a network the missing jar is named, and no part of it stays in the cache."""
    (own_cache / "kafka-clients-4.2.0.jar").unlink()
    (own_cache / "part-killed").mkdir()
    (own_cache / "part-killed" / "kafka-clients-4.2.0.jar").write_bytes(b"half")
    said: list[str] = []
    with pytest.raises(
        StageError, match=r"kafka-clients-4.2.0.jar .* cannot be downloaded"
    ) as caught:
        jars(say=said.append)
    assert "Next: the first start needs the network" in str(caught.value)
    assert ["Apache Kafka 4.2.0: downloading 1 jars, 10 MB (once) …"] == said
    assert [] == [path for path in own_cache.iterdir() if not path.is_symlink()]


# Apache Kafka.


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the tests that leave it running."""
    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


def create_topic(broker: Broker, name: str) -> None:
    """A topic of one partition; fails if the broker does not take it."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, **QUIET})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(SETTLES_WITHIN_S)


def write(broker: Broker, topic: str, *, value: bytes) -> None:
    """Produce one record and see it acknowledged."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", **QUIET})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error))
    assert 0 == producer.flush(SETTLES_WITHIN_S)
    assert [None] == failures


def read(broker: Broker, topic: str) -> bytes | None:
    """The first record of a topic."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", **QUIET})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = consumer.consume(1, SETTLES_WITHIN_S)
        return found[0].value() if found else None
    finally:
        consumer.close()


def test_a_broker_that_is_ready_takes_topics_and_records(kafka: Broker) -> None:
    """When start() returns, a client that does not retry is served."""
    create_topic(kafka, "ready")
    write(kafka, "ready", value=b"bread")
    assert b"bread" == read(kafka, "ready")


def test_a_killed_broker_is_found_dead_and_comes_back_with_its_records(kafka: Broker) -> None:
    """SIGKILL loses nothing that was acknowledged; port and data stay the same."""
    create_topic(kafka, "killed")
    write(kafka, "killed", value=b"cheese")
    before = kafka.pid
    kafka.kill()
    assert kafka.alive is False
    with pytest.raises(StageError, match="Apache Kafka is not running: signal SIGKILL"):
        kafka.insist_alive()
    kafka.restart_after_kill()
    assert before != kafka.pid
    assert b"cheese" == read(kafka, "killed")


def test_a_frozen_broker_is_silent_and_goes_on_when_thawed(kafka: Broker) -> None:
    """Frozen is not dead: the process is there, the port is open, nothing answers."""
    kafka.freeze()
    try:
        assert kafka.alive is True
        assert broker_module.answers(int(kafka.bootstrap.split(":")[1])) is False
    finally:
        kafka.thaw()
    create_topic(kafka, "thawed")
    write(kafka, "thawed", value=b"milk")
    assert b"milk" == read(kafka, "thawed")


def test_a_stopped_broker_leaves_no_process_and_frees_its_port(tmp_path: Path) -> None:
    """stop() ends in order, inside its grace."""
    with Broker(tmp_path) as running:
        processes = family(running.pid)
        port = int(running.bootstrap.split(":")[1])
        assert ports.is_free(port) is False
    assert all_gone(processes) is True
    assert ports.is_free(port) is True
    assert running.alive is False


def test_a_setting_that_kafka_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    """A wrong override shows Kafka's own complaint."""
    broken = Broker(tmp_path, overrides={"num.io.threads": "many"})
    with pytest.raises(StageError, match=r"(?s)num\.io\.threads.*Next: "):
        broken.start()
    assert broken.alive is False


@pytest.mark.parametrize("server", [Broker, Postgres])
def test_a_port_taken_by_someone_else_is_told(
    server: type[Broker] | type[Postgres], tmp_path: Path
) -> None:
    """The error names the server and the port; nothing is started."""
    mine = server(tmp_path)
    port = int(mine.bootstrap.split(":")[1]) if isinstance(mine, Broker) else mine.port
    refused = pytest.raises(StageError, match=rf"cannot start: port {port} .* is taken")
    with socket.create_server((ports.LOOPBACK, port)), refused:
        mine.start()
    assert mine.alive is False


# PostgreSQL.


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for the tests that leave it running."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


def ask(url: str, statement: str) -> list[object]:
    """The first column of what a statement brings, each on a connection of its own."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        cursor = connection.execute(statement.encode())
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def test_a_database_is_made_once_and_kept(postgres: Postgres) -> None:
    """Asking twice for a database gives the same one."""
    ask(postgres.database("kept"), "CREATE TABLE note AS SELECT 7 AS n")
    assert [7] == ask(postgres.database("kept"), "SELECT n FROM note")


@pytest.mark.parametrize("name", ["", "Journal", "a b", "x" * 64, 'a"; DROP DATABASE postgres; --'])
def test_a_name_that_is_none_is_refused(name: str, postgres: Postgres) -> None:
    """Only plain names reach the server."""
    with pytest.raises(StageError, match="cannot name a database"):
        postgres.database(name)


def test_the_server_keeps_what_it_acknowledges(postgres: Postgres) -> None:
    """By default it runs with the settings that a journal needs."""
    url = postgres.database("postgres")
    assert ["on"] == ask(url, "SHOW fsync")
    assert ["on"] == ask(url, "SHOW synchronous_commit")
    assert ["100"] == ask(url, "SHOW max_connections")


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    """Other users of the machine do not get in."""
    url = postgres.database("postgres")
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(url.replace(password, "guess"), "SELECT 1")


def test_a_killed_server_is_found_dead_and_comes_back_with_its_rows(postgres: Postgres) -> None:
    """What was committed is there after a kill; no session process stays behind."""
    url = postgres.database("killed")
    ask(url, "CREATE TABLE note AS SELECT 8 AS n")
    with psycopg.connect(url) as held:
        processes = family(postgres.pid)
        postgres.kill()
        assert postgres.alive is False
        wait_until(lambda: all_gone(processes))
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")
    postgres.start()
    assert [8] == ask(url, "SELECT n FROM note")


def test_a_frozen_server_stops_its_sessions_too(postgres: Postgres) -> None:
    """A session that was open before the freeze gets no answer until the thaw."""
    with psycopg.connect(postgres.database("frozen")) as held:
        answers: list[object] = []
        postgres.freeze()
        question = threading.Thread(
            target=lambda: answers.append(held.execute("SELECT 1").fetchone())
        )
        try:
            question.start()
            question.join(0.3)
            assert [] == answers
        finally:
            postgres.thaw()
        question.join(SETTLES_WITHIN_S)
        assert [(1,)] == answers


def test_a_restored_backup_brings_the_older_rows_back(postgres: Postgres, tmp_path: Path) -> None:
    """The server is put back in time, as a whole, on the same port and with the same URL."""
    url = postgres.database("lost_time")
    ask(url, "CREATE TABLE note AS SELECT 1 AS n")
    postgres.backup(tmp_path / "copy")
    ask(url, "INSERT INTO note VALUES (2)")
    assert [1, 2] == ask(url, "SELECT n FROM note ORDER BY n")
    for _ in range(2):  # a backup is not used up
        postgres.restore(tmp_path / "copy")
        assert [1] == ask(url, "SELECT n FROM note ORDER BY n")
    ask(url, "INSERT INTO note VALUES (3)")
    assert [1, 3] == ask(url, "SELECT n FROM note ORDER BY n")


def test_what_is_no_backup_does_not_replace_the_data(postgres: Postgres, tmp_path: Path) -> None:
    """A wrong folder is refused before the server is stopped."""
    with pytest.raises(StageError, match="is no backup"):
        postgres.restore(tmp_path)
    assert postgres.alive is True


def test_a_stopped_server_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    """A later process finds the same data and passwords in the folder."""
    with Postgres(tmp_path) as running:
        ask(running.database("again"), "CREATE TABLE note AS SELECT 9 AS n")
        processes = family(running.pid)
    assert all_gone(processes) is True
    with Postgres(tmp_path) as later:
        assert [9] == ask(later.database("again"), "SELECT n FROM note")


def test_a_first_start_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    """A half-made data folder does not stand in the way."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("18")
    with Postgres(tmp_path) as running:
        assert [1] == ask(running.database("fresh"), "SELECT 1")
