"""Who may ask and who may decide: pure rules over facts about people that were gathered beforehand.

policies of the file ──applicable(subject)──▶ Rules ──may_request / may_decide / approvals_missing──▶ reason or None
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from bot.domain.errors import Refusal
from bot.domain.execution import Action
from bot.domain.text import listed

FRESH = timedelta(minutes=10)  # facts older than this let nobody ask or decide
BOT_ACTOR = "bot"


class PersonKind(StrEnum):
    """What a person is to our workspace."""

    MEMBER = "member"
    GUEST = "guest"
    BOT = "bot"
    DEACTIVATED = "deactivated"
    FOREIGN = "foreign"


KIND_WORDS = {
    PersonKind.GUEST: "guests of the workspace",
    PersonKind.BOT: "bots",
    PersonKind.DEACTIVATED: "deactivated people",
    PersonKind.FOREIGN: "people of other organisations",
}


@dataclass(frozen=True)
class Person:
    """A Slack user with what is known of them: `kind` None = never looked up; `groups` holds user groups and channels.

    `read_at`: when the members of each group or channel that we follow were last read; what is not in it is not followed.
    """

    workspace: str
    id: str
    kind: PersonKind | None = None
    kind_read_at: datetime | None = None
    groups: frozenset[str] = frozenset()
    read_at: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """How the audit trail names them."""
        return f"slack:{self.workspace}/{self.id}"


@dataclass(frozen=True)
class Subject:
    """What a policy is matched against; None and an empty tuple of stages mean unknown."""

    connection: str
    action: Action
    name: str | None = None
    environment: str | None = None
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """One rule: whom it lets ask, whom it lets decide, how many of them, and for how long."""

    name: str
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requesters: tuple[str, ...] = ("channel",)
    approvers: tuple[str, ...] = ("channel",)
    approvals: int = 1
    self_approval: bool = False
    expires: timedelta = timedelta(minutes=60)
    wants_reason: bool = False

    def as_text(self) -> str:
        """The rule as stable text: part of the digest of what people approved."""
        return json.dumps(
            [
                self.name,
                sorted(self.requesters),
                sorted(self.approvers),
                self.approvals,
                self.self_approval,
                int(self.expires.total_seconds()),
                self.wants_reason,
            ]
        )


BUILT_IN = Policy(name="built-in")


class Match(StrEnum):
    """How a policy fits a subject."""

    NO = "no"
    UNCERTAIN = "uncertain"  # a key that the policy names is not known of the execution
    CERTAIN = "certain"


@dataclass(frozen=True)
class Rules:
    """The policies that hold together for one subject, in the order of the file."""

    policies: tuple[Policy, ...]

    @property
    def names(self) -> str:
        """For people: `production and default`."""
        return listed([policy.name for policy in self.policies])

    @property
    def expires(self) -> timedelta:
        """The shortest of them."""
        return min(policy.expires for policy in self.policies)

    @property
    def self_approval(self) -> bool:
        """Only if all allow it."""
        return all(policy.self_approval for policy in self.policies)

    @property
    def wants_reason(self) -> bool:
        """If any wants one."""
        return any(policy.wants_reason for policy in self.policies)

    @property
    def approvals(self) -> int:
        """The largest count any of them wants."""
        return max(policy.approvals for policy in self.policies)

    @property
    def principals(self) -> frozenset[str]:
        """Everybody and every group named anywhere in them."""
        return frozenset(word for policy in self.policies for word in (*policy.requesters, *policy.approvers))

    def as_text(self) -> str:
        """All of it as stable text, for the digest."""
        return "\n".join(policy.as_text() for policy in self.policies)


def match(policy: Policy, subject: Subject) -> Match:
    """Whether all keys of the policy fit; a key left out fits everything."""
    result = Match.CERTAIN
    for key, globs in policy.match.items():
        values = _values(subject, key)
        if not values:
            result = Match.UNCERTAIN
        elif not any(fnmatchcase(value, glob) for value in values for glob in globs):
            return Match.NO
    return result


def _values(subject: Subject, key: str) -> tuple[str, ...]:
    match key:
        case "connection":
            return (subject.connection,)
        case "action":
            return (subject.action.value,)
        case "name":
            return (subject.name,) if subject.name is not None else ()
        case "environment":
            return (subject.environment,) if subject.environment is not None else ()
        case "stage":
            return subject.stages
        case _:
            raise ValueError(f"no policy key {key!r}")


def applicable(policies: Sequence[Policy], subject: Subject) -> Rules:
    """The first certain match and all uncertain ones above it; the built-in policy where the file says nothing.

    Raises Refusal when no policy of the file holds on a connection that some policy of the file matches.
    """
    uncertain: list[Policy] = []
    for policy in policies:
        fit = match(policy, subject)
        if fit is Match.CERTAIN:
            return Rules((*uncertain, policy))
        if fit is Match.UNCERTAIN:
            uncertain.append(policy)
    if any(_names_connection(policy, subject.connection) for policy in policies):
        raise Refusal("no_policy", _no_policy(subject, uncertain))
    return Rules((BUILT_IN,))


def _names_connection(policy: Policy, connection: str) -> bool:
    globs = policy.match.get("connection")
    return globs is None or any(fnmatchcase(connection, glob) for glob in globs)


def _no_policy(subject: Subject, uncertain: list[Policy]) -> str:
    what = f"{subject.action.value} on connection {subject.connection}"
    if uncertain:
        names = listed([f"“{policy.name}”" for policy in uncertain])
        return (
            f"No policy certainly allows {what}: {names} may apply, and nothing below settles it. An administrator can add one."
        )
    return f"No policy allows {what}. An administrator can add one."


def why_not(words: Iterable[str], person: Person, channel: str | None, now: datetime | None) -> str | None:
    """None when one of the words names the person, else the reason; facts that are missing or stale let nobody through.

    `now` None: facts count however old they are.
    """
    words = tuple(words)
    if person.kind is PersonKind.DEACTIVATED:
        return "deactivated people neither ask nor decide"
    if person.id in words or person.actor in words:
        return None
    if person.kind is None or person.kind_read_at is None:
        return "I do not know you yet and am looking you up; try again in a few seconds"
    if _is_stale(person.kind_read_at, now):
        return "what I know of you is older than 10 minutes because Slack does not answer me; try again shortly"
    if person.kind is not PersonKind.MEMBER:
        return f"{KIND_WORDS[person.kind]} may only when a policy names them by id"
    return _why_not_by_group(words, person, channel, now)


def _is_stale(read_at: datetime, now: datetime | None) -> bool:
    return now is not None and now - read_at > FRESH


def _why_not_by_group(words: tuple[str, ...], person: Person, channel: str | None, now: datetime | None) -> str | None:
    stale = False
    for word in words:
        group = channel if word == "channel" else word
        if word == "anyone":
            return None
        if group is None or group not in person.read_at:
            continue
        if _is_stale(person.read_at[group], now):
            stale = True
        elif group in person.groups:
            return None
    if stale:
        return "what I know of the groups is older than 10 minutes because Slack does not answer me; try again shortly"
    return f"only {describe_principals(words)} may"


def unread(rules: Rules, person: Person, channel: str | None) -> bool:
    """Whether facts that could decide about this person were never read, so that they have to be looked up first."""
    if person.kind is None:
        return person.id not in rules.principals
    if person.kind is not PersonKind.MEMBER:
        return False  # no group lets them in
    return any(group not in person.read_at for group in groups_named(rules.principals, channel))


def groups_named(words: Iterable[str], channel: str | None) -> frozenset[str]:
    """User groups and channels among the words, `channel` being the one that counts."""
    named = (channel if word == "channel" else word for word in words if word == "channel" or word.startswith(("S", "C", "G")))
    return frozenset(group for group in named if group is not None)


def describe_principals(words: Sequence[str]) -> str:
    """Whom the words name, with Slack's own mentions; for people."""
    return listed([describe_principal(word) for word in words], "or") or "nobody"


def describe_principal(word: str) -> str:
    """One word of a policy as people read it."""
    if word == "channel":
        return "members of the channel"
    if word == "anyone":
        return "any full member of the workspace"
    if word.startswith("S"):
        return f"<!subteam^{word}>"
    return f"<@{word}>" if word.startswith(("U", "W")) else word


def may_request(rules: Rules, person: Person, channel: str | None, now: datetime) -> None:
    """Raises Refusal unless every policy lets the person ask."""
    for policy in rules.policies:
        if reason := why_not(policy.requesters, person, channel, now):
            raise Refusal("not_a_requester", f"You cannot ask for this: {reason} (policy “{policy.name}”).")


def may_decide(rules: Rules, person: Person, requester: str, channel: str | None, now: datetime) -> None:
    """Raises Refusal unless the person is an approver of some policy and, for their own request, all allow that."""
    if person.actor == requester and not rules.self_approval:
        approvers = [[word for word in policy.approvers if word not in {person.id, person.actor}] for policy in rules.policies]
        others = listed([describe_principals(words) for words in approvers])
        raise Refusal("own_request", f"You asked for this yourself, so somebody else has to decide: {others}.")
    reasons = [why_not(policy.approvers, person, channel, now) for policy in rules.policies]
    if all(reasons):
        raise Refusal("not_an_approver", f"You cannot decide on this: {reasons[0]} (policy “{rules.policies[0].name}”).")


def approvals_missing(
    rules: Rules, approvers: Iterable[Person], requester: str, channel: str | None, now: datetime | None
) -> dict[str, int]:
    """For each policy by name how many approvals it still wants, counting distinct people it lets decide; empty = enough.

    `now` None: what is known of the approvers counts however old it is. Before the call it must be fresh.
    """
    people = {person.actor: person for person in approvers if person.actor != requester or rules.self_approval}
    missing = {}
    for policy in rules.policies:
        counted = sum(why_not(policy.approvers, person, channel, now) is None for person in people.values())
        if counted < policy.approvals:
            missing[policy.name] = policy.approvals - counted
    return missing


def is_satisfiable(policy: Policy) -> str | None:
    """None, or why this policy can never let anything through, as far as the file alone tells."""
    named = set(policy.approvers)
    people = {word for word in named if word.startswith(("U", "W"))}
    if policy.approvals and not named:
        return "it wants approvals and names no approvers"
    if not policy.requesters:
        return "it names no requesters"
    if named == people and len(people) < policy.approvals:
        return f"it wants {policy.approvals} approvals and names {len(people)} approvers"
    if named == people == set(policy.requesters) and len(people) <= policy.approvals and not policy.self_approval:
        return "its requesters are all its approvers, and nobody approves their own request"
    return None
