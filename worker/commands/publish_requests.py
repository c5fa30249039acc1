"""`publish capture|void|refund|verification`: a request about a payment from flags, or many from JSON lines."""

from collections.abc import Mapping
from typing import Final

from worker.commands import publish_options as options
from worker.commands.exits import NOT_DONE_CODE, epilog
from worker.commands.publish_reading import means_of
from worker.commands.publish_sending import How, must_have, publish_of

CAPTURE: Final = epilog(
    "run_worker.py publish capture --payment-id p-9 --wait 30",
    "run_worker.py publish capture --payment-id p-9 --amount 10.00 --reason 'one item shipped'",
    codes=NOT_DONE_CODE,
)
VOID: Final = epilog(
    "run_worker.py publish void --payment-id p-9 --reason 'sold out' --wait 30",
    codes=NOT_DONE_CODE,
)
REFUND: Final = epilog(
    "run_worker.py publish refund --payment-id p-9 --amount 5.00 --reason 'too small' --wait 60",
    "run_worker.py publish refund --json-lines refunds.jsonl --json",
    '  (a line: {"payment_id": "p-9", "refund_id": "r-1", "amount_minor": 500, "currency": "USD"})',
    codes=NOT_DONE_CODE,
)
VERIFICATION: Final = epilog(
    "run_worker.py publish verification --payment-id p-9 --wait 30      (what became of it?)",
    "run_worker.py publish verification --order-id o-1 --user-id u-1 --profile 901:77      (is this means good?)",
    codes=NOT_DONE_CODE,
)
_OF_A_TEST: Final = ("order_id", "amount", "token", "token_file", "profile")
Flags = Mapping[str, str | None]


def capture(
    *,
    payment_id: options.ThePayment = None,
    capture_id: options.CaptureId = None,
    amount: options.PartAmount = None,
    currency: options.Currency = "USD",
    user_id: options.AskedBy = None,
    reason: options.Reason = "",
    json_lines: options.JsonLines = None,
    skip_bad: options.SkipBad = False,
    wait: options.WaitFor = None,
    json: options.AsJson = False,
) -> None:
    """Ask for the capture of what was authorised, all or a part: publish its command, print its id."""
    flags = {
        "payment_id": payment_id,
        "capture_id": capture_id,
        "amount": amount,
        "user_id": user_id,
        "reason": reason,
    }
    publish_of(
        "payment_capture_request",
        flags=flags,
        record=lambda: capture_record(flags, currency=currency),
        how=How(json_lines=json_lines, skip_bad=skip_bad, wait_s=wait, json=json),
    )


def void(
    *,
    payment_id: options.ThePayment = None,
    void_id: options.VoidId = None,
    user_id: options.AskedBy = None,
    reason: options.Reason = "",
    json_lines: options.JsonLines = None,
    skip_bad: options.SkipBad = False,
    wait: options.WaitFor = None,
    json: options.AsJson = False,
) -> None:
    """Ask to undo an authorisation, or a capture that is not settled yet: publish its command, print its id."""
    flags = {"payment_id": payment_id, "void_id": void_id, "user_id": user_id, "reason": reason}
    publish_of(
        "payment_void_request",
        flags=flags,
        record=lambda: void_record(flags),
        how=How(json_lines=json_lines, skip_bad=skip_bad, wait_s=wait, json=json),
    )


def refund(
    *,
    payment_id: options.ThePayment = None,
    refund_id: options.RefundId = None,
    amount: options.Amount = None,
    currency: options.Currency = "USD",
    user_id: options.AskedBy = None,
    reason: options.Reason = "",
    json_lines: options.JsonLines = None,
    skip_bad: options.SkipBad = False,
    wait: options.WaitFor = None,
    json: options.AsJson = False,
) -> None:
    """Ask to give money back: publish its command, print its id.

    Before the charge is settled the refund waits for that; with --wait it is followed until it is through.
    """
    flags = {
        "payment_id": payment_id,
        "refund_id": refund_id,
        "amount": amount,
        "user_id": user_id,
        "reason": reason,
    }
    publish_of(
        "refund_request",
        flags=flags,
        record=lambda: refund_record(flags, currency=currency),
        how=How(json_lines=json_lines, skip_bad=skip_bad, wait_s=wait, json=json),
    )


def verification(
    *,
    payment_id: options.PaymentId = None,
    verification_id: options.VerificationId = None,
    user_id: options.UserId = None,
    reason: options.Reason = "",
    order_id: options.OrderId = None,
    amount: options.TestAmount = None,
    currency: options.Currency = "USD",
    token: options.Token = None,
    token_file: options.TokenFile = None,
    wallet: options.Wallet = "accept_js",
    profile: options.Profile = None,
    json_lines: options.JsonLines = None,
    skip_bad: options.SkipBad = False,
    wait: options.WaitFor = None,
    json: options.AsJson = False,
) -> None:
    """Ask the gateway what became of a payment; or, with a token or profile, whether that means of payment is good.

    Prints the id of the question, or of the test.
    """
    flags = {
        "payment_id": payment_id,
        "verification_id": verification_id,
        "user_id": user_id,
        "reason": reason,
        "order_id": order_id,
        "amount": amount,
        "token": token,
        "token_file": token_file,
        "profile": profile,
    }
    publish_of(
        "payment_verification_request",
        flags=flags,
        record=lambda: verification_record(flags, currency=currency, wallet=wallet),
        how=How(json_lines=json_lines, skip_bad=skip_bad, wait_s=wait, json=json),
    )


def capture_record(flags: Flags, *, currency: str) -> dict[str, object]:
    """The record that the flags of `capture` ask for. Raises InvalidValueError, as the other three do."""
    from worker.commands.initiations import minor_of

    amount = flags["amount"]
    minor = None if amount is None else minor_of(amount, currency)
    return _request(flags, "capture_id") | {"amount_minor": minor, "currency": currency}


def void_record(flags: Flags) -> dict[str, object]:
    """The record that the flags of `void` ask for."""
    return _request(flags, "void_id")


def refund_record(flags: Flags, *, currency: str) -> dict[str, object]:
    """The record that the flags of `refund` ask for."""
    from worker.commands.initiations import minor_of

    asked = _request(flags, "refund_id")
    must_have(flags, ("amount",))
    return asked | {"amount_minor": minor_of(flags["amount"] or "", currency), "currency": currency}


def verification_record(flags: Flags, *, currency: str, wallet: str) -> dict[str, object]:
    """The record that the flags of `verification` ask for: a test where they name an order or a means."""
    from worker.commands.initiations import fresh_id, minor_of

    if all(flags[name] is None for name in _OF_A_TEST):
        return _request(flags, "verification_id")
    means = means_of(
        token=flags["token"],
        token_file=flags["token_file"],
        profile=flags["profile"],
        wallet=wallet,
    )
    must_have(flags, ("order_id", "user_id"))
    return {
        "payment_id": flags["payment_id"] or fresh_id(),
        "verification_id": flags["verification_id"] or "",
        "reason": flags["reason"],
        "order_id": flags["order_id"],
        "user_id": flags["user_id"],
        "amount_minor": minor_of(flags["amount"] or "0", currency),
        "currency": currency,
        "means": means,
    }


def _request(flags: Flags, id_name: str) -> dict[str, object]:
    """What every request has, under a fresh id where none was given."""
    from worker.commands.initiations import fresh_id

    must_have(flags, ("payment_id",))
    return {
        "payment_id": flags["payment_id"],
        id_name: flags[id_name] or fresh_id(),
        "user_id": flags["user_id"] or "",
        "reason": flags["reason"] or "",
    }
