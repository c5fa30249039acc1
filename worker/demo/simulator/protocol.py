"""The protocol of the gateway: bodies in and out, request-level refusals, credentials.

Every body starts with a byte order mark; API errors travel with HTTP 200; `refId` is echoed, as ""
where the request had null. What a valid request does stands in `verbs.py` and `reads.py`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from worker.demo.simulator import grammar, xml_form
from worker.demo.simulator.reasons import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.gateway import Gateway

BOM = b"\xef\xbb\xbf"
_JSON_TYPES = frozenset({"application/json", "text/json"})
_XML_TYPES = frozenset({"application/xml", "text/xml"})
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

SERVED = (
    "authenticateTestRequest",
    "createTransactionRequest",
    "getMerchantDetailsRequest",
    "getSettledBatchListRequest",
    "getTransactionListForCustomerRequest",
    "getTransactionListRequest",
    "getTransactionDetailsRequest",
    "getUnsettledTransactionListRequest",
)
_SHAPES = {name: grammar.request_shape(name) for name in SERVED}

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is well formed, served here, and authenticated."""

    name: str
    body: Mapping[str, Any]
    login: str

    @property
    def ref_id(self) -> str | None:
        """The caller's reference; None where the request has no such member."""
        if "refId" not in self.body:
            return None
        return str(self.body["refId"] or "")


def encoded(reply: Reply) -> bytes:
    """A reply as the bytes of a JSON body."""
    return BOM + _encoder.encode(reply)


def encoded_xml(reply: Reply, name: str = "") -> bytes:
    """A reply as the bytes of an XML body; `name` is the request's, where it was understood."""
    return BOM + xml_form.encoded(reply, name)


def message_reply(code: str, text: str | None = None, *, ref_id: str | None = None) -> Reply:
    """A reply that carries nothing but its message."""
    return {**_reference(ref_id), **_messages(code, text)}


def full_reply(content: Reply, *, ref_id: str | None, code: str = "I00001") -> Reply:
    """A reply with content before its reference and its message."""
    return {**content, **_reference(ref_id), **_messages(code, None)}


def read(gateway: Gateway, body: bytes, *, content_type: str) -> Call | Reply:
    """The call in a request body, or the refusal it gets."""
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if media_type in _JSON_TYPES:
            decoded = _decoder.decode(body.removeprefix(BOM))
        elif media_type in _XML_TYPES:
            decoded = dict([xml_form.decoded(body.removeprefix(BOM))])
        else:
            return message_reply("E00002")
    except ValueError as error:  # what is no UTF-8 and what is no JSON are ValueErrors too
        return message_reply("E00003", f"{MESSAGES['E00003']} {error}")
    if not isinstance(decoded, dict) or len(decoded) != 1:
        return message_reply("E00003", "Root element is missing or there is more than one.")
    name, content = next(iter(decoded.items()))
    return _checked(gateway, name, content=content)


def is_xml(content_type: str) -> bool:
    """Whether a request is answered in XML."""
    return content_type.partition(";")[0].strip().lower() in _XML_TYPES


def _checked(gateway: Gateway, name: str, *, content: Any) -> Call | Reply:
    shape = _SHAPES.get(name)
    if shape is None:
        return _not_served(gateway, name)
    if not isinstance(content, dict):
        content = {}
    gateway.calls.requests[name] += 1
    broken = grammar.violation(shape, content, name=name)
    if broken is not None:
        gateway.calls.schema_refusals += 1
        return message_reply("E00003", broken)
    authentication = content["merchantAuthentication"]
    call = Call(name, content, str(authentication.get("name") or ""))
    if not _authenticated(gateway, authentication):
        gateway.calls.authentication_refusals += 1
        return message_reply("E00007", ref_id=call.ref_id)
    return call


def _not_served(gateway: Gateway, name: str) -> Reply:
    if grammar.request_shape(name) is None:
        gateway.calls.requests["(unknown)"] += 1
        return message_reply("E00004", f"{MESSAGES['E00004']} There is no {name[:60]!r}.")
    gateway.calls.requests[name] += 1
    return message_reply("E00011", f"{MESSAGES['E00011']} (This simulator does not serve {name}.)")


def _authenticated(gateway: Gateway, given: Mapping[str, Any]) -> bool:
    name, key = str(given.get("name") or ""), str(given.get("transactionKey") or "")
    if not name or not key:
        return False
    account = gateway.accounts.get(name)
    expected = gateway.credentials if account is None else account
    if expected.login and not hmac.compare_digest(expected.login.encode(), name.encode()):
        return False
    wanted = expected.transaction_key
    return not wanted or hmac.compare_digest(wanted.encode(), key.encode())


def _reference(ref_id: str | None) -> Reply:
    return {} if ref_id is None else {"refId": ref_id}


def _messages(code: str, text: str | None) -> Reply:
    verdict = "Ok" if code.startswith("I") else "Error"
    message = {"code": code, "text": MESSAGES[code] if text is None else text}
    return {"messages": {"resultCode": verdict, "message": [message]}}
