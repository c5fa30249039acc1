"""What every run of the simulation agrees on: names, times and limits. No faults and no chance live here.

All times are short against production's, and stand to each other as there: the lease exceeds a call's deadline, what is
listed late is listed within `ABSENCE_S`, and what arrives late at the gateway arrives within it too.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from db_client.moving import Limits
from handlers.ports import OnePayment, OrderCheck, Rules
from tests.doubles.values import RULES as PLAIN
from tests.simulation.memory_gateway import DoorSettings
from worker.routes import COMMANDS, EVENTS, STATUS, Topics

BEGIN: Final = datetime(2026, 3, 1, 15, 50, tzinfo=UTC)
GROUP: Final = "workers"
ACCOUNT: Final = "main"
CURRENCY: Final = "USD"
PARTITIONS: Final = 2
LEASE_S: Final = 16.0
DEADLINE_S: Final = 5.0
MARGIN_S: Final = 1.0
LONGEST_SEND_S: Final = 8.0
ABSENCE_S: Final = 24.0
TICK_S: Final = 16.0
DEAD_S: Final = 3.0
WALK_S: Final = 45.0
ORPHAN_WAIT_S: Final = 12.0
KAFKA_SESSION_S: Final = 6.0
KAFKA_TXN_S: Final = 8.0
TOPICS: Final = Topics("", GROUP)
COMMAND_TOPICS: Final = tuple(COMMANDS)
EVENT_TOPICS: Final = tuple(topic for topic, _ in EVENTS.values())
LETTERS: Final = tuple(f"{it}.dlq" for it in COMMAND_TOPICS)

RULES: Final[Rules] = replace(
    PLAIN,
    absence_after_s=ABSENCE_S,
    ask_schedule_s=(1, 4, 12, 20, 30, 120),
    unsent_wait_s=2.0,
    unrecorded_wait_s=2.0,
    settlement_wait_s=15.0,
    order_check=OrderCheck.STRICT,
    one_payment=OnePayment.ENFORCE,
    max_command_age_s=86_400.0,
)
LIMITS: Final = Limits(
    deadline_s=LONGEST_SEND_S,
    status_topic=STATUS,
    orphan_wait_s=ORPHAN_WAIT_S,
    one_payment=OnePayment.ENFORCE,
)
DOOR: Final = DoorSettings(
    deadline_s=DEADLINE_S,
    margin_s=MARGIN_S,
    in_flight=20,
    breaker_after=5,
    breaker_first_s=1.0,
    breaker_longest_s=10.0,
)
