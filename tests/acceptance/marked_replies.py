"""What the proxies of `marking_proxy.py` write into the replies of gateway and db-service. No claims here."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.acceptance.marking_proxy import Answer, Fields, parsed
from tests.acceptance.marks import Marks

_CHARGE: Final = "createTransactionRequest"
_OK: Final = 200


def _refusal(said: str) -> Answer:
    text = f"The 'dataValue' element is invalid - The value '{said}' is invalid according to its datatype."
    message = {"resultCode": "Error", "message": [{"code": "E00003", "text": text}]}
    return _OK, json.dumps({"messages": message}).encode()


def _cut_off(said: str) -> Answer:
    text = f"The 'AnetApi/xml/v1/schema:dataValue' element is invalid - The value '{said}"
    message = {"resultCode": "Error", "message": [{"code": "E00003", "text": text[:255]}]}
    return _OK, json.dumps({"messages": message}).encode()


def _page(said: str) -> Answer:
    return 500, f"<html><body>Server Error: {said}</body></html>".encode()


def _unreadable(said: str) -> Answer:
    return _OK, f"<!-- {said} -->{{".encode()


# What moves money is marked field by field; of what is read several, for it is read again and again.
_AT_ONCE: Final = {_CHARGE: 1, "authenticateTestRequest": 9}
_QUOTATIONS: Final[tuple[Callable[[str], Answer], ...]] = (_refusal, _cut_off, _page, _unreadable)


@dataclass(slots=True)
class GatewayReplies:
    """Each field of each kind of reply is marked once; then charges are refused in answers that quote what was sent.

    A request that holds one of `silent` never comes there.
    """

    marks: Marks
    transaction_key: str
    silent: set[str] = field(default_factory=set)
    fields: dict[str, Fields] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    quoted: int = 0

    def passes(self, request: bytes) -> bool:
        """Whether the gateway hears it."""
        self.heard.append(request)
        return not any(it.encode() in request for it in self.silent)

    def changed(self, path: str, request: bytes, *, answer: Answer) -> Answer:
        """The answer to one request."""
        assert path.endswith(".api"), path
        (name,) = json.loads(request)
        reply = parsed(answer[1])
        kind = self.fields.setdefault(
            name, Fields(f"reply to {name}: ", self.marks, _AT_ONCE.get(name, 3))
        )
        sent = request.decode()
        # A look-up knows the account's secrets only; a charge's answer may quote all that the charge held.
        beside = (
            [text for text in self.marks.secrets if text in sent]
            if name == _CHARGE
            else [self.transaction_key]
        )
        if kind.mark(reply, beside=" ".join(beside)):
            return _OK, json.dumps(reply).encode()
        if name == _CHARGE and self.quoted < len(_QUOTATIONS):
            quoting = _QUOTATIONS[self.quoted]
            self.quoted += 1
            return quoting(
                " ".join([*beside, self.marks.card(f"reply to {name}: {quoting.__name__}")])
            )
        return answer

    @property
    def is_done(self) -> bool:
        """Whether every field of a charge's reply and of its details was marked, and every quotation given."""
        kinds = [self.fields.get(it) for it in (_CHARGE, "getTransactionDetailsRequest")]
        return self.quoted == len(_QUOTATIONS) and all(
            it is not None and not it.open for it in kinds
        )


@dataclass(slots=True)
class ServiceReplies:
    """The same for the db-service, while `is_on`: fields of orders, of what it says to outcomes, and errors.

    While it `is_away` nothing comes there.
    """

    marks: Marks
    token: str
    is_on: bool = False
    is_away: bool = False
    heard: list[bytes] = field(default_factory=list)
    fields: dict[str, Fields] = field(default_factory=dict)
    refused: int = 0

    def passes(self, request: bytes) -> bool:
        """Whether it is there."""
        self.heard.append(request)
        return not self.is_away

    def changed(self, path: str, request: bytes, *, answer: Answer) -> Answer:
        """The answer to one request."""
        assert request in self.heard
        if not self.is_on:
            return answer
        kind = path.split("/")[1]
        reply = parsed(answer[1])
        fields = self.fields.setdefault(kind, Fields(f"db-service, {kind}: ", self.marks, 2))
        # What an order says in its open texts is the order's; elsewhere the service may quote our own token.
        beside = "" if kind == "orders" else self.token
        if fields.mark(reply, beside=beside):
            return answer[0], json.dumps(reply).encode()
        if kind == "outcomes" and self.refused < len(_PROBLEMS):
            status = _PROBLEMS[self.refused]
            self.refused += 1
            said = f"{self.token} {self.marks.card(f'db-service, {kind}: HTTP {status}')}"
            problem = {"type": said, "title": said, "status": status, "detail": said, "code": said}
            return status, json.dumps(problem).encode()
        return answer

    @property
    def is_done(self) -> bool:
        """Whether every field of an order was marked."""
        return "orders" in self.fields and not self.fields["orders"].open


_PROBLEMS: Final = (
    500,
    503,
    429,
)  # what is tried again; a refusal for good would stop the records of all
