"""The deployments of the simulated Restate server, and which of them is the latest of a service."""

from collections.abc import Iterable

from bot.simulators.restate_model import Deployment, ServiceSpec, new_id, now_ms


class Registry:
    """All registered endpoints, oldest first."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}

    def deploy(self, services: Iterable[ServiceSpec], *, min_protocol: int = 5, max_protocol: int = 7) -> Deployment:
        """Register a new deployment; it is the latest for each service it serves."""
        number = len(self.deployments) + 1
        made = Deployment(
            new_id("dp", 22),
            f"http://127.0.0.1:{9080 + number}/",
            now_ms(),
            {spec.name: spec for spec in services},
            min_protocol,
            max_protocol,
        )
        self.deployments[made.id] = made
        return made

    def revision(self, deployment: Deployment, service: str) -> int:
        """How many deployments had served a service when this one was registered, itself included."""
        served = [one.id for one in self.deployments.values() if service in one.services]
        return served.index(deployment.id) + 1

    def latest(self, service: str) -> Deployment:
        """The newest deployment that serves a service."""
        return next(one for one in reversed(self.deployments.values()) if service in one.services)
