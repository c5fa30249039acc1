"""The options of `publish`, one name each. What their values must be is `initiations.py` and `publish_records.py`."""

from enum import StrEnum
from typing import Annotated

import typer


class Asked(StrEnum):
    """The modes of an initiation; the test of a means is `publish verification`."""

    SALE = "sale"
    AUTHORISE = "authorise"


PaymentId = Annotated[
    str | None, typer.Option(help="The payment's id; a fresh one where it is not given.")
]
ThePayment = Annotated[
    str | None, typer.Option("--payment-id", help="The payment that it is about.")
]
CaptureId = Annotated[
    str | None, typer.Option(help="The capture's id; a fresh one where it is not given.")
]
VoidId = Annotated[
    str | None, typer.Option(help="The void's id; a fresh one where it is not given.")
]
RefundId = Annotated[
    str | None, typer.Option(help="The refund's id; a fresh one where it is not given.")
]
VerificationId = Annotated[
    str | None, typer.Option(help="The question's id; a fresh one where it is not given.")
]
AskedBy = Annotated[
    str | None, typer.Option("--user-id", help="Who asks; it must be the payment's customer.")
]
Reason = Annotated[str, typer.Option(help="Why, for people.")]
OrderId = Annotated[str | None, typer.Option(help="The order that is paid.")]
UserId = Annotated[str | None, typer.Option(help="The customer.")]
Amount = Annotated[str | None, typer.Option(metavar="DECIMAL", help="Such as 12.34.")]
PartAmount = Annotated[
    str | None,
    typer.Option("--amount", metavar="DECIMAL", help="Such as 12.34; all where it is not given."),
]
TestAmount = Annotated[
    str | None,
    typer.Option(
        "--amount",
        metavar="DECIMAL",
        help="Nothing, or the currency's smallest unit, for the test.",
    ),
]
Currency = Annotated[str, typer.Option(help="ISO 4217 code.")]
AskedMode = Annotated[
    Asked,
    typer.Option(
        help="Charge at once, or only reserve; whether a means is good asks `publish verification`."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE",
        help="A one-time token. It stays in the shell's history; with --token-file it does not.",
    ),
]
TokenFile = Annotated[
    str | None, typer.Option(metavar="PATH", help="File with the token; - for standard input.")
]
Wallet = Annotated[
    str, typer.Option(help="Who made the token: accept_js, apple_pay or google_pay.")
]
Profile = Annotated[
    str | None,
    typer.Option(metavar="CUSTOMER:PAYMENT", help="A stored profile instead of a token."),
]
Zip = Annotated[str, typer.Option("--zip", help="Postal code of the billing address.")]
Billing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=TEXT", help="More of the billing address (repeat it): city=Berlin."
    ),
]
Description = Annotated[str, typer.Option(help="Shown on the receipt.")]
CustomerIp = Annotated[str, typer.Option(help="The customer's address on the net.")]
NotAfter = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Refuse it later than this: 2030-01-31T12:00:00Z, or +SECONDS."
    ),
]
OrderLine = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="SKU:QUANTITY:PRICE", help="An order line (repeat it)."),
]
JsonLines = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Many at once: one JSON object a line, fields as in avro/avsc/<topic>.avsc;"
        " - for standard input.",
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="With --json-lines: send the good lines all the same; exit code 6 if some were bad.",
    ),
]
WaitFor = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=86_400,
        metavar="SECONDS",
        help="Follow payment_status and the dead letters until each command is decided, and print"
        " that; exit code 6 if one ended as a no (declined, refused, failed, a dead letter), 1 if one"
        " is not in time.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON object a line for each bad line, each command, and each status."
    ),
]
