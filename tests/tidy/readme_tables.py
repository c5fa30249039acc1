"""The README's tables and diagrams, made from the code. `python -m tests.tidy.readme_tables --write` renews them."""

import re
import sys
from pathlib import Path
from typing import Final

from handlers.domain.commands import Kind
from handlers.domain.outcomes import REQUEST_TELLS, TELLS
from handlers.domain.states import SEEN, SEEN_REQUEST
from tests.tidy.readme_diagrams import payment_diagram, request_diagram
from worker.commands.exits import EXIT_CODES
from worker.config import Settings
from worker.dead_letters import ADVICE
from worker.reconciling.kinds import KINDS
from worker.telemetry import Metrics

README: Final = Path(__file__).parents[2] / "README.md"
_TABLE: Final = re.compile(r"<!-- table: ([\w ]+) -->\n.*?<!-- end -->", re.DOTALL)
_MEANING: Final = {
    "requested": "admitted, not answered yet",
    "authorized": "reserved on the card, not captured",
    "captured": "the card, or the account, was charged",
    "settled": "the charge went through the gateway's nightly batch",
    "verified": "the means of payment is good; nothing was to be taken",
    "declined": "the bank, a filter or the gateway said no",
    "refused": "we said no before the gateway: nothing was sent",
    "failed": "nothing was taken: absent from complete scans",
    "held": "the gateway holds it for review",
    "unknown": "the gateway did not answer; it is being asked",
    "voided": "undone before it settled: no money moves",
    "expired": "the authorisation ended and was never captured",
    "partially_refunded": "a part of it went back to the customer",
    "refunded": "all of it went back to the customer",
    "returned": "the bank transfer came back",
    "charged_back": "the customer's bank took the money back",
    "conflicted": "the gateway's evidence contradicts what was asked or told: a person decides",
}
_REQUEST_MEANING: Final = {
    "requested": "admitted, not answered yet",
    "deferred": "not yet: it goes on by itself at a time that is told",
    "unknown": "sent, and the gateway did not answer; it is being asked",
    "processed": "done, or it was so already",
    "failed": "we, or the gateway, said no; the reason says what to do",
    "continued": "another command of the worker's own goes on with it",
    "conflicted": "the gateway did something else than was asked: a person decides",
}


def states() -> str:
    """What each state means, and what is told."""
    rows = [
        "| `state` | `payment_status` | means | `order_events` | `notification_events` |",
        "|---|---|---|---|---|",
    ]
    for state, status in SEEN.items():
        order, template = TELLS[state]
        told = (
            f"{f'`{order.name}`' if order else '-'} | {f'`{template.name}`' if template else '-'}"
        )
        rows.append(f"| `{state.value}` | `{status.name}` | {_MEANING[state.value]} | {told} |")
    return "\n".join(rows)


def requests() -> str:
    """What each state of a request means, and what is told."""
    rows = [
        "| `state` | `refund_status` | means | `notification_events` of a refund |",
        "|---|---|---|---|",
    ]
    for state, status in SEEN_REQUEST.items():
        template = REQUEST_TELLS.get((Kind.REFUND, state))
        told = f"`{template.name}`" if template else "-"
        meaning = _REQUEST_MEANING[state.value]
        rows.append(f"| `{state.value}` | `{status.name}` | {meaning} | {told} |")
    return "\n".join(rows)


def dead_letters() -> str:
    """Each reason with its advice."""
    rows = ["| reason | what it is and what to do |", "|---|---|"]
    rows += [f"| `{reason.value}` | {advice} |" for reason, advice in ADVICE.items()]
    return "\n".join(rows)


def breaks() -> str:
    """Each kind of difference between the books, the worst first."""
    rows = ["| kind of break | what it is |", "|---|---|"]
    rows += [f"| `{kind.value}` | {sentence} |" for kind, sentence in KINDS.items()]
    return "\n".join(rows)


def metrics() -> str:
    """Every metric with its labels."""
    rows = ["| metric | labels | what it is |", "|---|---|---|"]
    for family in Metrics().registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        rows.append(
            f"| `{family.name}{suffix}` | {_labels(family.name)} | {family.documentation} |"
        )
    return "\n".join(rows)


def _labels(name: str) -> str:
    metric = Metrics()
    found = next(it for it in vars(metric).values() if getattr(it, "_name", "") == name)
    return ", ".join(found._labelnames) or "-"


def exit_codes() -> str:
    """Every exit code of the command line."""
    rows = ["| exit code | what it says |", "|---|---|"]
    rows += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    return "\n".join(rows)


def settings() -> str:
    """Every setting with its default."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `WORKER_{name.upper()}` | {_default(field.default)} | {field.description} |"
        )
    return "\n".join(rows)


def _default(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, Path):
        return "`payment-worker.state` in the temporary folder"
    if isinstance(value, tuple):
        return (
            f"`{','.join(f'{it:g}' if isinstance(it, int | float) else str(it) for it in value)}`"
        )
    if hasattr(value, "get_secret_value"):
        return f"`{value.get_secret_value()}`"
    return f"`{value}`"


_MAKERS: Final = {
    "states": states,
    "requests": requests,
    "payment diagram": payment_diagram,
    "request diagram": request_diagram,
    "dead letters": dead_letters,
    "breaks": breaks,
    "metrics": metrics,
    "exit codes": exit_codes,
    "settings": settings,
}


def renewed(text: str) -> str:
    """The README with its tables as the code has them now."""
    return _TABLE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{_MAKERS[found[1]]()}\n<!-- end -->", text
    )


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(renewed(README.read_text()))
