"""What each of the gateway's codes means: literal tables. How they combine stands in `verdicts.py`.

`Kind` of a row:
- APPROVED  the code agrees with an approval
- DECLINED  a definite no: nothing moved; `advice` says what that means for another try
- NOT_YET   a definite no as well: the transaction stands elsewhere than was thought, and must be looked at
- HELD      waits for a person at the gateway
- UNKNOWN   money may have moved: the gateway must be asked
- LOOK      something was done, or is about something else than was asked: only the details decide; read as UNKNOWN

A code means the same whatever was asked, but for the few that stand in `REASONS_OF` and `MESSAGES_OF`.

Advice of a decline: HARD never again with this means, SOFT the customer may try later (failures of the processor too:
they are definite, and never sent again by us), FIX our request or the account's set-up is wrong, before processing.
A code that is in no table is UNKNOWN. Source: the vendor's response code list and its knowledge base.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from handlers.domain.intents import About
from handlers.domain.verdicts import Advice


class Kind(StrEnum):
    """What a code says about what was asked."""

    APPROVED = "approved"
    DECLINED = "declined"
    NOT_YET = "not_yet"
    HELD = "held"
    UNKNOWN = "unknown"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Row:
    """One code's meaning."""

    kind: Kind
    advice: Advice


OK: Final = Row(Kind.APPROVED, Advice.UNDECIDED)  # an approval needs no advice
HARD: Final = Row(Kind.DECLINED, Advice.HARD)
SOFT: Final = Row(Kind.DECLINED, Advice.SOFT)
FIX: Final = Row(Kind.DECLINED, Advice.FIX)
NOT_YET: Final = Row(Kind.NOT_YET, Advice.UNDECIDED)
HELD: Final = Row(Kind.HELD, Advice.REVIEW)
UNKNOWN: Final = Row(Kind.UNKNOWN, Advice.UNDECIDED)
LOOK: Final = Row(Kind.LOOK, Advice.UNDECIDED)


def _table(*groups: tuple[Row, str]) -> Mapping[str, Row]:
    rows: dict[str, Row] = {}
    for row, codes in groups:
        for code in codes.split():
            assert code not in rows, f"code {code} stands in the table twice"
            rows[code] = row
    return MappingProxyType(rows)


# transactionResponse.responseCode: approved, declined, error (its reason alone says which), held; 5 asks for a PayPal
# consent, which we never started.
RESPONSES: Final[Mapping[str, Row]] = MappingProxyType(
    {"1": OK, "2": SOFT, "3": UNKNOWN, "4": HELD, "5": LOOK}
)

REASONS: Final[Mapping[str, Row]] = _table(
    (OK, "1"),
    # Already voided, already captured, reversed: true of something, not proof of what was asked.
    (LOOK, "307 310 311"),
    # Partially approved: the amounts decide (`verdicts.py`); without them the details do.
    (LOOK, "295"),
    # About another transaction than a new charge, or a consent that we never started.
    (LOOK, "50 54 327 2000"),
    # Duplicates: the first of the two may have been charged. The processor has its own (318).
    (LOOK, "11"),
    (UNKNOWN, "318"),
    # Authorised, settlement failed; timed out or errored at the authoriser and the automatic void failed; maintenance.
    (UNKNOWN, "36 120 121 122 181 901"),
    # Declined by the issuer or for lack of an answer from it.
    (SOFT, "2 191"),
    (HARD, "3 4"),
    # The card itself: number, expiry, type, account.
    (HARD, "6 8 9 10 17 28 37 128 315 316 317"),
    # Filters: address, card code, fraud. 127, 145 and 165: refused, but the hold stays with the issuer for a while.
    (HARD, "27 41 44 45 65 127 141 145 165 250 251 254"),
    # The processor did not answer or could not read it. Old texts ask for five minutes; we never send again.
    (SOFT, "19 20 21 22 23 25 26 57 58 59 60 61 62 63 180 192 261"),
    # Authorised but nobody could be told: it will not settle.
    (SOFT, "52 152"),
    # First Data Omaha's declines.
    (
        HARD,
        "200 201 202 203 204 205 206 207 208 210 211 212 213 215 216 217 218 219 221 222 223",
    ),
    (SOFT, "209 214 220 224"),
    # Our request is wrong: amounts, formats, lines, references, 3-D Secure values, wallet data, the e-check's kind.
    (
        FIX,
        "5 7 15 16 33 47 48 49 51 55 78 116 117 118 119 153 156 244 246 247 270 271 289 319 2007",
    ),
    # The account's set-up is wrong: credentials, permissions, currency, processor, market, wallets, test mode.
    (
        FIX,
        "13 18 24 29 30 31 34 35 38 39 43 56 66 87 90 114 115 123 130 131 132 154 155 170 171 172 173",
    ),
    (FIX, "174 175"),
    # Held for review: e-checks, the risk system, the fraud suite before and after authorisation.
    (HELD, "104 105 106 107 108 109 110 193 252 253"),
)

MESSAGES: Final[Mapping[str, Row]] = _table(
    # Fine as a message; without a transactionResponse it proves nothing about a charge.
    (LOOK, "I00001 I00003 I00004"),
    # The server failed while or after working on it.
    (UNKNOWN, "E00001 E00049 E00053 E00104 E00133"),
    # Known to exist, and nobody wrote down what they mean.
    (UNKNOWN, "E00108 E00145 E00155"),
    # Unsuccessful, the errors say why; they are read first, so here there were none.
    (UNKNOWN, "E00027"),
    # About profiles and subscriptions. E00099 to E00103 come after a charge that succeeded.
    (LOOK, "E00012 E00039 E00099 E00100 E00101 E00102 E00103"),
    # An invalid token may be a used one, and its user this very request, delivered twice on its way: seen to happen.
    (LOOK, "E00114"),
    # The request could not be read: content type, order of elements, method, namespace, node.
    (FIX, "E00002 E00003 E00004 E00045 E00067 E00068 E00075"),
    # Credentials missing, wrong or of the other environment; account inactive, in test mode, without permission.
    (
        FIX,
        "E00005 E00006 E00007 E00008 E00009 E00010 E00011 E00044 E00059 E00064 E00123 E00124 E00139",
    ),
    # A value is missing, too long, of the wrong type or excluded by another.
    (FIX, "E00013 E00014 E00015 E00016 E00029 E00041 E00051 E00071 E00072 E00073 E00074 E00076"),
    (FIX, "E00077 E00088 E00089 E00090 E00091 E00092 E00093 E00105 E00106 E00141 E00142"),
    # Profile limits, and a stored profile that is not (any more) there or has no default.
    (FIX, "E00042"),
    (HARD, "E00040 E00121"),
    # The one-time token: unreadable, expired, of another account; the token service failed; declined.
    (HARD, "E00113 E00115 E00116"),
    (SOFT, "E00117 E00118"),
)


# Where a request about a transaction that is there reads a code in its own way.
REASONS_OF: Final[Mapping[About, Mapping[str, Row]]] = MappingProxyType(
    {
        About.CHARGE: _table(),
        # 311, captured already, stays LOOK: it says not how much.
        About.CAPTURE: _table(),
        # Void already: as a whole, for there is no other void. 327: of a kind or in a state that has none.
        About.VOID: _table((OK, "310"), (NOT_YET, "327")),
        # Not settled yet. 54 has other meanings too (too old, another means): the look tells them apart.
        About.REFUND: _table((NOT_YET, "50 54")),
    }
)
_MISSING: Final = _table((FIX, "E00040"))  # here the transaction is not there, not the profile
MESSAGES_OF: Final[Mapping[About, Mapping[str, Row]]] = MappingProxyType(
    {
        About.CHARGE: _table(),
        About.CAPTURE: _MISSING,
        About.VOID: _MISSING,
        About.REFUND: _MISSING,
    }
)


def reason_row(code: str, about: About) -> Row:
    """The row of a response reason code for what was asked; UNKNOWN where the tables have none."""
    return REASONS_OF[about].get(code) or REASONS.get(code, UNKNOWN)


def message_row(code: str, about: About) -> Row:
    """The row of a message code for what was asked; UNKNOWN where the tables have none."""
    return MESSAGES_OF[about].get(code) or MESSAGES.get(code, UNKNOWN)


def response_row(code: str) -> Row:
    """The row of a response code; UNKNOWN where the table has none."""
    return RESPONSES.get(code, UNKNOWN)
