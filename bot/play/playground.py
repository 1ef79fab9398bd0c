"""What the processes of the playground know of it: its address, its secret, its database, its connections."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self

from pydantic import SecretStr

from bot.config import Settings
from bot.config_tables import Connection
from bot.domain.policy import Policy
from bot.domain.setup import Route, Timings
from bot.engines import engine_class

DEPLOYS, AUDIT, APPROVERS = "C0DEPLOYS", "C0AUDIT", "S0RELEASE"

# short enough that one can watch a recovery; the order of them is the product's own
TIMINGS = Timings(
    send_window=2.0,
    call_timeout=5.0,
    settle=3.0,
    takeover=3.0,
    heartbeat=1.0,
    rescue_every=1,
    sweep_every=2,
    seal_every=5,
    membership_every=10,
    silence=20.0,
    first_card=1.0,
    watch_first=0.3,
    watch_longest=1.0,
    reread_first=5.0,
    reread_longest=30.0,
)

POLICY = Policy(name="playground", requesters=("channel",), approvers=(APPROVERS,), approvals=1, expires=timedelta(minutes=60))


@dataclass(frozen=True)
class ConnectionFacts:
    """A connection as it can be handed to another process; `settings` are the engine's own keys."""

    name: str
    engine: str
    settings: Mapping[str, str]
    poll_seconds: int = 0  # 0: the engine pushes

    def made(self, secret: str) -> Connection:
        """As the configuration knows it."""
        model = engine_class(self.engine).Settings.model_validate(self.settings)
        return Connection(self.name, self.engine, model, (SecretStr(secret),), self.poll_seconds)


@dataclass(frozen=True)
class Playground:
    """All of it; `secret` signs what Slack sends, and opens the hooks and the engines."""

    base: str
    secret: str
    database: str
    log_level: str
    log_format: str
    connections: tuple[ConnectionFacts, ...]

    @property
    def bot_token(self) -> str:
        """What the bot shows to Slack."""
        return f"xoxb-{self.secret}"

    @property
    def settings(self) -> Settings:
        """The bot's own settings: nothing of the environment's."""
        return Settings(
            database_url=SecretStr(self.database),
            slack_bot_token=SecretStr(self.bot_token),
            slack_signing_secrets=(SecretStr(self.secret),),
            slack_api_url=f"{self.base}/sim/slack/api/",
            log_level=self.log_level,
            log_format=self.log_format,
            audit_channel=AUDIT,
            connections=tuple(each.made(self.secret) for each in self.connections),
            routes=(Route({}, DEPLOYS),),
            policies=(POLICY,),
        )

    def as_json(self) -> str:
        """On one line, for another process; holds the secret."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str | bytes) -> Self:
        """What `as_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        return cls(**read | {"connections": tuple(ConnectionFacts(**each) for each in read["connections"])})
