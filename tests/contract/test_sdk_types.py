"""Our contract table against the vendor's SDK: its generated types are the contract, whichever lxml is installed.

The SDK pins `lxml==4.*`, which has no wheel for Python 3.13 and carries open security findings; `pyproject.toml`
overrides the pin. What we and the simulator use of the SDK are its types, which do not depend on lxml's version: these
tests are the proof, and the reason why the override may stand.
"""

import json
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

import pytest
from lxml import etree
from pyxb.binding.basis import _TypeBinding_mixin

from handlers.domain.commands import Address
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    MerchantReason,
    NetworkToken,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.secret import Secret
from handlers.domain.verdicts import BANK, Method
from handlers.gateway.authorizenet import contract
from handlers.gateway.authorizenet.contract_table import ALLOWED, ELEMENTS
from handlers.gateway.authorizenet.elements import Members, encode
from handlers.gateway.authorizenet.questions import (
    batch_request,
    batches_request,
    details_request,
    probe_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.requests import transaction_request
from handlers.gateway.authorizenet.standings import CHARGES, REFUNDS
from tests.contract.gateway_fixtures import ACCOUNT, CAPTURE, CHARGE, QUESTION, REFUND, VOID

NAMESPACE = "AnetApi/xml/v1/schema/AnetApiSchema.xsd"


def test_the_types_import_with_the_current_lxml() -> None:
    """With lxml 6 or newer installed the SDK's types import, and they are the ones we name."""
    assert etree.LXML_VERSION >= (6,)
    elements, allowed = contract.read()
    assert set(contract.TYPES) == set(elements)
    assert set(contract.ENUMERATIONS) == set(allowed)


def test_the_table_is_what_the_sdk_says() -> None:
    """The committed table equals the SDK's types; if it does not, run the contract module with `--write`."""
    elements, allowed = contract.read()
    assert {name: list(members.items()) for name, members in elements.items()} == {
        name: list(members.items()) for name, members in ELEMENTS.items()
    }
    assert allowed == ALLOWED
    assert contract.render(elements, allowed) == contract.TABLE.read_text(encoding="utf-8")


def test_the_order_is_the_one_that_the_sdk_enforces() -> None:
    """In no type can an element follow one that stands behind it in the table."""
    from authorizenet import apicontractsv1 as sdk

    for name in contract.TYPES:
        order = list(ELEMENTS[name])
        declared: Any = getattr(sdk, name)
        if not isinstance(declared, type):
            declared = declared.typeDefinition()
        automaton: Any = declared._Automaton
        places = {
            state: order.index(state.symbol.elementDeclaration().name().localName())
            for state in automaton.states
            if hasattr(state.symbol, "elementDeclaration")
        }
        for state, place in places.items():
            after = _reachable(state, set()) - {state}
            assert all(place <= places[other] for other in after if other in places), name


def _reachable(state: Any, seen: set[Any]) -> set[Any]:
    for step in state.transitionSet:
        if step.destination not in seen:
            seen.add(step.destination)
            _reachable(step.destination, seen)
    return seen


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_xml(name, part) for part in value)
    if isinstance(value, dict):
        inner = "".join(_xml(member, part) for member, part in value.items())
        return f"<{name}>{inner}</{name}>"
    return f"<{name}>{escape(value)}</{name}>"


def _typed(binding: Any) -> None:
    """Assert that every element was given its type, also where the wildcard took it.

    The SDK's generator adds a wildcard to every sequence, which makes some sequences ambiguous; an element that the
    type does not know stays a bare DOM node there.
    """
    assert all(isinstance(part, _TypeBinding_mixin) for part in binding.wildcardElements())
    for content in binding.orderedContent():
        if hasattr(content.value, "orderedContent") and hasattr(content.value, "wildcardElements"):
            _typed(content.value)


FULL = replace(
    CHARGE,
    means=NetworkToken(Secret("4111110000001111"), "2031-12", Secret("AgAAAA="), "400100"),
    shipping=Address(first_name="Ada", city="London", zip="1", country="GB"),
    tax_minor=12,
    stored_credential=StoredCredential(Credential.BY_MERCHANT, "NTI1", 500, MerchantReason.NO_SHOW),
    cardholder_authentication=CardholderAuthentication("05", Secret("Q0FWVg==")),
)
REQUESTS = {
    "charge": transaction_request(CHARGE, ACCOUNT),
    "everything": transaction_request(FULL, ACCOUNT),
    "profile": transaction_request(
        replace(CHARGE, means=StoredProfile("1", "2", Secret("123"))), ACCOUNT
    ),
    "capture": transaction_request(CAPTURE, ACCOUNT),
    "void": transaction_request(VOID, ACCOUNT),
    "refund": transaction_request(REFUND, ACCOUNT),
    "bank": transaction_request(replace(REFUND, method=Method("", BANK, "6789")), ACCOUNT),
    "details": details_request("60123456789", ACCOUNT),
    "unsettled": unsettled_request(1, ACCOUNT),
    "batches": batches_request(QUESTION.since, QUESTION.since, account=ACCOUNT),
    "batch": batch_request("9", 1, account=ACCOUNT),
    "probe": probe_request(ACCOUNT),
}


@pytest.mark.parametrize("request_members", REQUESTS.values(), ids=list(REQUESTS))
def test_every_request_parses_as_its_type(request_members: Members) -> None:
    """Written as XML in the same order, each request is valid to the SDK's types, every element in its place."""
    from authorizenet import apicontractsv1 as sdk

    ((name, members),) = json.loads(encode(request_members)).items()
    document = _xml(name, members).replace(f"<{name}>", f'<{name} xmlns="{NAMESPACE}">', 1)
    _typed(sdk.CreateFromDocument(document))


def test_an_element_that_no_type_knows_is_noticed() -> None:
    """The control of the test above: an invented element fails it."""
    from authorizenet import apicontractsv1 as sdk

    name = "authenticateTestRequest"
    login = {"name": "login", "transactionKey": "key"}
    document = _xml(name, {"merchantAuthentication": login, "invented": "1"})
    with pytest.raises(AssertionError):
        _typed(sdk.CreateFromDocument(document.replace(name, f'{name} xmlns="{NAMESPACE}"', 1)))


def test_the_statuses_that_we_read_exist() -> None:
    """The statuses in the tables of standings are those that the contract knows."""
    assert set(ALLOWED["transactionStatusEnum"]) == set(CHARGES)
    assert set(REFUNDS) <= set(CHARGES)
