"""What the gateway's JSON requests are built with: the contract's order and lengths, the envelope, the bytes.

What does not fit the contract follows one rule: texts for people (names, addresses, descriptions) are cut at the limit;
keys (customer id, item id, amounts) are left out, never cut, since a cut key is another key. So is what is empty.
Which members a request has stands in `requests.py`, `charges.py` and `questions.py`.

Credentials and whatever is secret of a means stay `Secret` until `encode`, the only place that reveals them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.contract_table import ELEMENTS
from handlers.gateway.authorizenet.settings import Account

Members = dict[str, object]


def _reveal(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError("a request holds JSON values and secrets only")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_reveal)


def encode(request: Members) -> bytes:
    """The bytes that leave. The only place where secrets are revealed."""
    return _ENCODER.encode(request)


def in_order(kind: str, members: Mapping[str, object]) -> Members:
    """The members that are not empty, as the contract orders those of `kind`."""
    order = ELEMENTS[kind]
    assert members.keys() <= order.keys(), f"{kind} has no such elements"
    return {name: members[name] for name in order if members.get(name)}


def cut(kind: str, name: str, *, text: str) -> str:
    """A text for people, cut at the limit."""
    limit = ELEMENTS[kind][name]
    return text if limit is None else text[:limit].strip()


def fits(kind: str, name: str, *, key: str) -> bool:
    """True where a key may stand there as a whole."""
    limit = ELEMENTS[kind][name]
    return limit is None or len(key) <= limit


def envelope(kind: str, account: Account, *, members: Mapping[str, object]) -> Members:
    """The request `kind` with the credentials of `account` in front."""
    authentication = in_order(
        "merchantAuthenticationType",
        {"name": account.login, "transactionKey": account.transaction_key},
    )
    return {kind: in_order(kind, {"merchantAuthentication": authentication, **members})}


def without_secrets(members: Members) -> Members:
    """The same with every secret left out, at any depth, and what is empty then."""
    kept = {name: _open(value) for name, value in members.items()}
    return {name: value for name, value in kept.items() if value not in (None, {})}


def _open(value: object) -> object:
    match value:
        case Secret():
            return None
        case dict():
            return without_secrets(value)
        case list():
            return [_open(part) for part in value]
        case _:
            return value
