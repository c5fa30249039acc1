"""The control port: plain JSON over HTTP, for tests and the demo, on a port of its own.

| | |
|---|---|
| `GET PUT DELETE /plan` | the fault plan (`faults.Plan`); PUT replaces it, DELETE also ends scripts |
| `GET POST DELETE /script` | `{"rules": [{"match": {...}, "fault": ..., "times": 1}]}`; POST adds |
| `GET PUT /settings` | the account's switches (`gateway.Settings`); PUT changes what it names |
| `GET /ledger` | every recorded transaction; `?invoice=`, `?login=`, `?limit=`, `?offset=` |
| `GET /ledger/summary` | counts, totals, and an auditor's violations (`auditing.py`) |
| `GET /calls` | counters |
| `GET POST /clock` | `{"advance_s": 60}`; what lies between settles and expires |
| `POST /settle` | a batch at once; `{"fail": true}`: one that is rejected, until the next |
| `POST /return/{transId}` | the bank returns a settled eCheck |
| `POST /chargeback/{transId}` | a settled charge is charged back |
| `GET POST /accounts` | `{"accounts": [{"login", "transaction_key", "currency"}]}`; POST adds |
| `POST /held/{transId}` | `{"action": "approve"}` or `"decline"` |
| `POST /profiles` | `{"profiles": [{"customerProfileId": ..., "paymentProfileId": ...}]}` |
| `POST /reset` | an empty account, calm, at the machine's time; added accounts go |

Errors: 400 (or 404) with `{"error": words that name what is allowed}`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from worker.demo.simulator import auditing, settling
from worker.demo.simulator.faults import Plan, Rule
from worker.demo.simulator.gateway import Account, Gateway, Settings
from worker.demo.simulator.means import profile_means

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.demo.simulator.ledger import Row
    from worker.demo.simulator.wire import Connection, Request

_JSON = "application/json"
_FARTHEST_S = 10 * 366 * 86_400
_WITH_ID = ("/held/", "/return/", "/chargeback/")


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """Rules to add."""

    rules: list[Rule]


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """How far the clock goes forward."""

    advance_s: float


class Settle(msgspec.Struct, forbid_unknown_fields=True):
    """How a batch ends."""

    fail: bool = False


class Accounts(msgspec.Struct, forbid_unknown_fields=True):
    """Accounts to add."""

    accounts: list[Account]


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """What a person says about a held transaction."""

    action: Literal["approve", "decline"]


class Profile(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A stored profile to add."""

    customer_profile_id: str
    payment_profile_id: str
    account_type: str = "Visa"
    account: str | None = None
    zip_code: str = ""
    is_bank: bool = False
    decline_reason: int | None = None


class Profiles(msgspec.Struct, forbid_unknown_fields=True):
    """Profiles to add."""

    profiles: list[Profile]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a route gets: the body, and the query with the path's own identity as `id`."""

    body: bytes
    query: Mapping[str, str]


class Control:
    """Answers the control port."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def serve(self, connection: Connection, request: Request) -> None:
        """Answer one request at once."""
        status, said = self._answered(request)
        connection.answer(msgspec.json.encode(said), content_type=_JSON, status=status)

    def _answered(self, request: Request) -> tuple[int, Any]:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query))
        path, identity = parts.path, ""
        for prefix in _WITH_ID:
            if path.startswith(prefix):
                path, identity = prefix, path.removeprefix(prefix)
        route = _ROUTES.get((request.method, path))
        if route is None:
            known = ", ".join(sorted({f"{method} {name}" for method, name in _ROUTES}))
            return 404, {"error": f"no {request.method} {parts.path}; there are: {known}"}
        settling.by_itself(self._gateway)
        try:
            return 200, route(self._gateway, Asked(request.body, {**query, "id": identity}))
        except (ValueError, msgspec.MsgspecError) as error:
            return 400, {"error": str(error)}
        except KeyError as error:
            return 404, {"error": f"there is no {error.args[0]}"}


def _put_plan(gateway: Gateway, asked: Asked) -> Any:
    plan = msgspec.json.decode(asked.body, type=Plan)
    plan.checked()
    gateway.dice.plan = plan
    return plan


def _delete_plan(gateway: Gateway, _: Asked) -> Any:
    gateway.dice.plan = Plan()
    gateway.dice.rules.clear()
    return gateway.dice.plan


def _get_plan(gateway: Gateway, _: Asked) -> Any:
    return gateway.dice.plan


def _post_script(gateway: Gateway, asked: Asked) -> Any:
    rules = msgspec.json.decode(asked.body, type=Script).rules
    for rule in rules:
        rule.checked()
    gateway.dice.rules.extend(rules)
    return {"rules": gateway.dice.rules}


def _get_script(gateway: Gateway, _: Asked) -> Any:
    return {"rules": gateway.dice.rules}


def _delete_script(gateway: Gateway, _: Asked) -> Any:
    gateway.dice.rules.clear()
    return {"rules": []}


def _put_settings(gateway: Gateway, asked: Asked) -> Any:
    given = msgspec.json.decode(asked.body, type=dict[str, Any])
    merged = {**msgspec.to_builtins(gateway.settings), **given}
    settings = msgspec.convert(merged, Settings)
    settling.cut_offs(settings.cut_off, since=0, until=0)
    gateway.settings, gateway.settles_next_at = settings, -math.inf
    return gateway.settings


def _get_settings(gateway: Gateway, _: Asked) -> Any:
    return gateway.settings


def _get_ledger(gateway: Gateway, asked: Asked) -> Any:
    rows = gateway.ledger.rows
    if "invoice" in asked.query:
        rows = gateway.ledger.by_invoice.get(asked.query["invoice"], [])
    if "login" in asked.query:
        rows = [row for row in rows if row.login == asked.query["login"]]
    offset = int(asked.query.get("offset", 0))
    page = (
        rows[offset : offset + int(asked.query["limit"])]
        if "limit" in asked.query
        else rows[offset:]
    )
    return {"transactions": [row.told() for row in page], "total": len(rows)}


def _get_summary(gateway: Gateway, _: Asked) -> Any:
    return auditing.summary(gateway.ledger)


def _get_calls(gateway: Gateway, _: Asked) -> Any:
    return gateway.calls


def _get_clock(gateway: Gateway, _: Asked) -> Any:
    return {"now": gateway.clock.now(), "offset_s": gateway.clock.offset_s}


def _post_clock(gateway: Gateway, asked: Asked) -> Any:
    advance = msgspec.json.decode(asked.body, type=Advance).advance_s
    if advance < 0:
        raise ValueError("advance_s must not be negative: the clock never goes back")
    if advance > _FARTHEST_S:
        raise ValueError(f"advance_s must not be more than {_FARTHEST_S}")
    since = gateway.settled_until if gateway.settings.settles else gateway.clock.now()
    gateway.clock.advance(advance)
    settling.by_clock(gateway, since=since)
    return _get_clock(gateway, asked)


def _post_settle(gateway: Gateway, asked: Asked) -> Any:
    fail = msgspec.json.decode(asked.body or b"{}", type=Settle).fail
    batches = settling.settle_now(gateway, fail=fail)
    told = [
        {"batchId": batch.batch_id, "state": batch.state, "transactions": len(batch.rows)}
        for batch in batches
    ]
    return {"batches": told}


def _post_return(gateway: Gateway, asked: Asked) -> Any:
    return settling.give_back(gateway, _row(gateway, asked)).told()


def _post_chargeback(gateway: Gateway, asked: Asked) -> Any:
    return settling.charge_back(_row(gateway, asked)).told()


def _row(gateway: Gateway, asked: Asked) -> Row:
    row = gateway.ledger.by_id.get(asked.query["id"])
    if row is None:
        raise KeyError(f"transaction {asked.query['id']}")
    return row


def _post_accounts(gateway: Gateway, asked: Asked) -> Any:
    for account in msgspec.json.decode(asked.body, type=Accounts).accounts:
        gateway.add(account)
    return _get_accounts(gateway, asked)


def _get_accounts(gateway: Gateway, _: Asked) -> Any:
    told = [
        {"login": account.login, "currency": account.currency}
        for account in gateway.accounts.values()
    ]
    return {"accounts": told}


def _post_held(gateway: Gateway, asked: Asked) -> Any:
    decision = msgspec.json.decode(asked.body, type=Decision)
    row = gateway.ledger.held.get(asked.query["id"])
    if row is None:
        raise KeyError(f"held transaction {asked.query['id']}")
    approve = decision.action == "approve"
    gateway.ledger.decide(row, approve=approve, now=gateway.clock.now())
    return row.told()


def _post_profiles(gateway: Gateway, asked: Asked) -> Any:
    profiles = msgspec.json.decode(asked.body, type=Profiles).profiles
    for profile in profiles:
        fields: dict[str, Any] = {
            "account_type": profile.account_type,
            "zip_code": profile.zip_code,
            "is_bank": profile.is_bank,
            "decline_reason": profile.decline_reason,
        }
        if profile.account is not None:
            fields["account"] = profile.account
        ids = (profile.customer_profile_id, profile.payment_profile_id)
        gateway.vault.add(profile_means(*ids, **fields))
    return {"added": len(profiles)}


def _post_reset(gateway: Gateway, _: Asked) -> Any:
    gateway.reset()
    return {"reset": True}


_ROUTES: dict[tuple[str, str], Callable[[Gateway, Asked], Any]] = {
    ("PUT", "/plan"): _put_plan,
    ("GET", "/plan"): _get_plan,
    ("DELETE", "/plan"): _delete_plan,
    ("POST", "/script"): _post_script,
    ("GET", "/script"): _get_script,
    ("DELETE", "/script"): _delete_script,
    ("PUT", "/settings"): _put_settings,
    ("GET", "/settings"): _get_settings,
    ("GET", "/ledger"): _get_ledger,
    ("GET", "/ledger/summary"): _get_summary,
    ("GET", "/calls"): _get_calls,
    ("GET", "/clock"): _get_clock,
    ("POST", "/clock"): _post_clock,
    ("POST", "/settle"): _post_settle,
    ("POST", "/return/"): _post_return,
    ("POST", "/chargeback/"): _post_chargeback,
    ("GET", "/accounts"): _get_accounts,
    ("POST", "/accounts"): _post_accounts,
    ("POST", "/held/"): _post_held,
    ("POST", "/profiles"): _post_profiles,
    ("POST", "/reset"): _post_reset,
}
