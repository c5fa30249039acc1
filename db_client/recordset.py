"""A batch of rows as one parameter: `jsonb_to_recordset`. The statement is the same for one row and five hundred.

So each statement is compiled and planned once, and a batch costs one round trip. Texts from outside are made fit for
jsonb here (it takes neither U+0000 nor lone surrogates).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, TableValuedAlias, Text, bindparam, cast, column, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_PARAMETER: Final = "given"


def given(**columns: TypeEngine[Any]) -> TableValuedAlias:
    """A table `given` with these columns, filled by `rows(...)` at execution."""
    parts: list[ColumnElement[Any]] = [column(name, kind) for name, kind in columns.items()]
    source = func.jsonb_to_recordset(cast(bindparam(_PARAMETER, type_=Text), JSONB))
    return source.table_valued(*parts).render_derived(name=_PARAMETER, with_types=True)


def rows(values: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """The parameter for `given`."""
    return {_PARAMETER: as_json(values)}


def as_json(value: object) -> str:
    """JSON that PostgreSQL's jsonb takes, whatever texts are in it."""
    encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return encoded.encode("utf-8", "replace").decode().replace("\\u0000", "\\ufffd")
