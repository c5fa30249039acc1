"""The journal is put back to a copy, Kafka's offsets are lost as well: `rebuild` brings the books together again."""

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from handlers.domain.commands import Mode
from tests.crash.installation import load, wait_until
from tests.crash.restored_shop import RestoredShop, ended, hears, restored_shop
from worker import kafka_admin
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

LISTS_AWAY = {"read_faults": {"http_5xx_uncharged": 1.0}}


def test_nothing_of_the_lost_time_is_done_twice(base: Stage, tmp_path: Path) -> None:
    """Charges, captures, voids and refunds of the lost time are adopted, none is sent again, an orphan is named."""
    with restored_shop(base, tmp_path / "postgres", name="rebuilt") as shop:
        workers = shop.workers()
        sales = shop.pay(8)
        holds = shop.pay(6, mode=Mode.AUTHORISE)
        assert wait_until(shop.rests)
        shop.settle()
        with load(shop.installation, wave=2, every_s=0.2):
            since = datetime.now(UTC)
            shop.server.backup(tmp_path / "backup")
            asker = shop.installation.shop()
            shop.ask(
                *(asker.refund(f"part{n}", it, minor=500) for n, it in enumerate(sales[:3])),
                *(asker.refund(f"whole{n}", it) for n, it in enumerate(sales[3:6])),
                *(asker.capture(f"c{n}", it) for n, it in enumerate(holds[:3])),
                *(asker.void(f"v{n}", it) for n, it in enumerate(holds[3:])),
            )
            stranger = shop.charge_without_us()
            assert wait_until(lambda: _sent_in_lost_time(shop) == (6, 3, 3))
            for worker in workers:
                worker.kill()
            shop.server.restore(tmp_path / "backup")
            shop.forget_offsets()
        command = shop.rebuild("--since", since.isoformat(), "--json")
        hears(command, "Start the workers now")
        shop.installation.stage.gateway("PUT", "/plan", body=LISTS_AWAY)
        with ThreadPoolExecutor() as pool:
            list(pool.map(KeptProcess.start, workers))
        shop.pay(5)
        # A walk of the finder that outran the commands would tell captures and voids a second time.
        assert wait_until(lambda: shop.left().partitions == 0)
        shop.installation.stage.gateway("DELETE", "/plan")
        done = ended(command)
        assert 4 == done.code, done.err
        breaks = done.document["reconcile"]["breaks"]
        assert [("orphan", stranger)] == [(it["kind"], it["transaction_id"]) for it in breaks]
        assert shop.installation.settles()
        verdict = shop.books()
        assert [] == verdict.differences
        assert [] == verdict.waiting
        assert {
            "authCaptureTransaction": len(shop.installation.published) - 6 + 1,  # the stranger's
            "authOnlyTransaction": 6,
            "priorAuthCaptureTransaction": 3,
            "voidTransaction": 3,
            "refundTransaction": 6,
        } == dict(shop.performed())


def _sent_in_lost_time(shop: RestoredShop) -> tuple[int, int, int]:
    performed = shop.performed()
    kinds = ("refundTransaction", "priorAuthCaptureTransaction", "voidTransaction")
    refunds, captures, voids = (performed[it] for it in kinds)
    return refunds, captures, voids


def test_it_is_refused_and_killed_and_goes_on(base: Stage, tmp_path: Path) -> None:
    """Not while a worker lives; SIGKILL while it marks leaves nothing, while it records again nothing half done."""
    with restored_shop(base, tmp_path / "postgres", name="rebuilt-killed") as shop:
        worker = shop.worker("one")
        since = datetime.now(UTC).isoformat()
        shop.pay(6)
        assert wait_until(shop.rests)
        recorded = shop.installation.stage.recorded_payments()
        refused = ended(shop.rebuild("--since", since))
        assert (1, True) == (refused.code, "1 worker is alive" in refused.err)
        worker.kill()
        shop.pay(3)
        assert wait_until(lambda: not shop.living())
        killed = ended(shop.rebuild("--since", since, dies="marking"))
        assert (-9, None) == (killed.code, shop.begun()), killed.err
        waits = shop.rebuild("--since", since, "--json")
        hears(waits, "NO WORKER IS ALIVE")
        waits.send_signal(signal.SIGINT)
        broken_off = ended(waits)
        assert (130, "") == (broken_off.code, broken_off.out)
        assert f"--since {since[:19]}" in broken_off.err
        begun = shop.begun()
        assert begun is not None
        assert shop.left().partitions > 0
        other = ended(shop.rebuild("--since", "2026-01-01"))
        assert (1, True) == (other.code, since[:19] in other.err)
        worker.start()
        killed = ended(shop.rebuild("--since", since, dies="recording"))
        assert (-9, begun) == (killed.code, shop.begun()), killed.err
        done = ended(shop.rebuild("--since", since, "--json"))
        assert (0, True) == (done.code, "goes on" in done.err), done.err
        assert shop.begun() is None
        assert [] == done.document["recorded"]["refused"]
        assert shop.installation.settles()
        assert {"authCaptureTransaction": 9} == dict(shop.performed())
        after = shop.installation.stage.recorded_payments()
        assert all(it in after for it in recorded)


def test_the_end_lies_behind_the_last_record(base: Stage) -> None:
    """Marks of kafka_txns and aborted records are none: nobody reads up to them, and they would be waited for."""
    properties = {"bootstrap.servers": base.bootstrap}
    kafka_admin.Admin(properties).create({"ends": 4}, replicas=1, config={})
    writer = Producer({**properties, "transactional.id": "ends"})
    writer.init_transactions()
    for partitions, ends_well in (((0, 0, 1), True), ((1, *[2] * 150), False), ((3,), True)):
        writer.begin_transaction()
        for partition in partitions:
            writer.produce("ends", b"x", partition=partition)
        writer.flush()
        (writer.commit_transaction if ends_well else writer.abort_transaction)()
    admin = AdminClient({**properties})
    [gone] = admin.delete_records([TopicPartition("ends", 3, 2)]).values()
    gone.result()
    found = {it.partition: (it.first, it.end) for it in kafka_admin.extents(properties, ["ends"])}
    assert {0: (0, 2), 1: (0, 1), 2: (0, 0), 3: (2, 0)} == found
