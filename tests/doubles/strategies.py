"""Commands at random, as hypothesis strategies: whatever the domain accepts. No test and no double lives here."""

from dataclasses import fields
from datetime import UTC
from typing import Any, Final

from hypothesis import strategies as st

from handlers.domain.commands import (
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Line,
    Mode,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.means import (
    WALLET_DESCRIPTORS,
    CardholderAuthentication,
    Credential,
    Means,
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import EXPONENTS, MAX_MINOR, Money
from handlers.domain.secret import Secret

IDS: Final = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
GATEWAY_IDS: Final = st.from_regex(r"[0-9]{1,20}", fullmatch=True)
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=40)
WORDS: Final = TEXTS.filter(str.strip)
TIMES: Final = st.datetimes(timezones=st.just(UTC))
SECRETS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=99)
ADDRESSES: Final = st.builds(Address, **{spec.name: TEXTS for spec in fields(Address)})
CURRENCIES: Final = st.sampled_from(sorted(EXPONENTS))
AMOUNTS: Final = st.builds(Money, st.integers(1, MAX_MINOR), CURRENCIES)
LINES: Final = st.builds(
    Line, TEXTS.filter(bool), TEXTS, st.integers(1, 1_000_000), st.integers(0, MAX_MINOR)
)


def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


MEANS: Final[st.SearchStrategy[Means]] = st.one_of(
    st.builds(OpaqueData, st.sampled_from(sorted(WALLET_DESCRIPTORS)), SECRETS.map(Secret)),
    st.builds(
        StoredProfile,
        GATEWAY_IDS,
        GATEWAY_IDS,
        security_code=st.none() | _matching("[0-9]{3,4}").map(Secret),
    ),
    st.builds(
        NetworkToken,
        _matching("[0-9]{13,16}").map(Secret),
        _matching("20[0-9]{2}-(?:0[1-9]|1[0-2])"),
        SECRETS.map(Secret),
        requestor_id=TEXTS,
    ),
)
STORED_CREDENTIALS: Final = st.builds(
    StoredCredential,
    st.sampled_from(Credential),
    network_transaction_id=_matching("[A-Za-z0-9]{0,30}"),
    original_minor=st.none() | st.integers(0, MAX_MINOR),
    reason=st.none() | st.sampled_from(MerchantReason),
)
AUTHENTICATIONS: Final = st.builds(
    CardholderAuthentication, _matching("[0-9A-Za-z]{1,2}"), SECRETS.map(Secret)
)
_CHARGE: Final[dict[str, Any]] = {
    "payment_id": IDS,
    "order_id": IDS,
    "user_id": IDS,
    "means": MEANS,
    "issued_at": TIMES,
    "not_after": st.none() | TIMES,
    "billing": st.just(Address()) | ADDRESSES,
    "customer_ip": TEXTS,
    "description": TEXTS,
    "stored_credential": st.none() | STORED_CREDENTIALS,
    "cardholder_authentication": st.none() | AUTHENTICATIONS,
}
_REQUEST: Final[dict[str, Any]] = {
    "payment_id": IDS,
    "issued_at": TIMES,
    "user_id": st.just("") | IDS,
    "reason": TEXTS,
}
INITIATIONS: Final = st.builds(
    InitiatePayment,
    **_CHARGE,
    money=AMOUNTS,
    mode=st.sampled_from([Mode.SALE, Mode.AUTHORISE]),
    shipping=st.just(Address()) | ADDRESSES,
    lines=st.lists(LINES, max_size=5).map(tuple),
    tax_minor=st.integers(0, MAX_MINOR),
)
TESTS_OF_MEANS: Final = st.builds(
    InitiatePayment,
    **_CHARGE,
    money=st.builds(Money, st.integers(0, 1), CURRENCIES),
    mode=st.just(Mode.VERIFY),
)
CAPTURES: Final = st.builds(
    CapturePayment,
    **_REQUEST,
    capture_id=IDS,
    amount_minor=st.none() | st.integers(1, MAX_MINOR),
)
VOIDS: Final = st.builds(VoidPayment, **_REQUEST, void_id=IDS)
REFUNDS: Final = st.builds(
    RefundPayment,
    **_REQUEST,
    refund_id=IDS,
    money=AMOUNTS,
    continuation=st.integers(1, 9),
    up_to=st.booleans(),
)
VERIFICATIONS: Final = st.builds(
    VerifyPayment,
    **_REQUEST,
    verification_id=IDS,
    ruling=st.none()
    | st.builds(Ruling, st.booleans(), WORDS, WORDS, transaction_id=st.just("") | GATEWAY_IDS),
)
COMMANDS: Final[st.SearchStrategy[Command]] = st.one_of(
    INITIATIONS, TESTS_OF_MEANS, CAPTURES, VOIDS, REFUNDS, VERIFICATIONS
)
