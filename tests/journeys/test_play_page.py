"""The playground by clicking: a real process, a real browser, no other hands."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.journeys.play_page import (
    ARNO,
    FLAGS,
    OLGA,
    PATIENCE,
    RITA,
    PlayPage,
    PlayProcess,
    browser_or_skip,
    is_alive,
    until,
)

pytestmark = pytest.mark.journey

WHOLE_LOOP = [
    "request:resume:requested",
    "request:decision:refused",
    "request:decision:approved",
    "request:call:sent",
    "request:receipt:running",
    "request:outcome:succeeded",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = browser_or_skip()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=FLAGS)


@contextmanager
def started() -> Iterator[PlayProcess]:
    with tempfile.TemporaryDirectory(prefix="resumebot-journey-") as folder:
        Path(folder).chmod(0o711)
        running = PlayProcess(Path(folder))
        try:
            running.until_ready()
            yield running
        finally:
            running.bury()


@pytest.fixture(scope="module")
def playground(browser: Browser) -> Iterator[PlayProcess]:
    with started() as running:
        yield running


@pytest.fixture
def page(browser: Browser, playground: PlayProcess) -> Iterator[PlayPage]:
    tab = browser.new_page(viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin", locale="en-GB")
    made = PlayPage(tab, playground.base)
    yield made
    tab.close()
    assert made.troubles == []
    assert "Traceback" not in playground.words


def test_one_asks_another_approves_and_the_failure_succeeds(page: PlayPage) -> None:
    expect(page.channel.get_by_role("button", name="Retry")).to_be_visible(timeout=10_000)  # it fails by itself
    card = page.first_card()
    expect(page.hints).to_contain_text("press Retry")
    page.picture("card")
    page.push("repair")

    card.stages.select_option("deploy, on the latest deployment")
    card.retry.click()
    page.open_thread(card)
    page.decide("Approve")
    expect(page.only_me).to_contain_text("somebody else has to decide")
    page.become(OLGA)
    expect(page.only_me).to_have_count(0)
    page.decide("Approve")
    expect(page.only_me).to_contain_text("organisation")
    expect(page.hints).to_contain_text("Switch to Arno")
    page.become(ARNO)
    expect(page.only_me).to_have_count(0)
    page.decide("Approve")

    expect(card.root).to_contain_text("Succeeded")
    expect(page.thread).to_contain_text("Checkout/run succeeded.")
    expect(page.engine).to_contain_text("on the latest deployment")
    expect(page.audit).to_contain_text("request:outcome:succeeded")
    request = page.request_of(card)
    entries = [tag for tag in page.entries(request) if tag.startswith("request:")]
    assert list(dict.fromkeys(entries)) == WHOLE_LOOP
    assert entries.count("request:decision:refused") == 2
    assert entries.count("request:call:sent") == 1
    expect(page.hints).to_contain_text("That was the whole loop")
    page.picture("thread")


def test_the_audit_trail_opens_to_the_full_entry(page: PlayPage) -> None:
    for part in ("Playground", "Engine"):
        page.page.get_by_role("button", name=part).click()

    entry = page.audit.locator("details[data-action='request:call:sent']").first
    entry.locator("summary").click()

    expect(entry).to_contain_text('"action": "request:call:sent"')
    page.picture("audit")


def test_a_command_opens_a_modal_that_asks_for_failure_and_stage(page: PlayPage) -> None:
    card = page.breaks("break_platform")
    page.push("repair")
    page.become(RITA)

    page.types("/resume")
    expect(page.modal).to_contain_text("Open failures")
    page.page.get_by_test_id("modal-submit").click()
    stages = page.modal.get_by_label("Resume from")
    expect(stages).to_be_visible()
    page.picture("modal")
    stages.select_option("Deploy EU (prod), Deploy US (prod), Deploy AP (prod)")
    page.page.get_by_test_id("modal-submit").click()

    expect(card.root).to_contain_text("asked to resume “Deploy EU (prod), Deploy US (prod), Deploy AP (prod)")


def test_a_typed_start_asks_for_its_variables_is_approved_by_another_and_succeeds(page: PlayPage) -> None:
    page.push("repair")
    page.become(RITA)

    page.types("/start platform:Deploy shop")
    page.modal.get_by_label("version").fill("1.4.2")
    page.modal.get_by_label("environment").select_option("production")
    page.page.get_by_test_id("modal-submit").click()
    expect(page.modal).to_contain_text("Asked: req-")
    page.modal.get_by_role("button", name="Close").last.click()
    message = page.start_message()
    expect(message).to_contain_text("Waiting for approval: Deploy shop")
    message.locator(".thread-open").click()
    page.become(ARNO)
    page.decide("Approve")

    expect(message).to_contain_text("Succeeded: Deploy shop")
    expect(page.thread).to_contain_text("Deploy shop succeeded.")


def test_a_killed_worker_is_replaced_and_the_resume_is_made_once(page: PlayPage, playground: PlayProcess) -> None:
    card = page.breaks("break")
    page.push("repair")
    card.retry.click()
    page.open_thread(card)
    before = playground.worker

    page.push("kill_worker")
    page.become(ARNO)
    page.decide("Approve")

    expect(card.root).to_contain_text("Succeeded", timeout=PATIENCE)
    assert playground.worker not in {None, before}
    assert playground.state["worker"]["restarts"] >= 1
    assert page.entries(page.request_of(card)).count("request:call:sent") == 1


def test_a_lost_answer_is_cleared_up_without_a_second_call(page: PlayPage) -> None:
    card = page.breaks("break")
    page.push("repair")
    page.push("lose_answer")
    card.retry.click()
    page.open_thread(card)
    page.become(ARNO)

    page.decide("Approve")

    expect(card.root).to_contain_text("Succeeded", timeout=PATIENCE)
    entries = page.entries(page.request_of(card))
    assert entries.count("request:call:sent") == 1
    assert "request:receipt:unknown" in entries


def test_engines_that_push_are_resumed_in_the_same_way(page: PlayPage) -> None:
    cards = [page.breaks(action) for action in ("break_legacy", "break_etl")]
    page.push("repair")

    for card in cards:
        page.become(RITA)
        card.retry.click()
        page.open_thread(card)
        page.become(ARNO)
        page.decide("Approve")

    for card in cards:
        expect(card.root).to_contain_text("Succeeded", timeout=PATIENCE)


def test_a_storm_is_gathered_into_one_message(page: PlayPage) -> None:
    page.push("storm")

    expect(page.channel).to_contain_text("failures at once", timeout=PATIENCE)
    expect(page.channel.get_by_role("button", name="Show card").first).to_be_visible()
    expect(page.audit.locator("details[data-action='incident:notice:received']").first).to_be_visible()


@pytest.mark.parametrize("width", [1920, 1360, 1280, 1024, 700, 390])
def test_everything_can_be_read_and_reached_at_every_width(page: PlayPage, width: int) -> None:
    toggle = page.page.get_by_role("button", name="panel")
    page.channel.locator(".thread-open").first.wait_for()

    misfits = page.misfits(width)
    if toggle.inner_text() == "Show panel":
        toggle.click()
    misfits += page.misfits(width)
    page.page.get_by_role("button", name="Hide panel").click()
    page.channel.locator(".thread-open").first.click()
    expect(page.thread).to_be_visible()

    assert [*misfits, *page.misfits(width)] == []


def test_a_link_to_an_execution_shows_how_it_stands(page: PlayPage) -> None:
    with page.page.expect_popup() as opened:
        page.engine.locator("a").first.click()

    opened.value.wait_for_load_state()
    expect(opened.value.locator("article.asked")).to_contain_text("paused")


def test_a_narrow_page_shows_in_the_thread_what_is_told_to_one_alone(page: PlayPage) -> None:
    card = page.breaks("break_platform")
    card.retry.click()
    page.page.set_viewport_size({"width": 390, "height": 800})
    page.open_thread(card)

    page.decide("Approve")

    expect(page.thread.get_by_test_id("ephemeral")).to_contain_text("somebody else has to decide")


def test_a_killed_playground_takes_its_worker_its_database_and_its_files_along() -> None:
    with started() as process:
        until(lambda: process.worker is not None, "worker")
        worker = process.worker
        assert worker is not None
        database = process.database

        process.end(signal.SIGKILL)

        until(lambda: not is_alive(worker), "end of the worker", limit=5)
        until(lambda: not is_alive(database), "end of the database", limit=10)
        until(lambda: not list(process.temporary.iterdir()), "end of the files", limit=10)


def test_ctrl_c_leaves_no_process_and_no_file(page: PlayPage, playground: PlayProcess) -> None:
    worker = playground.worker
    assert worker is not None

    status = playground.end(signal.SIGINT)

    assert status == 0
    assert not is_alive(worker)
    assert list(playground.temporary.iterdir()) == []
    expect(page.page.locator("#stopped")).to_contain_text("The playground stopped")
    page.troubles.clear()  # a page whose server is gone says so
