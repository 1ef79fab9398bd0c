"""Writes audit entries: canonical JSON kept as text, in the transaction of the change they tell of."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text, bindparam, column, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from bot.domain.audit import AuditEntry
from bot.domain.text import clean
from bot.store.prepared import Last, Prepared
from bot.store.tables import audit_entries

_entries = func.unnest(bindparam("entries", type_=ARRAY(Text)))
_numbered = _entries.table_valued(column("entry", Text), with_ordinality="number", name="written").render_derived()
APPEND = Prepared(insert(audit_entries).from_select(["entry"], select(_numbered.c.entry).order_by(_numbered.c.number)))


def canonical(entry: AuditEntry) -> str:
    """The entry as text: keys sorted, no spaces, every string cleaned; the id is the row's."""
    fields = {
        "at": as_text(entry.at),
        "actor": entry.actor,
        "action": entry.action.value,
        "subject": entry.subject,
        "request": entry.request,
        "incident": entry.incident,
        "connection": entry.connection,
        "execution": entry.execution,
        "data": dict(entry.data),
    }
    return json.dumps(_cleaned(fields), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def as_text(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def write(last: Last, entries: Sequence[AuditEntry]) -> None:
    """Append the entries in their order, as one statement: its trigger takes the lock that sealing needs."""
    if entries:
        last.add(APPEND, entries=[canonical(entry) for entry in entries])
