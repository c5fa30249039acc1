"""`publish`: a payment initiation from flags, or many from JSON lines. What they must be is `initiations.py`."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from handlers.domain.commands import Mode
from handlers.domain.errors import InvalidValueError, Unavailable
from worker.commands import publish_options as options
from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.terminal import lines, say

if TYPE_CHECKING:
    from handlers.domain.commands import InitiatePayment
    from worker.config import Settings

EPILOG: Final = epilog(
    "run_worker.py publish --order-id o-1 --user-id u-1 --amount 12.34 --token-file token --wait 30",
    "show-token | run_worker.py publish --order-id o-2 --user-id u-1 --amount 500 --currency JPY \\\n"
    "      --token-file -",
    "run_worker.py publish --order-id o-3 --user-id u-1 --amount 12.34 --profile 901:77 --mode authorise",
    "run_worker.py publish --json-lines payments.jsonl",
    '  (a line: {"payment_id": "p-9", "order_id": "o-9", "user_id": "u-1", "amount_minor": 1234,\n'
    '   "currency": "USD", "mode": "SALE", "means": {"customer_profile_id": "901",\n'
    '   "payment_profile_id": "77"}})',
)
_SHOWN_BAD: Final = 50
_MOST_TOKEN: Final = 65_536
_MOST_LINES: Final = 256 * 1024 * 1024
_HEADERS: Final = {"content-type": b"application/avro"}
_Record = tuple[str, bytes, bytes, dict[str, bytes]]


def publish(
    *,
    payment_id: options.PaymentId = None,
    order_id: options.OrderId = None,
    user_id: options.UserId = None,
    amount: options.Amount = None,
    currency: options.Currency = "USD",
    mode: options.AskedMode = Mode.SALE,
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
) -> None:
    """Ask for a payment: publish its command, print its payment id.

    Everything is checked before anything is sent. To publish the same id with the same content again is harmless.
    """
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
    if json_lines is None:
        commands = [_from_flags(flags, currency=currency, mode=mode, wallet=wallet)]
    elif any(flags.values()):
        raise InvalidValueError("--json-lines", "stands alone: each line says everything itself")
    else:
        commands = _from_file(json_lines, skip_bad=skip_bad)
    _send(commands, wait_s=wait)


def _from_flags(
    flags: dict[str, Any], *, currency: str, mode: Mode, wallet: str
) -> "InitiatePayment":
    from worker.commands import initiations

    for name in ("order_id", "user_id", "amount"):
        if flags[name] is None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidValueError(option, "must be given (or --json-lines)")
    means = _means(flags, wallet=wallet)
    return initiations.from_record(
        {
            "payment_id": flags["payment_id"] or initiations.fresh_id(),
            "order_id": flags["order_id"],
            "user_id": flags["user_id"],
            "amount_minor": initiations.minor_of(flags["amount"], currency),
            "currency": currency,
            "mode": mode.name,
            "means": means,
            "not_after": flags["not_after"],
            "billing": dict(it.split("=", 1) if "=" in it else (it, "") for it in flags["billing"]),
            "customer_ip": flags["customer_ip"],
            "description": flags["description"],
            "lines": [initiations.line_record(it, currency) for it in flags["lines"]],
        }
    )


def _means(flags: dict[str, Any], *, wallet: str) -> dict[str, object]:
    from worker.commands import initiations

    token, token_file, profile = flags["token"], flags["token_file"], flags["profile"]
    if sum(it is not None for it in (token, token_file, profile)) != 1:
        raise InvalidValueError(
            "--token", "give exactly one of --token, --token-file and --profile"
        )
    if profile is not None:
        return initiations.profile_record(profile)
    if token_file is not None:
        content = _read(token_file, option="--token-file", most=_MOST_TOKEN)
        token = content.decode("utf-8", "replace")
    return initiations.token_record(token.strip(), wallet)


def _from_file(path: str, *, skip_bad: bool) -> "list[InitiatePayment]":
    from worker.commands import initiations

    content = _read(path, option="--json-lines", most=_MOST_LINES)
    found = list(initiations.from_lines(content.split(b"\n")))
    bad = [it for it in found if isinstance(it, initiations.BadLine)]
    for it in bad[:_SHOWN_BAD]:
        say(f"line {it.number}: {it.why}", error=True)
    if len(bad) > _SHOWN_BAD:
        say(f"and {len(bad) - _SHOWN_BAD} more bad lines", error=True)
    if bad and not skip_bad:
        raise InvalidValueError(
            "--json-lines",
            f"{len(bad)} bad line(s), so nothing was sent: mend them, or send the others with --skip-bad",
        )
    return [it for it in found if not isinstance(it, initiations.BadLine)]


def _read(path: str, *, option: str, most: int) -> bytes:
    try:
        if path == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(path).open("rb") as source:
                content = source.read(most + 1)
    except OSError as error:
        raise InvalidValueError(option, f"cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise InvalidValueError(option, f"must be at most {most} bytes")
    return content


def _send(commands: "Sequence[InitiatePayment]", *, wait_s: float | None) -> None:
    from worker import wiring
    from worker.commands.decisions import follow
    from worker.config import read_settings
    from worker.kafka_admin import Tail, open_admin
    from worker.routes import INITIATION, STATUS

    settings = read_settings()
    names = wiring.topics(settings)
    topic, status = names.name(INITIATION), names.name(STATUS)
    properties = settings.kafka_properties()
    missing = sorted({topic, status} - open_admin(properties).names())
    if missing:
        raise AnswerIsNoError(
            f"topics are missing: {', '.join(missing)}. Create them with `run_worker.py topics --create`."
        )
    writer = wiring.wire_writer(settings)
    records: list[_Record] = [
        (topic, it.payment_id.encode(), writer.encode_command(it, topic=topic), _HEADERS)
        for it in commands
    ]
    if wait_s is None:
        _publish(settings, records)
        return
    with closing(Tail(properties, [status], from_beginning=False)) as tail:
        _publish(settings, records)
        late = follow(settings, tail, ids=[it.payment_id for it in commands], wait_s=wait_s)
    if late:
        raise AnswerIsNoError(
            f"not decided within {wait_s:g} s: {', '.join(late)}. Is a worker running?"
            f" `run_worker.py payments show {late[0]}` says where it stands."
        )


def _publish(settings: "Settings", records: Sequence[_Record]) -> None:
    from worker.kafka_admin import send

    ids = [key.decode() for _, key, _, _ in records]
    try:
        send(settings.kafka_properties(), records)
    except Unavailable as away:
        lines(ids)
        raise Unavailable(
            away.what,
            f"{away.why}. Some of these may have been published: publish all again under the same ids,"
            " which does no harm",
        ) from None
    lines(ids)
