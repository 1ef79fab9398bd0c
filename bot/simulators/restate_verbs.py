"""What may be done to an invocation in which state, and how the server refuses the rest."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.datastructures import QueryParams

from bot.simulators.restate_model import DEPLOYMENT_ID, INVOCATION_ID, Deployment, Entry, Invocation
from bot.simulators.restate_world import World

_WAITING = frozenset({"scheduled", "inboxed"})
_PROTOCOL_WITH_PREFIX = 6  # the first under which more than the input may be kept


class Refused(Exception):
    """An answer other than success; `is_text` when it is made by the parser of requests."""

    def __init__(self, status: int, message: str, *, is_text: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_text = is_text


Done = tuple[int, dict[str, str] | None]
Verb = Callable[[World, str, QueryParams], Done]


def resume(world: World, invocation_id: str, query: QueryParams) -> Done:
    """Go on where it stopped, perhaps on another deployment."""
    _parse_id(invocation_id)
    wanted = _parse_deployment(query.get("deployment"))
    found = _find(world, invocation_id)
    if found.stored == "completed":
        raise Refused(409, f"The invocation '{found.id}' is completed, cannot be resumed.")
    if found.stored in _WAITING:
        raise Refused(425, f"The invocation '{found.id}' is either inboxed or scheduled, cannot be resumed.")
    if wanted:
        _move(world, found, wanted)
    world.wake(found)
    return 200, None


def pause(world: World, invocation_id: str, _query: QueryParams) -> Done:
    """Stop after the present step."""
    _parse_id(invocation_id)
    found = _find(world, invocation_id)
    if found.stored in _WAITING or found.stored == "completed":
        raise Refused(409, f"The invocation '{found.id}' is not running, cannot be paused.")
    if found.stored == "invoked":
        world.pause(found)
        return 202, None
    return 200, None


def cancel(world: World, invocation_id: str, _query: QueryParams) -> Done:
    """Let it end as cancelled when the handler next looks."""
    _parse_id(invocation_id)
    found = _find_unfinished(world, invocation_id)
    if found.stored in _WAITING:
        world.forget(found)
        return 200, None
    world.cancel(found)
    return 202, None


def kill(world: World, invocation_id: str, _query: QueryParams) -> Done:
    """End it at once."""
    _parse_id(invocation_id)
    found = _find_unfinished(world, invocation_id)
    if found.stored in _WAITING:
        world.forget(found)
    else:
        world.kill(found)
    return 200, None


def purge(world: World, invocation_id: str, _query: QueryParams) -> Done:
    """Forget an ended invocation."""
    world.forget(_find_completed(world, invocation_id))
    return 200, None


def purge_journal(world: World, invocation_id: str, _query: QueryParams) -> Done:
    """Forget the journal of an ended invocation."""
    _find_completed(world, invocation_id).journal.clear()
    return 200, None


def restart_as_new(world: World, invocation_id: str, query: QueryParams) -> Done:
    """Begin a new invocation with the journal of an ended one up to `from`."""
    last = _parse_from(query.get("from"))
    _parse_id(invocation_id)
    wanted = _parse_deployment(query.get("deployment", "latest"))
    found = _find(world, invocation_id)
    if found.stored in _WAITING:
        raise Refused(425, f"The invocation '{found.id}' cannot be restarted because it's not running yet.")
    if found.stored != "completed":
        raise Refused(409, f"The invocation '{found.id}' is still running.")
    if not found.journal:
        raise Refused(410, f"The invocation '{found.id}' cannot be restarted because the input is not available.")
    if found.spec.kind == "workflow" or (last > 0 and (found.protocol or 0) < _PROTOCOL_WITH_PREFIX):
        raise Refused(
            422,
            f"Restarting the invocation '{found.id}' is not supported. Restarting workflows is not supported, and restarting "
            "invocations created using the old service protocol.",
        )
    chosen = _chosen(world, found, wanted, "restart as new") if wanted else world.deployments.get(found.deployment_id or "")
    return 200, {"new_invocation_id": world.restart(found, _prefix(found, last), chosen).id}


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "resume": resume,
        "pause": pause,
        "cancel": cancel,
        "kill": kill,
        "purge": purge,
        "purge-journal": purge_journal,
        "restart-as-new": restart_as_new,
    }
)


def _parse_id(invocation_id: str) -> None:
    if not INVOCATION_ID.fullmatch(invocation_id):
        raise Refused(400, "The request field 'invocation_id' is invalid. Reason: bad length")


def _parse_deployment(value: str | None) -> str | None:
    """None for the one it is pinned to, else `latest` or an id."""
    if value is None or value in {"keep", "Keep"}:
        return None
    if value in {"latest", "Latest"}:
        return "latest"
    if not DEPLOYMENT_ID.fullmatch(value):
        raise Refused(400, "The query parameter 'deployment' is invalid. Reason: bad format")
    return value


def _parse_from(value: str | None) -> int:
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit()):
        raise Refused(400, "Failed to deserialize query string: from: invalid digit found in string", is_text=True)
    return int(value)


def _find(world: World, invocation_id: str) -> Invocation:
    _parse_id(invocation_id)
    found = world.invocations.get(invocation_id)
    if found is None:
        raise Refused(404, f"The requested invocation '{invocation_id}' does not exist")
    return found


def _find_unfinished(world: World, invocation_id: str) -> Invocation:
    found = _find(world, invocation_id)
    if found.stored == "completed":
        raise Refused(409, f"The invocation '{found.id}' was already completed.")
    return found


def _find_completed(world: World, invocation_id: str) -> Invocation:
    found = _find(world, invocation_id)
    if found.stored != "completed":
        raise Refused(409, f"The invocation '{found.id}' is not yet completed.")
    return found


def _chosen(world: World, found: Invocation, wanted: str, verb: str) -> Deployment:
    if wanted == "latest":
        return world.latest(found.spec.name)
    deployment = world.deployments.get(wanted)
    if deployment is None:
        raise Refused(400, f"The given deployment was not found when trying to {verb} the invocation '{found.id}'.")
    return deployment


def _move(world: World, found: Invocation, wanted: str) -> None:
    """Pin a resting invocation to another deployment, where its protocol is spoken."""
    is_free = found.deployment_id is None and wanted == "latest"
    if found.stored == "invoked" or (found.deployment_id is None and not is_free):
        raise Refused(
            409,
            f"The invocation '{found.id}' is still running or the deployment id is not pinned yet, "
            "deployment id cannot be changed.",
        )
    deployment = _chosen(world, found, wanted, "resume")
    low, high = deployment.min_protocol, deployment.max_protocol
    if found.protocol is not None and not low <= found.protocol <= high:
        raise Refused(
            400,
            f"The invocation '{found.id}' is running on protocol '{found.protocol}', "
            f"while the chosen deployment '{deployment.id}' supports range {low}..={high}.",
        )
    if not is_free:
        found.deployment_id = deployment.id


def _prefix(found: Invocation, last: int) -> list[Entry]:
    """Entries 0..last with the results that belong to them."""
    head = found.journal[: last + 1]
    commands = [entry for entry in head if entry.is_command and entry.completion_id is not None]
    ends = [found.completion_of(entry) for entry in commands]
    if last >= len(found.journal) or None in ends:
        raise Refused(
            400,
            f"The prefix of the journal '{found.id}' up to 'from' (included) contains some Commands without "
            "respective Completions.",
        )
    return [*head, *(end for end in ends if end is not None and end not in head)]
