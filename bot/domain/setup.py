"""What an installation is set up to do: its connections, routes, policies, and the times it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import sha256

from bot.domain.execution import Action, Execution
from bot.domain.policy import Policy, Subject


def seconds(number: float) -> timedelta:
    """A span of so many seconds."""
    return timedelta(seconds=number)


def _fits(value: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, glob) for glob in globs)


def _may_fit(route: "Route", known: Mapping[str, str | None]) -> bool | None:
    """None where it hangs on a value that is not known."""
    fits = [
        _fits(value, globs) if (value := known[key]) is not None else None
        for key, globs in route.match.items()
        if globs != ("*",)
    ]
    return False if False in fits else None if None in fits else True


@dataclass(frozen=True)
class Timings:
    """How long things may take and how often they are done; shorter in the playground."""

    send_window: float = 5.0  # an intent's call must leave within
    call_timeout: float = 20.0  # and be answered within
    settle: float = 60.0  # after both, before anybody concludes that it did not happen
    takeover: float = 30.0  # a worker without a heartbeat for so long is dead
    heartbeat: float = 10.0
    rescue_every: int = 10
    sweep_every: int = 30
    seal_every: int = 5
    membership_every: int = 60
    silence: float = 300.0  # an engine that has not answered for so long is said to be lost
    first_card: float = 2.0  # a card waits so long for the engine's description
    unrouted_card: float = 30.0  # and so long when the route hangs on it
    watch_first: float = 0.5
    watch_longest: float = 15.0
    reread_first: float = 60.0
    reread_longest: float = 3600.0
    pending_first: float = 2.0  # an execution that has failed and still runs is read as often: Retry waits for its end
    pending_longest: float = 10.0
    lane_pause: float = 1.0  # between posts to a channel
    updates_a_minute: int = 40
    lookup_limit: float = 8.0

    @property
    def conclude_after(self) -> timedelta:
        """After an intent: when it may be concluded that the call did not happen."""
        return seconds(self.send_window + self.call_timeout + self.settle)

    @property
    def surely_ended(self) -> timedelta:
        """After an intent: when the worker that sent must have had its answer or given up."""
        return seconds(self.send_window + self.call_timeout + 1)


@dataclass(frozen=True)
class ConnectionInfo:
    """A configured account of an engine, as far as the core needs to know it."""

    name: str
    kind: str
    title: str
    poll_seconds: int = 15
    environment: str | None = None
    environments: Mapping[str, str] = field(default_factory=dict)  # glob over the engine's own ids -> our word
    environments_are_opaque: bool = False  # the engine's own ids are no words that a policy could mean

    def environment_of(self, engines_own: str | None) -> str | None:
        """Our word for the environment of an execution; None when it cannot be known.

        Once a connection maps environments, one it does not map is unknown: else a new one would pass policies by.
        """
        if self.environment is not None:
            return self.environment
        if engines_own is None:
            return None
        if not self.environments:
            return None if self.environments_are_opaque else engines_own
        return next((word for glob, word in self.environments.items() if fnmatchcase(engines_own, glob)), None)


@dataclass(frozen=True)
class Route:
    """Where failures are posted, and who beyond the channel's members may read of them."""

    match: Mapping[str, tuple[str, ...]]
    channel: str
    viewers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """All of it, for one workspace."""

    workspace: str
    connections: Mapping[str, ConnectionInfo]
    routes: tuple[Route, ...] = ()
    policies: tuple[Policy, ...] = ()
    audit_channel: str | None = None
    timings: Timings = Timings()

    def route(self, connection: str, name: str, environment: str | None) -> Route | None:
        """The first route whose keys all fit; an unknown value fits only `*`."""
        values = {"connection": connection, "name": name, "environment": environment or ""}
        for route in self.routes:
            if all(_fits(values[key], globs) for key, globs in route.match.items()):
                return route
        return None

    def possible_channels(self, connection: str, name: str) -> tuple[str, ...]:
        """Where a failure of which no more than this is known may belong, in the order of the routes."""
        known, channels = self._known(connection, name), []
        for route in self.routes:
            fit = _may_fit(route, known)
            if fit is not False:
                channels.append(route.channel)
            if fit:
                break
        return tuple(dict.fromkeys(channels))

    def route_of_channel(self, channel: str) -> Route | None:
        """The first route to a channel; all of them name the same viewers."""
        return next((route for route in self.routes if route.channel == channel), None)

    def needs_description(self, connection: str, name: str) -> bool:
        """Whether the route of a failure may hang on what its engine has yet to say: its environment, or a name not given."""
        known = self._known(connection, name)
        first = next((fit for route in self.routes if (fit := _may_fit(route, known)) is not False), True)
        return first is None

    def _known(self, connection: str, name: str) -> Mapping[str, str | None]:
        info = self.connections.get(connection)
        return {"connection": connection, "name": name or None, "environment": info.environment if info else None}

    def subject(self, execution: Execution, action: Action, stages: tuple[str, ...]) -> Subject:
        """What policies are matched against for an execution."""
        info = self.connections[execution.ref.connection]
        return Subject(
            connection=execution.ref.connection,
            action=action,
            name=execution.name or None,
            environment=info.environment_of(execution.environment),
            stages=stages,
        )

    @property
    def followed_groups(self) -> frozenset[str]:
        """User groups that policies or routes name."""
        words = {word for policy in self.policies for word in (*policy.requesters, *policy.approvers)}
        words |= {word for route in self.routes for word in route.viewers}
        return frozenset(word for word in words if word.startswith("S"))

    @property
    def followed_channels(self) -> frozenset[str]:
        """Channels whose members count: the routed ones, and those that policies name."""
        words = {word for policy in self.policies for word in (*policy.requesters, *policy.approvers)}
        return frozenset({route.channel for route in self.routes} | {word for word in words if word.startswith(("C", "G"))})

    @property
    def policies_digest(self) -> str:
        """The fingerprint of all policies, for the entry that says what a process started with."""
        text = "\n".join(f"{sorted(policy.match.items())} {policy.as_text()}" for policy in self.policies)
        return sha256(text.encode()).hexdigest()[:16]
