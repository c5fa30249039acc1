"""Watches a run and states each promise of `design.md` as one predicate. Shares no code with the worker.

Here is the table of them and nothing else. What is read, and what a violation is, stands in `auditor_books.py`; that
each predicate finds its violation is shown by `test_auditor.py` on doctored books. P7 (no secret leaves) cannot be
watched in these books: it has a test of its own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tests.simulation.auditor_books import Books, Found, Violation
from tests.simulation.auditor_money import p2_nothing_twice, p4_silence_is_unknown
from tests.simulation.auditor_telling import p5_told_exactly_once, p6_knowledge_only_improves
from tests.simulation.auditor_work import (
    p1_nothing_lost,
    p3_write_first,
    p8_a_bad_day_is_bounded,
    sessions_late_work_changes_nothing,
)

PREDICATES: Final[Mapping[str, Callable[[Books], Found]]] = MappingProxyType(
    {
        "P1": p1_nothing_lost,
        "P2": p2_nothing_twice,
        "P3": p3_write_first,
        "P4": p4_silence_is_unknown,
        "P5": p5_told_exactly_once,
        "P6": p6_knowledge_only_improves,
        "P8": p8_a_bad_day_is_bounded,
        "sessions": sessions_late_work_changes_nothing,
    }
)


def audit(books: Books) -> list[Violation]:
    """Every violation of every promise, in the order of the promises."""
    return [found for predicate in PREDICATES.values() for found in predicate(books)]
