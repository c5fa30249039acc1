"""The gateway's replies as it writes them, and as it should not: JSON trees with some leaves spoilt. No claims here.

What JSON cannot say through a library (a number of a thousand digits, a bare word, half a surrogate pair) is put in as
raw text behind a mark.
"""

import json
from random import Random
from typing import Any, Final

from tests.fuzz import markers

_OK: Final = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}
_ERROR: Final = {
    "resultCode": "Error",
    "message": [{"code": "E00027", "text": "The transaction was unsuccessful."}],
}
_SENT: Final[dict[str, Any]] = {
    "responseCode": "1",
    "authCode": "HW617E",
    "avsResultCode": "Y",
    "cvvResultCode": "P",
    "transId": "60123456789",
    "testRequest": "0",
    "accountNumber": "XXXX1111",
    "accountType": "MasterCard",
    "messages": [{"code": "1", "description": "This transaction has been approved."}],
    "networkTransId": "NTI123",
    "prePaidCard": {"requestedAmount": "12.34", "approvedAmount": "12.34", "balanceOnCard": "0"},
    "splitTenderPayments": {
        "splitTenderPayment": [{"approvedAmount": "5.00"}, {"approvedAmount": "7.34"}]
    },
}
_REFUSED: Final[dict[str, Any]] = {
    "responseCode": "3",
    "transId": "0",
    "errors": [{"errorCode": "11", "errorText": "A duplicate transaction has been submitted."}],
}
_DECLINED: Final = {
    **_REFUSED,
    "responseCode": "2",
    "transId": "60123456789",
    "errors": [{"errorCode": "2", "errorText": "This transaction has been declined."}],
}
_HELD: Final = {**_SENT, "responseCode": "4", "messages": [{"code": "252", "description": "Held."}]}
_TOLD: Final[dict[str, Any]] = {
    "transId": "60123456789",
    "refTransId": "60123456780",
    "submitTimeUTC": "2026-11-20T12:00:00Z",
    "transactionType": "authCaptureTransaction",
    "transactionStatus": "capturedPendingSettlement",
    "responseCode": 1,
    "responseReasonCode": 1,
    "responseReasonDescription": "Approval",
    "authCode": "HW617E",
    "AVSResponse": "Y",
    "order": {"invoiceNumber": "ABCDEFGHIJKLMNOPQRST"},
    "requestedAmount": 12.34,
    "authAmount": 12.34,
    "settleAmount": 12.34,
    "batch": {
        "batchId": "77",
        "settlementTimeUTC": "2026-11-20T23:00:00Z",
        "settlementState": "settledSuccessfully",
    },
    "payment": {"creditCard": {"cardNumber": "XXXX1111", "cardType": "Visa"}},
    "returnedItems": [{"id": "2148878904", "code": "R02", "description": "Account closed"}],
}
_BANK: Final = {
    "bankAccount": {
        "accountType": "checking",
        "routingNumber": "XXXX0025",
        "accountNumber": "XXXX1111",
        "nameOnAccount": "Ada",
    }
}
_ROW: Final = {
    "transId": "60123456789",
    "submitTimeUTC": "2026-11-20T12:00:00Z",
    "transactionStatus": "declined",
    "invoiceNumber": "ABCDEFGHIJKLMNOPQRST",
    "settleAmount": 12.34,
}
_REFERENCE: Final = "ABCDEFGHIJKLMNOPQRST"
ANSWERS: Final[tuple[dict[str, Any], ...]] = (
    {"transactionResponse": _SENT, "refId": _REFERENCE, "messages": _OK},
    {"transactionResponse": {k: v for k, v in _SENT.items() if "a" not in k[:2]}, "messages": _OK},
    {"transactionResponse": _REFUSED, "refId": _REFERENCE, "messages": _ERROR},
    {"transactionResponse": _HELD, "refId": _REFERENCE, "messages": _OK},
    {"transactionResponse": _DECLINED, "refId": _REFERENCE, "messages": _OK},
    {
        "messages": {
            "resultCode": "Error",
            "message": [{"code": "E00003", "text": "The value 'x' is invalid"}],
        }
    },
    {"messages": _ERROR},
    {"createTransactionResponse": {"transactionResponse": _SENT, "messages": _OK}},
    {
        "transactionResponse": {
            **_SENT,
            "messages": {"message": {"code": 1, "description": "Approved."}},
        },
        "messages": _OK,
    },
)
DETAILS: Final[tuple[dict[str, Any], ...]] = (
    {"transaction": {k: v for k, v in _TOLD.items() if k != "returnedItems"}, "messages": _OK},
    {"transaction": {**_TOLD, "transactionStatus": "settledSuccessfully"}, "messages": _OK},
    {
        "transaction": {**_TOLD, "payment": _BANK, "transactionType": "refundTransaction"},
        "messages": _OK,
    },
    {"messages": {"resultCode": "Error", "message": [{"code": "E00040", "text": "None."}]}},
)
LISTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "transactions": [_ROW, {**_ROW, "transId": "60123456780"}],
        "totalNumInResultSet": 2,
        "messages": _OK,
    },
    {"transactions": {"transaction": _ROW}, "totalNumInResultSet": "1", "messages": _OK},
    {"messages": {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records."}]}},
)
BATCHES: Final[tuple[dict[str, Any], ...]] = (
    {"batchList": [{"batchId": "77"}, {"batchId": "78"}], "messages": _OK},
    {"batchList": {"batch": {"batchId": 77}}, "messages": _OK},
)
_MARK: Final = "@raw@"
_RAW: Final = (
    "9" * 30,
    "9" * 4_400,
    "1e400",
    "-1e400",
    "9e999999",
    "1e999999999999999999999",
    "1E-999999999999999",
    "0." + "1" * 400,
    "NaN",
    "-0",
    "[" * 1_500 + "]" * 1_500,
    '"\\ud800"',
    '"\\u0000\\u001f\\u2028"',
    "true",
    "{}",
    '{"a":1,"a":2}',
)
_LEAVES: Final[tuple[Any, ...]] = (
    None, True, 0, 1, -1, 4, 2**63, 1.5, "", "0", "1", "2", "3", "4", "5", "295", "311", "E00001", " 1 ", "\uff11",
    "1e3", "1_0", "-5", "Infinity", "sNaN", "12.345", "9" * 40, "1" * 5_000, "x" * 400, "x" * 70_000,
    [], {}, [[]], [{}], {"message": None}, "settledSuccessfully", "generalError", "refundTransaction", "voided",
    "returnedItem", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "2026-11-20", "20261120T12",
    "XXXX1111", "X" * 5_000 + "1111", "&#x110000;&amp;&#0;", "value 'abc", 'The value "abc" is invalid',
)  # fmt: skip


def wild_reply(rng: Random, samples: tuple[dict[str, Any], ...], /) -> bytes:
    """One of the samples with some of it spoilt, as bytes."""
    tree = json.loads(json.dumps(rng.choice(samples)))
    raws: list[str] = []
    for _ in range(rng.choice((0, 1, 1, 2, 2, 4))):
        _spoil(tree, rng, raws=raws)
    text = json.dumps(tree)
    for number, raw in enumerate(raws):
        text = text.replace(f'"{_MARK}{number}"', raw)
    return rng.choice((b"", b"\xef\xbb\xbf")) + text.encode("utf-8", "surrogatepass")


def _spoil(tree: dict[str, Any], rng: Random, *, raws: list[str]) -> None:
    places = list(_places(tree))
    if not places:
        return
    holder, key = rng.choice(places)
    kind = rng.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        raws.append(rng.choice(_RAW))
        holder[key] = f"{_MARK}{len(raws) - 1}"
    elif kind == 2:
        is_small = len(json.dumps(holder[key])) < 1_000
        many = 3_000 if is_small and not rng.randrange(100) else rng.choice((2, 3, 30))
        holder[key] = [_numbered(holder[key], number) for number in range(many)]
    elif kind == 3:
        holder[key] = {"message": holder[key]}
    elif kind < 6:
        holder[key] = _quoting(rng)
    else:
        holder[key] = json.loads(
            json.dumps(rng.choice(_LEAVES))
        )  # its own, since it is changed in turn


def _numbered(value: object, number: int) -> object:
    """A row of a list under ids of its own."""
    return (
        value | {"transId": str(number + 1), "batchId": str(number + 1)}
        if isinstance(value, dict)
        else value
    )


def _quoting(rng: Random) -> str:
    """A text of the gateway's that quotes what it must not."""
    marker = rng.choice(markers.SPELLED + markers.SECRETS)
    padding = rng.choice((0, 0, 0, 270, 280, 284, 288, 292, 296, 300)) * "x"
    return f"{padding} " + rng.choice(
        ("{}", "invalid: {}", "The value '{}' is invalid", "({})", " {} ", "no {}!")
    ).format(marker)


def _places(tree: Any) -> Any:
    if isinstance(tree, dict):
        for key, value in list(tree.items()):
            yield tree, key
            yield from _places(value)
    elif isinstance(tree, list):
        for at, value in enumerate(list(tree)):
            yield tree, at
            yield from _places(value)
