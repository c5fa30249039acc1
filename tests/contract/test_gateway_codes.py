"""The retry advice against the vendor's list of codes: nothing that is known to exist may be without a row."""

import pytest

from handlers.domain.intents import About
from handlers.domain.verdicts import Advice, Approved, Declined, Held, NotYet, Unknown
from handlers.gateway.authorizenet.reason_codes import (
    MESSAGES,
    MESSAGES_OF,
    REASONS,
    REASONS_OF,
    Kind,
    Row,
    message_row,
    reason_row,
)
from tests.contract.gateway_fixtures import INTENTS, UNSUCCESSFUL, judged, refusal

# Copied from the list of the vendor's codes that this adapter is built on, in its order; 57-63 is a range.
REASON_CODES = """
    1 310 311 307 2 3 4 5 6 37 7 8 315 316 317 9 10 11 318 13 15 16 319 17 28 18 56 90 19 20 21 22 23 25 26
    24 29 30 31 34 35 38 43 27 33 36 39 41 141 44 45 47 48 49 50 51 55 52 152 54 57-63 65 66 78 87 104-110
    114 115 130 131 132 116-119 120 121 122 181 123 127 145 165 128 153 154 155 156 170-175 180 191 192 193
    200-224 250 251 252 253 254 261 270 271 289 2007 295 327 2000 901 244 246 247
"""
MESSAGE_CODES = """
    I00001 I00003 I00004 E00001 E00002 E00003 E00004 E00045 E00067 E00068 E00075 E00005 E00006 E00007 E00008
    E00009 E00010 E00011 E00059 E00064 E00012 E00013 E00014 E00015 E00016 E00041 E00071 E00072 E00073 E00074
    E00076 E00077 E00027 E00029 E00039 E00040 E00042 E00044 E00049 E00051 E00053 E00088 E00089 E00090 E00091
    E00092 E00093 E00099 E00100 E00101 E00102 E00103 E00104 E00105 E00106 E00108 E00113 E00114 E00115 E00116
    E00117 E00118 E00121 E00123 E00124 E00139 E00133 E00141 E00142 E00145 E00155
"""
# What each kind of row may advise. A code that decides nothing has no advice but to keep asking.
ADVICE = {
    Kind.APPROVED: {Advice.UNDECIDED},
    Kind.DECLINED: {Advice.HARD, Advice.SOFT, Advice.FIX},
    Kind.NOT_YET: {Advice.UNDECIDED},
    Kind.HELD: {Advice.REVIEW},
    Kind.UNKNOWN: {Advice.UNDECIDED},
    Kind.LOOK: {Advice.UNDECIDED},
}
VERDICTS = {
    Kind.DECLINED: Declined,
    Kind.NOT_YET: NotYet,
    Kind.HELD: Unknown,  # a refusal names no transaction, and what is held must be findable
    Kind.UNKNOWN: Unknown,
    Kind.LOOK: Unknown,
    Kind.APPROVED: Unknown,  # beside a refusal it contradicts
}


def codes(listed: str) -> list[str]:
    """The codes of a list, ranges written out."""
    found: list[str] = []
    for code in listed.split():
        first, _, last = code.partition("-")
        found += [str(number) for number in range(int(first), int(last) + 1)] if last else [code]
    return found


def test_every_listed_code_has_a_row_of_its_own() -> None:
    """The tables hold the vendor's list, all of it and nothing else."""
    assert set(codes(REASON_CODES)) == set(REASONS)
    assert set(codes(MESSAGE_CODES)) == set(MESSAGES)


@pytest.mark.parametrize("about", list(About))
def test_every_row_advises_what_its_kind_allows(about: About) -> None:
    """For each thing that may be asked, each code has an advice, and one that fits."""
    rows = [reason_row(code, about) for code in codes(REASON_CODES)]
    rows += [message_row(code, about) for code in codes(MESSAGE_CODES)]
    assert [] == [row for row in rows if row.advice not in ADVICE[row.kind]]


def test_only_these_codes_depend_on_what_was_asked() -> None:
    """What a capture, a void and a refund read in their own way, written out a second time."""
    missing = Row(Kind.DECLINED, Advice.FIX)
    not_yet = Row(Kind.NOT_YET, Advice.UNDECIDED)
    done = Row(Kind.APPROVED, Advice.UNDECIDED)
    assert {
        About.CHARGE: {},
        About.CAPTURE: {},
        About.VOID: {"310": done, "327": not_yet},
        About.REFUND: {"50": not_yet, "54": not_yet},
    } == {about: dict(rows) for about, rows in REASONS_OF.items()}
    requests = {key: {"E00040": missing} for key in (About.CAPTURE, About.VOID, About.REFUND)}
    assert {About.CHARGE: {}, **requests} == {
        about: dict(rows) for about, rows in MESSAGES_OF.items()
    }


@pytest.mark.parametrize("code", codes(REASON_CODES))
@pytest.mark.parametrize("about", list(About))
def test_a_refusal_reads_as_its_row_says(about: About, code: str) -> None:
    """Whatever was asked, a refusal with a reason is what the table says, and never an approval or a hold."""
    row = reason_row(code, about)
    verdict = judged(refusal("3", code), UNSUCCESSFUL, intent=INTENTS[about])
    assert isinstance(verdict, VERDICTS[row.kind])
    assert not isinstance(verdict, Approved | Held)
    if isinstance(verdict, Declined | NotYet):
        assert (code, row.advice) == (verdict.reason.code, verdict.reason.advice)


@pytest.mark.parametrize("code", codes(MESSAGE_CODES))
@pytest.mark.parametrize("about", list(About))
def test_a_refused_request_reads_as_its_row_says(about: About, code: str) -> None:
    """Without a transactionResponse the message code decides, whatever was asked."""
    messages = {"resultCode": "Error", "message": [{"code": code, "text": "why"}]}
    row = message_row(code, about)
    verdict = judged(None, messages, intent=INTENTS[about])
    assert isinstance(verdict, VERDICTS[row.kind])
    if isinstance(verdict, Declined):
        assert row.advice is verdict.reason.advice
