"""The playground as a real process, and its page as somebody's eyes and hands in a real browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from playwright.sync_api import Locator, Page, expect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 1000
PATIENCE = 30 * SECONDS
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
RITA, ARNO, OLGA = "U0RITA", "U0ARNO", "U0OLGA"
# what cannot be read or reached as it is drawn: cut, beyond the edge, scrolled sideways, or a button over another
MISFITS = """() => {
  const found = [];
  const isDrawn = (node) => node.getClientRects().length > 0 && !node.closest('.hear-only');
  const words = (node) => `${node.tagName}.${node.className} ${(node.innerText ?? '').slice(0, 40)}`;
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push('the page scrolls sideways');
  for (const node of [...document.querySelectorAll('body *:not(.skip)')].filter(isDrawn)) {
    const box = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    const [over, under] = [node.scrollWidth - node.clientWidth, node.scrollHeight - node.clientHeight];
    if (box.left < -1 || box.right > wide + 1) found.push(`beyond the edge: ${words(node)}`);
    if (over > 1 && node.clientWidth > 1 && style.overflowX !== 'visible') found.push(`too wide: ${words(node)}`);
    if (under > 1 && node.clientHeight > 1 && /hidden|clip/.test(style.overflowY)) found.push(`too high: ${words(node)}`);
  }
  for (const part of document.querySelectorAll('.top, .guide, .rail, .messages, .side')) {
    const controls = [...part.querySelectorAll('button:not(.message-menu), select')].filter(isDrawn);
    const inView = controls.map((node) => [node, node.getBoundingClientRect()]);
    for (const [one, a] of inView) for (const [other, b] of inView) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const isPart = one.closest('section') === other.closest('section');
      if (one !== other && isPart && across > 1 && down > 1) found.push(`over another: ${words(one)}`);
    }
  }
  return found;
}"""
opener = build_opener(ProxyHandler({}))


def browser_or_skip() -> str:
    """The browser's program; without one the test is skipped, or fails where one is demanded."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        reason = f"none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def until(holds: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {limit:g} s there was no {what}")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Whether a process is there; one that waits to be buried is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class PlayProcess:
    """`resumebot play` on a free port, with a temporary folder of its own."""

    def __init__(self, temporary: Path) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.said = temporary / "said"
        self.temporary = temporary / "files"
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)  # as root the database is another account
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RESUMEBOT_", "SLACK_"))}
        environment.pop("DATABASE_URL", None)
        environment |= {"PORT": str(self.port), "PLAY_OPEN": "0", "TMPDIR": str(self.temporary)}
        program = Path(sys.executable).with_name("resumebot")
        with self.said.open("wb") as output:
            self.process = subprocess.Popen([program, "play"], env=environment, cwd=temporary, stdout=output, stderr=output)

    def until_ready(self) -> None:
        """Wait until the bot takes calls."""
        until(lambda: self.process.poll() is None and self._answer("/readyz") == b"ready\n", f"playground: {self.words}")

    @property
    def words(self) -> str:
        """What it wrote."""
        return self.said.read_text(encoding="utf-8")

    @property
    def state(self) -> dict[str, Any]:
        """What the page shows beside the chat."""
        read: dict[str, Any] = json.loads(self._answer("/play/state") or b"{}")
        return read

    @property
    def worker(self) -> int | None:
        """The worker's process id while it lives."""
        facts = self.state["worker"]
        return facts["pid"] if facts["alive"] else None

    @property
    def database(self) -> int:
        """The process id of its own PostgreSQL."""
        (file,) = self.temporary.glob("resumebot-*/pg/postmaster.pid")
        return int(file.read_text().split()[0])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end: its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def bury(self) -> None:
        """End everything."""
        if self.process.poll() is None:
            self.end()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _answer(self, path: str) -> bytes:
        try:
            with opener.open(self.base + path, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except (URLError, OSError):
            return b""


class Card:
    """One card of the channel, known by its incident: the execution it shows may be a later one."""

    def __init__(self, page: Page, incident: str) -> None:
        cards = page.locator("#messages article").filter(has_not_text="failures at once")
        self.root = cards.filter(has_text=re.compile(rf"{incident}\b"))
        self.retry = self.root.get_by_role("button", name="Retry", exact=True)
        self.stages = self.root.get_by_label("Stage to resume from")
        self.thread = self.root.locator(".thread-open")


class PlayPage:
    """What one does there, by clicking only."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda line: self.troubles.append(line.text) if line.type == "error" else None)
        page.set_default_timeout(PATIENCE)
        page.goto(f"{base}/")
        self.channel = page.locator("#messages")
        self.thread = page.get_by_test_id("thread")
        self.modal = page.get_by_test_id("modal")
        self.only_me = page.get_by_test_id("ephemeral")
        self.audit = page.get_by_test_id("audit")
        self.engine = page.get_by_test_id("engine")
        self.hints = page.locator("#guide")

    def become(self, person: str) -> None:
        """Act as somebody else."""
        self.page.get_by_test_id(f"person-{person}").click()
        expect(self.page.get_by_test_id(f"person-{person}")).to_have_attribute("aria-pressed", "true")

    def misfits(self, width: int) -> list[str]:
        """What cannot be read or reached in a window of this width."""
        self.page.set_viewport_size({"width": width, "height": 800})
        found: list[str] = self.page.evaluate(MISFITS)
        return found

    def push(self, action: str) -> None:
        """Push one of the playground's buttons and see it done."""
        button = self.page.get_by_test_id(f"action-{action}")
        button.click()
        group = self.page.locator(".group").filter(has=button)
        expect(group.get_by_role("status")).to_contain_text("✅")

    def types(self, command: str) -> None:
        """Type a slash command and send it."""
        composer = self.page.get_by_test_id("composer")
        composer.fill(command)
        composer.press("Enter")

    def start_message(self) -> Locator:
        """The newest message of a start."""
        return self.channel.locator("article").filter(has_text="asked to start this").last

    def first_card(self) -> Card:
        """The card of the failure that comes by itself."""
        return self._card(self._executions().pop())

    def breaks(self, action: str) -> Card:
        """Let something fail, and its card come."""
        expect(self.engine.locator(".execution-id").first).to_be_visible()  # one has failed by itself: the panel is filled
        before = self._executions()
        self.push(action)
        expect(self.engine.locator(".execution-id")).to_have_count(len(before) + 1)
        (execution,) = self._executions() - before
        return self._card(execution)

    def _card(self, execution: str) -> Card:
        named = self.page.get_by_role("link", name=execution, exact=True)
        root = self.channel.locator("article").filter(has=named).filter(has=self.page.get_by_role("button", name="Retry"))
        found = re.search(r"inc-\d+", root.inner_text())
        assert found is not None
        return Card(self.page, found[0])

    def _executions(self) -> set[str]:
        found = self.engine.locator(".execution-id").all()
        return {str(each.get_attribute("title")) for each in found}

    def open_thread(self, card: Card) -> None:
        """Look into a card's thread."""
        card.thread.click()
        expect(self.thread).to_be_visible()

    def decide(self, label: str) -> None:
        """Press a button of the approval message in the open thread."""
        self.thread.get_by_role("button", name=label, exact=True).click()

    def entries(self, request: str) -> list[str]:
        """The tags of a request's entries, oldest first."""
        found = self.audit.locator("details").filter(has=self.page.get_by_text(re.compile(rf"\b{request}\b")))
        return [str(each.get_attribute("data-action")) for each in reversed(found.all())]

    def request_of(self, card: Card) -> str:
        """The label of the request that the card speaks of."""
        found = re.search(r"req-\d+", card.root.inner_text())
        assert found is not None
        return found[0]

    def picture(self, name: str) -> None:
        """A picture for the README, where pictures are wanted."""
        if os.environ.get("RESUMEBOT_SCREENSHOTS") == "1":
            self.page.mouse.move(640, 775)
            IMAGES.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")
