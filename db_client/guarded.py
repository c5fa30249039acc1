"""The guard that every move stands behind: still this session's, same token, and in the stage it starts from."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Integer, TableValuedAlias, Text, bindparam
from sqlalchemy.types import TypeEngine

from db_client.ground import Ground
from db_client.recordset import rows
from db_client.tables import operation
from handlers.ports import Lost, Moved, Operation

GUARD: Final[dict[str, TypeEngine[Any]]] = {
    "operation_id": Text(),
    "token": Integer(),
    "stage": Text(),
}


def mine(table: TableValuedAlias) -> tuple[Any, ...]:
    """The conditions under which a row of `table` may move its operation; binds `me`."""
    return (
        operation.c.operation_id == table.c.operation_id,
        operation.c.token == table.c.token,
        operation.c.stage == table.c.stage,
        operation.c.session_id == bindparam("me"),
    )


def guard(of: Operation) -> dict[str, object]:
    """The guard's columns for one operation."""
    return {"operation_id": of.operation_id, "token": of.token, "stage": of.stage.value}


def moved(
    ground: Ground, statement: object, *, batch: Iterable[Mapping[str, object]], **more: object
) -> set[str]:
    """Run a guarded statement with `more` parameters; the ids of the operations that moved."""
    ordered = in_order(batch, "operation_id")
    if not ordered:
        return set()
    parameters = {**rows(ordered), "me": ground.session_id, "now": ground.now, **more}
    return {row["operation_id"] for row in ground.rows(statement, parameters)}


def in_order(batch: Iterable[Mapping[str, object]], key: str) -> list[Mapping[str, object]]:
    """Rows sorted by their key: every batch locks in the same order, against deadlocks."""
    return sorted(batch, key=lambda row: str(row[key]))


def result(of: Operation, ids: set[str], **changes: Any) -> Moved | Lost:
    """The operation after its move, or Lost."""
    return Moved(replace(of, **changes)) if of.operation_id in ids else Lost()
