"""A real Restate server and a service that does as it is told, on free loopback ports."""

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

HERE = Path(__file__).resolve().parent
Found = TypeVar("Found")


def find_server() -> str | None:
    """The server's binary: RESTATE_SERVER_BIN, an npm install at or above this project, or PATH; None without any."""
    if given := os.environ.get("RESTATE_SERVER_BIN"):
        return given
    for base in (Path.cwd(), *HERE.parents):
        for hit in base.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"):
            return str(hit)
    return shutil.which("restate-server")


def free_ports(count: int) -> list[int]:
    """Ports nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class RestateLab:
    """A running server with its services; an async context manager."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._processes: list[asyncio.subprocess.Process] = []
        self._plans: dict[str, Mapping[str, str]] = {}
        self._folder = Path()
        self._control = Path()
        self.http = httpx.AsyncClient(timeout=10, trust_env=False)
        self.admin_url = self.ingress_url = ""

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def start(
        self,
        key: str | None = None,
        *,
        service: str = "Pipeline",
        workflow: bool = False,
        delay: str = "",
        object_key: str | None = None,
        **modes: str,
    ) -> dict[str, str]:
        """Send a new invocation whose steps behave as the modes say; its id and the key to plan it by."""
        chosen = key or f"run-{uuid.uuid4().hex[:8]}"
        await self.plan(chosen, **modes)
        name = "Release" if workflow else service
        middle = f"/{object_key or chosen}" if name in {"Release", "Shelf"} else ""
        params = {"delay": delay} if delay else None
        reply = await self.http.post(f"{self.ingress_url}/{name}{middle}/run/send", params=params, json={"key": chosen})
        reply.raise_for_status()
        return {"id": reply.json()["invocationId"], "key": chosen}

    async def plan(self, key: str, **modes: str) -> None:
        """Say how the steps of one run behave from now on; no modes: everything passes."""
        self._plans[key] = modes
        fresh = self._control.with_suffix(".tmp")
        fresh.write_text(json.dumps(self._plans), encoding="utf-8")
        fresh.replace(self._control)

    async def attempts(self, key: str) -> list[str]:
        """The steps that really ran, in order."""
        log = self._control.with_suffix(".log")
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line.split()[1] for line in lines if line.startswith(key + " ")]

    async def deploy(self, steps: str = "") -> str:
        """Register one more deployment of all services, perhaps of another code; its id."""
        (port,) = free_ports(1)
        own = {"LAB_PORT": str(port), "LAB_CONTROL": str(self._control), **({"LAB_STEPS": steps} if steps else {})}
        await self._spawn([sys.executable, str(HERE / "service.py")], f"service-{port}.log", own)
        return await self.wait(lambda: self._register(port))

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query."""
        reply = await self.http.post(f"{self.admin_url}/query", json={"query": sql}, headers={"accept": "application/json"})
        reply.raise_for_status()
        rows: list[dict[str, Any]] = reply.json()["rows"]
        return rows

    async def status(self, invocation_id: str) -> str | None:
        """The status sys_invocation shows; None when it is unknown or gone."""
        rows = await self.query(f"SELECT status FROM sys_invocation WHERE id = '{invocation_id}'")
        return str(rows[0]["status"]) if rows else None

    async def wait_status(self, invocation_id: str, *wanted: str) -> str:
        """Wait until an invocation has one of these statuses, and return it."""

        async def probe() -> str | None:
            status = await self.status(invocation_id)
            return status if status in wanted else None

        return await self.wait(probe)

    async def wait(self, probe: Callable[[], Awaitable[Found | None]], timeout: float = 20) -> Found:
        """The first answer of a probe that is not empty; fails when a process of the lab has ended."""
        deadline = time.monotonic() + timeout
        while True:
            if any(process.returncode is not None for process in self._processes):
                raise RuntimeError(f"a process of the lab has ended\n{self._log_tails()}")
            try:
                if value := await probe():
                    return value
            except httpx.HTTPError:
                pass  # not up yet
            if time.monotonic() > deadline:
                raise TimeoutError("the lab did not reach the expected state")
            await asyncio.sleep(0.03)

    async def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="restate-lab-"))
        self._control = self._folder / "control.json"
        self._control.write_text("{}", encoding="utf-8")
        admin, ingress, node = free_ports(3)
        self.admin_url, self.ingress_url = f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{ingress}"
        await self._spawn(
            [self._server, "--no-logo", "--node-name", "lab", "--base-dir", str(self._folder / "data")],
            "server.log",
            {
                "RESTATE_DISABLE_TELEMETRY": "true",
                "RESTATE_LISTEN_MODE": "tcp",  # no unix sockets: a long folder name would break them
                "RESTATE_BIND_IP": "127.0.0.1",
                "RESTATE_BIND_PORT": str(node),
                "RESTATE_ADMIN__BIND_PORT": str(admin),
                "RESTATE_INGRESS__BIND_PORT": str(ingress),
                "RESTATE_DEFAULT_NUM_PARTITIONS": "4",
                "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "512MB",
                "RESTATE_SHUTDOWN_TIMEOUT": "10s",
                "RESTATE_LOG_FILTER": "warn",
                "RESTATE_LOG_FORMAT": "compact",
                "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
            },
        )
        await self.wait(lambda: self._is_up(f"{self.admin_url}/health"))
        await self.wait(lambda: self._is_up(f"{self.ingress_url}/restate/health"))
        # Health answers before the partitions do; until they do, the admin API answers 503.
        await self.wait(lambda: self.query("SELECT count(*) AS n FROM sys_invocation_status"))
        self.deployment_id = await self.deploy()

    async def _is_up(self, url: str) -> bool:
        return (await self.http.get(url)).status_code == 200

    async def _register(self, port: int) -> str | None:
        reply = await self.http.post(f"{self.admin_url}/deployments", json={"uri": f"http://127.0.0.1:{port}"})
        return str(reply.json()["id"]) if reply.status_code in {200, 201} else None

    async def _spawn(self, command: list[str], log: str, own: Mapping[str, str]) -> None:
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("RESTATE_", "LAB_"))}
        with (self._folder / log).open("wb") as out:
            process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, env={**surroundings, **own})
        self._processes.append(process)

    def _log_tails(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in self._folder.glob("*.log"))

    async def _stop(self) -> None:
        for process in self._processes[1:]:
            process.kill()  # the services: stateless, and deaf to SIGTERM
        for process in self._processes[:1]:
            process.terminate()  # the server: leaves with 0 in about 0.1 s
        await asyncio.gather(*(process.wait() for process in self._processes))
        self._processes.clear()
        await self.http.aclose()
        if not os.environ.get("LAB_KEEP"):
            shutil.rmtree(self._folder, ignore_errors=True)
