"""The tables of the simulated Restate server, row by row, as its SQL shows them."""

import json
from collections.abc import Callable, Iterable, Mapping

from bot.simulators.restate_model import Entry, Event, Invocation, wire_time
from bot.simulators.restate_world import World

Value = str | int | bool | list[str] | None
Row = Mapping[str, Value]

_STATUS_COLUMNS = (
    "id", "status", "target", "target_service_name", "target_service_key", "target_handler_name", "target_service_ty",
    "idempotency_key", "invoked_by", "invoked_by_service_name", "invoked_by_id", "invoked_by_target", "restarted_from",
    "pinned_deployment_id", "pinned_service_protocol_version", "journal_size", "journal_commands_size", "created_at",
    "created_using_restate_version", "modified_at", "scheduled_at", "scheduled_start_at", "running_at", "completed_at",
    "completion_retention", "journal_retention", "completion_result", "completion_failure", "vqueue_id", "scope", "limit_key",
    "suspended_waiting_future_json",
)  # fmt: skip
_RETRY_COLUMNS = (
    "retry_count", "next_retry_at", "last_failure", "last_failure_error_code", "last_failure_related_command_index",
    "last_failure_related_command_name", "last_failure_related_command_type", "last_awaiting_on_future_json",
)  # fmt: skip

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sys_invocation": (*_STATUS_COLUMNS, *_RETRY_COLUMNS),
    "sys_invocation_status": _STATUS_COLUMNS,
    "sys_invocation_state": ("id", *_RETRY_COLUMNS),
    "sys_journal": ("id", "index", "entry_type", "name", "completed", "entry_json", "entry_lite_json", "appended_at"),
    "sys_journal_events": ("id", "after_journal_entry_index", "appended_at", "event_type", "event_json"),
    "sys_deployment": (
        "id", "ty", "endpoint", "created_at", "min_service_protocol_version", "max_service_protocol_version", "services",
    ),
    "sys_service": ("name", "revision", "public", "ty", "deployment_id"),
}  # fmt: skip


def rows_of(world: World, table: str) -> list[Row]:
    """All rows of a table, in no promised order."""
    makers: Mapping[str, Callable[[World], Iterable[Row]]] = {
        "sys_invocation": lambda world: ({**_stored(one), **_retrying(one), "status": one.status} for one in _all(world)),
        "sys_invocation_status": lambda world: (_stored(one) for one in _all(world)),
        "sys_invocation_state": lambda world: ({"id": one.id, **_retrying(one)} for one in _all(world) if one.retrying),
        "sys_journal": lambda world: (
            _entry(one, index, entry) for one in _all(world) for index, entry in enumerate(one.journal)
        ),
        "sys_journal_events": lambda world: (_event(one, event) for one in _all(world) for event in one.events),
        "sys_deployment": _deployments,
        "sys_service": _services,
    }
    return list(makers[table](world))


def _all(world: World) -> Iterable[Invocation]:
    return list(world.invocations.values())


def _stored(one: Invocation) -> Row:
    parent = one.parent
    has_begun = bool(one.journal)
    scheduled = one.scheduled_start_at
    return {
        "id": one.id,
        "status": one.stored,
        "target": one.target,
        "target_service_name": one.spec.name,
        "target_service_key": one.object_key,
        "target_handler_name": one.spec.handler,
        "target_service_ty": one.spec.kind,
        "invoked_by": one.invoked_by,
        "invoked_by_service_name": parent.spec.name if parent else None,
        "invoked_by_id": parent.id if parent else None,
        "invoked_by_target": parent.target if parent else None,
        "restarted_from": one.restarted_from,
        "pinned_deployment_id": one.deployment_id,
        "pinned_service_protocol_version": one.protocol,
        "journal_size": len(one.journal) if has_begun else None,
        "journal_commands_size": sum(entry.is_command for entry in one.journal) if has_begun else None,
        "created_at": wire_time(one.created_at),
        "created_using_restate_version": "1.7.12",
        "modified_at": wire_time(one.modified_at),
        "scheduled_at": wire_time(one.created_at) if scheduled else None,
        "scheduled_start_at": wire_time(scheduled) if scheduled else None,
        "running_at": wire_time(one.created_at) if has_begun else None,
        "completed_at": wire_time(one.completed_at) if one.completed_at else None,
        "completion_retention": "PT86400S",
        "journal_retention": f"PT{one.spec.journal_seconds}S" if one.spec.journal_seconds else "P0D",
        "completion_result": ("failure" if one.completion_failure else "success") if one.completed_at else None,
        "completion_failure": one.completion_failure,
    }


def _retrying(one: Invocation) -> Row:
    if one.retrying is None:
        return {}
    failure = one.retrying.failure
    return {
        "retry_count": one.retrying.count,
        "next_retry_at": wire_time(one.retrying.next_at) if one.retrying.next_at else None,
        "last_failure": f"[{failure.code}] {failure.message}",
        "last_failure_error_code": failure.doc_code,
        "last_failure_related_command_index": failure.command_index,
        "last_failure_related_command_name": failure.command_name,
        "last_failure_related_command_type": failure.command_type,
    }


def _entry(one: Invocation, index: int, entry: Entry) -> Row:
    return {
        "id": one.id,
        "index": index,
        "entry_type": entry.entry_type,
        "name": entry.name,
        "entry_json": json.dumps(entry.full, separators=(",", ":")),
        "entry_lite_json": json.dumps(entry.lite, separators=(",", ":")),
        "appended_at": wire_time(entry.appended_at),
    }


def _event(one: Invocation, event: Event) -> Row:
    return {
        "id": one.id,
        "after_journal_entry_index": event.after_index,
        "appended_at": wire_time(event.appended_at),
        "event_type": event.event_type,
        "event_json": event.event_json,
    }


def _deployments(world: World) -> Iterable[Row]:
    for one in world.deployments.values():
        yield {
            "id": one.id,
            "ty": "http",
            "endpoint": one.endpoint,
            "created_at": wire_time(one.created_at),
            "min_service_protocol_version": one.min_protocol,
            "max_service_protocol_version": one.max_protocol,
            "services": list(one.services),
        }


def _services(world: World) -> Iterable[Row]:
    names = {name: spec for one in world.deployments.values() for name, spec in one.services.items()}
    for name, spec in names.items():
        served = [one for one in world.deployments.values() if name in one.services]
        yield {"name": name, "revision": len(served), "public": True, "ty": spec.kind, "deployment_id": served[-1].id}
