"""Builds the gateway's JSON requests from intents, members in the contract's order by construction.

What does not fit the contract follows one rule: texts for people (names, addresses, descriptions) are cut at the limit;
keys (customer id, item id, amounts) are left out, never cut, since a cut key is another key. Line items go all or none.
A charge off a stored profile carries no billing address and no customer: the profile has its own, and the gateway
refuses both at once. Nothing of a request depends on the clock, so the same intent always gives the same bytes.

Credentials and one-time tokens stay `Secret` until `encode`, the only place that reveals them.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

from handlers.domain.commands import Address, Line, Mode, OpaqueData, StoredProfile
from handlers.domain.intents import Charge
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Evidence
from handlers.gateway.authorizenet.contract_table import ELEMENTS
from handlers.gateway.authorizenet.settings import Account

Members = dict[str, object]

DUPLICATE_WINDOW_S: Final = (
    28_800  # the longest; always the same, for a changed window disables the comparison
)
PAGE_ROWS: Final = 1000  # the longest page that a list gives
_MAX_LINES: Final = 30
_TYPES: Final = {
    Mode.SALE: "authCaptureTransaction",
    Mode.AUTHORISE: "authOnlyTransaction",
}
_SETTINGS: Final = {
    "setting": [
        {"settingName": "allowPartialAuth", "settingValue": "false"},
        {"settingName": "duplicateWindow", "settingValue": str(DUPLICATE_WINDOW_S)},
    ]
}
_ADDRESS: Final = {
    "firstName": "first_name",
    "lastName": "last_name",
    "company": "company",
    "address": "address",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "country": "country",
    "phoneNumber": "phone",
}


def _reveal(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError("a request holds JSON values and secrets only")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_reveal)


def encode(request: Members) -> bytes:
    """The bytes that leave. The only place where secrets are revealed."""
    return _ENCODER.encode(request)


def _in_order(kind: str, members: Mapping[str, object]) -> Members:
    order = ELEMENTS[kind]
    assert members.keys() <= order.keys(), f"{kind} has no such elements"
    return {name: members[name] for name in order if members.get(name)}


def _cut(kind: str, name: str, *, text: str) -> str:
    limit = ELEMENTS[kind][name]
    return text if limit is None else text[:limit]


def _fits(kind: str, name: str, *, key: str) -> bool:
    limit = ELEMENTS[kind][name]
    return limit is None or len(key) <= limit


def _request(kind: str, account: Account, *, members: Members) -> Members:
    authentication = _in_order(
        "merchantAuthenticationType",
        {"name": account.login, "transactionKey": account.transaction_key},
    )
    return {kind: _in_order(kind, {"merchantAuthentication": authentication, **members})}


def charge_request(charge: Charge, account: Account) -> Members:
    """The createTransactionRequest of `charge`."""
    return _request("createTransactionRequest", account, members=_charge_members(charge))


def frozen_charge(charge: Charge) -> Evidence:
    """The same without credentials and without the means' secret: what the journal may keep."""
    members = _charge_members(charge)
    transaction = members["transactionRequest"]
    assert isinstance(transaction, dict), "a charge's members hold its transactionRequest"
    if isinstance(charge.means, OpaqueData):
        transaction["payment"] = {"opaqueData": {"dataDescriptor": charge.means.descriptor}}
    return _in_order("createTransactionRequest", members)


def _charge_members(charge: Charge) -> Members:
    assert _fits("createTransactionRequest", "refId", key=charge.reference), (
        "references fit the refId"
    )
    assert _fits("orderType", "invoiceNumber", key=charge.invoice_number), "invoice numbers fit"
    members: Members = {
        "transactionType": _TYPES[charge.mode],
        "amount": charge.money.decimal_text(),
        "currencyCode": charge.money.currency,
        "order": _in_order(
            "orderType",
            {
                "invoiceNumber": charge.invoice_number,
                "description": _cut("orderType", "description", text=charge.description),
            },
        ),
        "lineItems": _lines(charge.lines, charge.money.currency),
        "customerIP": _ip(charge.customer_ip),
        "transactionSettings": _SETTINGS,
    }
    match charge.means:
        case StoredProfile(customer_profile_id=customer, payment_profile_id=payment):
            members["profile"] = _in_order(
                "customerProfilePaymentType",
                {"customerProfileId": customer, "paymentProfile": {"paymentProfileId": payment}},
            )
        case OpaqueData(descriptor=descriptor, value=value):
            opaque = {"dataDescriptor": descriptor, "dataValue": value}
            members["payment"] = {"opaqueData": _in_order("opaqueDataType", opaque)}
            members["customer"] = _customer(charge.user_id, charge.billing.email)
            members["billTo"] = _bill_to(charge.billing)
    return {
        "refId": charge.reference,
        "transactionRequest": _in_order("transactionRequestType", members),
    }


def _customer(user_id: str, email: str) -> Members:
    members = {
        name: key
        for name, key in (("id", user_id), ("email", email))
        if _fits("customerDataType", name, key=key)
    }
    return _in_order("customerDataType", members)


def _bill_to(billing: Address) -> Members:
    kind = "customerAddressType"
    members = {
        name: _cut(kind, name, text=getattr(billing, ours)).strip()
        for name, ours in _ADDRESS.items()
    }
    return _in_order(kind, members)


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _lines(lines: tuple[Line, ...], currency: str) -> Members:
    kind = "lineItemType"
    if len(lines) > _MAX_LINES or not all(_fits(kind, "itemId", key=line.sku) for line in lines):
        return {}
    items = [
        _in_order(
            kind,
            {
                "itemId": line.sku,
                "name": _cut(kind, "name", text=line.name or line.sku),
                "quantity": str(line.quantity),
                "unitPrice": Money(line.unit_minor, currency).decimal_text(),
            },
        )
        for line in lines
    ]
    return {"lineItem": items} if items else {}


def details_request(transaction_id: str, account: Account) -> Members:
    """The getTransactionDetailsRequest of one transaction."""
    return _request("getTransactionDetailsRequest", account, members={"transId": transaction_id})


def unsettled_request(page: int, account: Account) -> Members:
    """One page (from 1) of the unsettled list, newest first."""
    sorting = {"orderBy": "submitTimeUTC", "orderDescending": "true"}
    paging = {"limit": str(PAGE_ROWS), "offset": str(page)}
    return _request(
        "getUnsettledTransactionListRequest",
        account,
        members={
            "sorting": _in_order("TransactionListSorting", sorting),
            "paging": _in_order("Paging", paging),
        },
    )


def probe_request(account: Account) -> Members:
    """The authenticateTestRequest, which asks whether the credentials are good."""
    return _request("authenticateTestRequest", account, members={})
