"""`publish`: a payment initiation from flags, or many from JSON lines; and a command of its own for each other verb.

`publish` alone is `publish initiation`: so it was called before there were other verbs. What a command must be is
`initiations.py` and `publish_records.py`; the other verbs are in `publish_requests.py`.
"""

from typing import Any, Final

import typer

from worker.commands import publish_options as options
from worker.commands import publish_requests as requests
from worker.commands.exits import NOT_DONE_CODE, epilog
from worker.commands.publish_reading import means_of
from worker.commands.publish_sending import How, must_have, publish_of

EPILOG: Final = epilog(
    "run_worker.py publish --order-id o-1 --user-id u-1 --amount 12.34 --token-file token --wait 30",
    "show-token | run_worker.py publish --order-id o-2 --user-id u-1 --amount 500 --currency JPY \\\n"
    "      --token-file -",
    "run_worker.py publish --order-id o-3 --user-id u-1 --amount 12.34 --profile 901:77 --mode authorise",
    "run_worker.py publish --json-lines payments.jsonl",
    '  (a line: {"payment_id": "p-9", "order_id": "o-9", "user_id": "u-1", "amount_minor": 1234,\n'
    '   "currency": "USD", "mode": "SALE", "means": {"customer_profile_id": "901",\n'
    '   "payment_profile_id": "77"}})',
    "run_worker.py publish refund --payment-id p-9 --amount 5.00 --reason 'too small' --wait 60",
    codes=NOT_DONE_CODE,
)

app = typer.Typer(rich_markup_mode=None)


def publish(
    context: typer.Context,
    *,
    payment_id: options.PaymentId = None,
    order_id: options.OrderId = None,
    user_id: options.UserId = None,
    amount: options.Amount = None,
    currency: options.Currency = "USD",
    mode: options.AskedMode = options.Asked.SALE,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    wallet: options.Wallet = "accept_js",
    profile: options.Profile = None,
    zip_code: options.Zip = "",
    billing: options.Billing = None,
    description: options.Description = "",
    customer_ip: options.CustomerIp = "",
    not_after: options.NotAfter = None,
    line: options.OrderLine = None,
    json_lines: options.JsonLines = None,
    skip_bad: options.SkipBad = False,
    wait: options.WaitFor = None,
    json: options.AsJson = False,
) -> None:
    """Ask for a payment: publish its command, print its payment id.

    Everything is checked before anything is sent. To publish the same id with the same content again is harmless.
    """
    if context.invoked_subcommand is not None:
        return
    flags = {
        "payment_id": payment_id,
        "order_id": order_id,
        "user_id": user_id,
        "amount": amount,
        "not_after": not_after,
        "customer_ip": customer_ip,
        "description": description,
        "billing": [*(billing or ()), *([f"zip={zip_code}"] if zip_code else ())],
        "lines": line or [],
        "token": token,
        "token_file": token_file,
        "profile": profile,
    }
    publish_of(
        "payment_initiation",
        flags=flags,
        record=lambda: _record(flags, currency=currency, mode=mode, wallet=wallet),
        how=How(json_lines=json_lines, skip_bad=skip_bad, wait_s=wait, json=json),
    )


def _record(
    flags: dict[str, Any], *, currency: str, mode: options.Asked, wallet: str
) -> dict[str, object]:
    from worker.commands import initiations

    must_have(flags, ("order_id", "user_id", "amount"))
    means = means_of(
        token=flags["token"],
        token_file=flags["token_file"],
        profile=flags["profile"],
        wallet=wallet,
    )
    return {
        "payment_id": flags["payment_id"] or initiations.fresh_id(),
        "order_id": flags["order_id"],
        "user_id": flags["user_id"],
        "amount_minor": initiations.minor_of(flags["amount"], currency),
        "currency": currency,
        "mode": mode.name,
        "means": means,
        "not_after": initiations.deadline(flags["not_after"]),
        "billing": initiations.billing_record(flags["billing"]),
        "customer_ip": initiations.ip_address(flags["customer_ip"]),
        "description": flags["description"],
        "lines": [initiations.line_record(it, currency) for it in flags["lines"]],
    }


app.callback(invoke_without_command=True, epilog=EPILOG)(publish)
app.command("initiation", epilog=EPILOG)(publish)
app.command("capture", epilog=requests.CAPTURE)(requests.capture)
app.command("void", epilog=requests.VOID)(requests.void)
app.command("refund", epilog=requests.REFUND)(requests.refund)
app.command("verification", epilog=requests.VERIFICATION)(requests.verification)
