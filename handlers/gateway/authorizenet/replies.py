"""Reads the gateway's replies into frozen values: tolerant of shape, never of meaning. Judges nothing.

Shapes seen on the wire: a byte order mark; a list that comes as one object, nested as in XML, or as a bare `message`; a
root wrapped in the reply's name; numbers and texts changing places; unknown fields. So every leaf is read as text,
numbers as exact decimals, and what is not there is "".

What leaves this file as evidence is picked by an allow-list of fields, and every text is scrubbed: the gateway quotes
a value that it refuses, and that value may be a key or a token.
"""

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from handlers.domain.card_numbers import holds_card_number
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Evidence

Json = Mapping[str, object]

_MAX_TEXT: Final = 300
_MAX_ID: Final = 20  # digits, as in the contract
_MAX_KEPT: Final = 20  # rows of a list that evidence keeps; all of them are judged
_SHORTEST_SECRET: Final = 4  # a shorter one is no secret, and cutting it out would maim every text
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
# To the next quote, or the end: a text that the gateway cut off quotes as well.
_QUOTED: Final = re.compile(r"(?is)\bvalue\s+(['\"]).*?(?:\1|\Z)")
_BEHIND_THE_CUT: Final = (
    80  # so far a card number, written with blanks, can reach beyond the last sign that is kept
)
_MASKED: Final = re.compile(r"X{1,20}[0-9]{4}")
_CODE: Final = re.compile(r"[A-Za-z0-9]{0,10}")
# What JSON's numbers and the gateway's texts are; no exponent or length that arithmetic chokes on.
_AMOUNT: Final = re.compile(r"[0-9]{0,14}(?:\.[0-9]{0,14})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_NOTHING: Final[Json] = {}


class UnreadableError(Exception):
    """The body is no reply of the gateway. Carries nothing of it."""


@dataclass(frozen=True, slots=True)
class Note:
    """A code and its text."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The envelope of every reply: the request-level messages, and the root for what is the request's own."""

    root: Json
    ref_id: str
    result: str
    messages: tuple[Note, ...]

    @property
    def ok(self) -> bool:
        """True where the gateway took the request itself."""
        return self.result == "Ok"

    @property
    def first(self) -> Note:
        """The first message, or an empty one."""
        return self.messages[0] if self.messages else Note("", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transactionResponse. `approved` is the sum that was approved in part, where the gateway says so."""

    response_code: str
    transaction_id: str
    auth_code: str
    avs: str
    cvv: str
    account_number: str
    account_type: str
    network_transaction_id: str
    test_request: str
    messages: tuple[Note, ...]
    errors: tuple[Note, ...]
    approved: tuple[str, ...]


class Scrubber:
    """Makes texts safe to keep: without the call's own secrets, quoted values and card numbers."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        told = [secret.reveal().strip() for secret in secrets]
        every = dict.fromkeys(form for secret in told for form in (secret, html.unescape(secret)))
        self._secrets = tuple(secret for secret in every if len(secret) >= _SHORTEST_SECRET)

    def __repr__(self) -> str:
        return "Scrubber()"

    def text(self, value: object) -> str:
        """`value` as one safe line of at most 300 characters."""
        said = html.unescape(text(value))
        for secret in self._secrets:
            said = said.replace(secret, "***")
        said = _QUOTED.sub("value ***", said)
        # Judged before it is cut: a number that is cut in two is none, and shows most of itself.
        if holds_card_number(said[: _MAX_TEXT + _BEHIND_THE_CUT]):
            return "(withheld: it held a card number)"
        return said[:_MAX_TEXT]

    def notes(self, value: object, *, inner: str, code: str, said: str) -> tuple[Note, ...]:
        """The codes and texts of a list of messages or errors, whatever its shape."""
        read = (
            Note(self.text(row.get(code)), self.text(row.get(said))) for row in rows(value, inner)
        )
        return tuple(note for note in read if note.code or note.text)


def text(value: object) -> str:
    """A leaf as text: numbers in their exact form, anything that is no leaf as ""."""
    match value:
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case _:
            return ""


def code(value: object) -> str:
    """A leaf that is a short code, "" where there is none; what is no code is "?", which no table knows."""
    said = text(value)
    return said if _CODE.fullmatch(said) else "?"


def amount(value: object) -> Decimal | None:
    """A leaf as an exact, finite, non-negative number; None where it is none."""
    said = text(value)
    if not _AMOUNT.fullmatch(said):
        return None
    try:
        return Decimal(said)
    except InvalidOperation:  # no digit at all
        return None


def section(value: object) -> Json:
    """A member that should be an object; an empty one where it is not."""
    return value if isinstance(value, Mapping) else _NOTHING


def rows(value: object, inner: str) -> tuple[Json, ...]:
    """A list of objects: bare, nested in `inner`, or a single one."""
    if isinstance(value, Mapping):
        value = value.get(inner, value)
    if isinstance(value, Mapping):
        return (value,) if value else ()
    if isinstance(value, list):
        return tuple(row for row in value if isinstance(row, Mapping))
    return ()


def masked(value: object) -> str:
    """A masked account number (XXXX1111), or "" where it is not masked."""
    said = text(value)
    return said if _MASKED.fullmatch(said) else ""


def read_reply(body: bytes, scrubber: Scrubber) -> Reply:
    """The envelope of `body`. Raises UnreadableError."""
    try:
        root = _DECODER.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError):
        root = None
    if isinstance(root, Mapping) and len(root) == 1:
        ((name, wrapped),) = root.items()
        root = wrapped if name.endswith("Response") and name != "transactionResponse" else root
    if not isinstance(root, Mapping):
        raise UnreadableError
    said = root.get("messages", root.get("message"))
    return Reply(
        root=root,
        ref_id=text(root.get("refId")),
        result=code(section(said).get("resultCode")),
        messages=scrubber.notes(said, inner="message", code="code", said="text"),
    )


def read_outcome(reply: Reply, scrubber: Scrubber) -> Outcome:
    """The transactionResponse of `reply`; all empty where it has none."""
    told = section(reply.root.get("transactionResponse"))
    return Outcome(
        response_code=code(told.get("responseCode")),
        transaction_id=real_id(told.get("transId")),
        auth_code=scrubber.text(told.get("authCode")),
        avs=scrubber.text(told.get("avsResultCode")),
        cvv=scrubber.text(told.get("cvvResultCode")),
        account_number=masked(told.get("accountNumber")),
        account_type=scrubber.text(told.get("accountType")),
        network_transaction_id=scrubber.text(told.get("networkTransId")),
        test_request=code(told.get("testRequest")),
        messages=scrubber.notes(
            told.get("messages"), inner="message", code="code", said="description"
        ),
        errors=scrubber.notes(
            told.get("errors"), inner="error", code="errorCode", said="errorText"
        ),
        approved=_approved_in_part(told),
    )


def real_id(value: object) -> str:
    """A transaction id, or "" where the gateway wrote none: missing, empty, 0, no digits, or too many."""
    said = text(value)
    is_id = len(said) <= _MAX_ID and said.isascii() and said.isdigit()
    return said if is_id and said.strip("0") else ""


def _approved_in_part(told: Json) -> tuple[str, ...]:
    parts = rows(told.get("splitTenderPayments"), "splitTenderPayment")
    prepaid = section(told.get("prePaidCard"))
    sums = [text(part.get("approvedAmount")) for part in parts]
    if not sums and prepaid:
        sums = [text(prepaid.get("approvedAmount"))]
    return tuple(said if amount(said) is not None else "?" for said in sums if said)


def _pairs(notes: tuple[Note, ...]) -> list[dict[str, str]]:
    return [{"code": note.code, "text": note.text} for note in notes[:_MAX_KEPT]]


def evidence_of(reply: Reply, outcome: Outcome | None = None, *, scrubber: Scrubber) -> Evidence:
    """What the journal may keep of a reply: these fields and no others."""
    kept: dict[str, object] = {"result": reply.result, "messages": _pairs(reply.messages)}
    if reply.ref_id:
        kept["reference"] = scrubber.text(reply.ref_id)[:40]
    if outcome is not None:
        members = {
            "response_code": outcome.response_code,
            "transaction_id": outcome.transaction_id,
            "auth_code": outcome.auth_code,
            "avs": outcome.avs,
            "cvv": outcome.cvv,
            "account_number": outcome.account_number,
            "account_type": outcome.account_type,
            "network_transaction_id": outcome.network_transaction_id,
            "test_request": outcome.test_request,
            "messages": _pairs(outcome.messages),
            "errors": _pairs(outcome.errors),
            "approved_in_part": list(outcome.approved[:_MAX_KEPT]),
        }
        kept["transaction"] = {name: value for name, value in members.items() if value}
    return kept
