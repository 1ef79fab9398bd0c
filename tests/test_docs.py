"""What the documentation promises: everything that can be named is named in it, and what it says of names is so."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import aiohttp
import pytest
import typer
from pydantic import BaseModel
from slack_sdk.web.async_client import AsyncWebClient

from bot import cli, config, web
from bot.config_tables import POLICY_KEYS, ROUTE_KEYS, Connection, ConnectionTable, PolicyTable, RouteTable, SlackTable
from bot.domain.audit import AuditAction
from bot.domain.execution import Action
from bot.domain.ports import KillsExecutions, StartsExecutions
from bot.domain.request import RequestState
from bot.engines import engine_class, engine_kinds
from bot.parts import Identity, assemble, groups_of
from bot.slack import orders
from bot.slack.views import controls
from bot.store import metrics
from bot.store.unit_of_work import open_engine
from tests.feature_tables import MARKED, with_tables

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
}
README, ENGINES, OPERATIONS = PAGES["README.md"], PAGES["docs/engines.md"], PAGES["docs/operations.md"]
POLICIES, AUDIT, CHANGES = PAGES["docs/policies.md"], PAGES["docs/audit.md"], PAGES["CHANGELOG.md"]

BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# a placeholder, Slack's, engines' public ones, and those that are nobody's
HOSTS = re.compile(
    r"YOUR-HOST|<[a-z ]+>|host|127\.0\.0\.1|api\.slack\.com|(app|company)\.harness\.io|api-workflow\.treasuredata\.com"
    r"|([\w-]+\.)*example\.com"
)
FOREIGN_PATHS = re.compile(r"(?<![\w.>/…-])/(?:root|home|work|Users|tmp|opt|srv|mnt|var|usr)(?:/|\b)")
TEXTS = pytest.mark.parametrize("name", sorted(PAGES))


def prose(page: str) -> str:
    """The page without its blocks of code."""
    return BLOCK.sub("", page)


def names_in(page: str) -> set[str]:
    """Everything that stands between backticks, whole."""
    return set(re.findall(r"`([^`\n]+)`", prose(page)))


def section(page: str, title: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"there is no section “{title}”"
    return found[2]


def keys_of(table: str) -> set[str]:
    """What is named in the first column of tables."""
    return {name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}


# ---- engines -----------------------------------------------------------------------------------


def test_the_tables_of_the_engines_page_are_what_the_engines_declare() -> None:
    assert with_tables(ENGINES) == ENGINES, "run `make docs`"


@pytest.mark.parametrize("kind", engine_kinds())
def test_every_engine_has_a_section_with_its_table_and_all_its_keys(kind: str) -> None:
    marked = {found["name"]: found.end() for found in MARKED.finditer(ENGINES)}
    assert kind in marked, f"docs/engines.md has no markers for {kind}"
    text = ENGINES[marked[kind] :].partition("\n## ")[0]

    documented = keys_of(text)
    missing = set(engine_class(kind).Settings.model_fields) - documented

    assert not missing
    assert f'engine = "{kind}"' in text
    assert f'engine = "{kind}"' in section(README, "Connect an engine")
    assert f"`{kind}`" in OPERATIONS


@pytest.mark.parametrize(("feature", "ability"), [("start", StartsExecutions), ("kill", KillsExecutions)])
@pytest.mark.parametrize("kind", engine_kinds())
def test_what_an_engine_declares_of_itself_is_what_it_can(kind: str, feature: str, ability: type) -> None:
    engine = engine_class(kind)

    declared = engine.features.get(feature, "no").startswith("yes")

    assert declared is issubclass(engine, ability)  # type: ignore[arg-type]  # a protocol of instances, looked at as a class


# ---- settings ----------------------------------------------------------------------------------


def environment_variables() -> set[str]:
    """Every name that config.py reads from the environment; the names of platforms are told apart."""
    tree = ast.parse(inspect.getsource(config))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(r"[A-Z][A-Z0-9_]+", text)} - set(config.THROWAWAY_DISKS)


def test_every_environment_variable_is_documented_and_no_other() -> None:
    documented = keys_of(section(OPERATIONS, "Environment variables"))

    assert documented == environment_variables()


def test_every_platform_whose_disks_are_lost_is_named() -> None:
    text = section(OPERATIONS, "Environment variables")

    assert [name for name in config.THROWAWAY_DISKS.values() if name not in text] == []


@pytest.mark.parametrize(
    ("model", "page", "title"),
    [
        (SlackTable, OPERATIONS, "`[slack]`"),
        (ConnectionTable, OPERATIONS, "Connections"),
        (RouteTable, OPERATIONS, "Routes"),
        (PolicyTable, POLICIES, "Policies: who may ask, who may decide"),
    ],
)
def test_every_key_of_the_configuration_file_is_documented_and_no_other(model: type[BaseModel], page: str, title: str) -> None:
    documented = keys_of(section(page, title).partition("\n#")[0])

    assert documented == set(model.model_fields)


def test_every_table_of_the_configuration_file_is_shown() -> None:
    text = section(OPERATIONS, "The configuration file")

    assert [table for table in config.TABLES if f"[{table}]" not in text] == []


def test_everything_that_can_be_matched_by_is_documented() -> None:
    assert set(POLICY_KEYS) <= names_in(section(POLICIES, "What it holds for"))
    assert set(ROUTE_KEYS) <= names_in(section(OPERATIONS, "The configuration file"))


def test_every_action_is_named_where_policies_are_explained() -> None:
    assert {action.value for action in Action} <= names_in(POLICIES)


def examples() -> Iterator[tuple[str, str]]:
    for name, page in PAGES.items():
        for number, (_, language, text) in enumerate(BLOCK.findall(page), 1):
            if language == "toml":
                yield f"{name}, block {number}", text


@pytest.mark.parametrize("text", [text for _, text in examples()], ids=[name for name, _ in examples()])
def test_every_example_of_the_configuration_file_is_taken(text: str, tmp_path: Path) -> None:
    (tmp_path / "resumebot.toml").write_text(text, encoding="utf-8")
    for place in re.findall(r'"file:([^"]+)"', text):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("a-secret", encoding="utf-8")

    settings = config.load(dict.fromkeys(re.findall(r'"env:(\w+)"', text), "a-secret"), cwd=tmp_path)

    assert settings.file is not None


# ---- commands ----------------------------------------------------------------------------------


def verbs(command: typer.core.TyperGroup, prefix: str = "resumebot") -> Iterator[tuple[str, set[str]]]:
    """Every verb of the command line with its options."""
    for name, each in command.commands.items():
        if isinstance(each, typer.core.TyperGroup):
            yield from verbs(each, f"{prefix} {name}")
        else:
            yield (
                f"{prefix} {name}",
                {option for parameter in each.params for option in parameter.opts if option.startswith("--")},
            )


def all_verbs() -> Mapping[str, set[str]]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    return dict(verbs(group))


def test_every_verb_of_the_command_line_is_documented_with_its_options() -> None:
    text = section(OPERATIONS, "Commands")
    documented = {name.removesuffix(" FILE") for name in names_in(text)}

    missing = [verb for verb in all_verbs() if verb not in documented]
    unexplained = {option for options in all_verbs().values() for option in options} - documented

    assert missing == []
    assert unexplained - {"--help"} == set()


@pytest.mark.parametrize("name", [*sorted(PAGES), "Procfile"])
def test_no_verb_is_mentioned_that_the_command_line_does_not_have(name: str) -> None:
    text = PAGES.get(name) or (ROOT / name).read_text(encoding="utf-8")

    mentioned = set(re.findall(r"\b(resumebot (?:audit [a-z]+|[a-z]+))", text))

    assert mentioned <= {*all_verbs(), "resumebot audit"}


def slash_words() -> set[str]:
    """What `/resume` takes besides an execution."""
    tree = ast.parse(inspect.getsource(orders._resume))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    words = {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return {word for word in words if word.isalpha()}


def test_everything_that_can_be_typed_in_slack_is_in_the_readme() -> None:
    typed = section(README, "What you can type")

    missing = [word for word in slash_words() if not re.search(rf"`/resume {word}[ `]", typed)]

    assert slash_words()
    assert missing == []
    assert [command for command in (orders.RESUME, orders.START) if f"`{command} <" not in typed] == []


def test_what_the_readme_says_to_press_is_there_to_be_pressed() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("bot/play/*.py"))
    source += "".join(path.read_text(encoding="utf-8") for path in Path(inspect.getfile(controls)).parent.glob("*.py"))

    pressed = re.findall(r"\*\*([^*]+)\*\*", section(README, "Five minutes of play"))

    assert pressed
    assert [label for label in pressed if f'"{label}"' not in source] == []


# ---- what runs ---------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_every_job_is_documented_and_no_other() -> None:
    model = engine_class("restate").Settings.model_validate({"admin_url": "http://127.0.0.1:1"})
    settings = config.Settings(connections=(Connection("orders", "restate", model),))
    database = open_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")  # never opened
    async with aiohttp.ClientSession() as session:
        parts = assemble(settings, database, AsyncWebClient(session=session), session, Identity("T0", "U0"))
        tasks = {task for group in groups_of(parts, "") for task in group.tasks}
        await parts.close()

    documented = keys_of(section(OPERATIONS, "Jobs"))

    assert documented == {task.replace("poll orders", "poll <connection>") for task in tasks}


def test_every_metric_is_documented_and_no_other() -> None:
    exposed = set(re.findall(r'"(resumebot_\w+)"', inspect.getsource(metrics)))

    documented = {
        name.partition("{")[0]
        for name in keys_of(section(OPERATIONS, "Health, readiness, metrics"))
        if name.startswith("resumebot_")
    }

    assert documented == exposed


def test_every_path_of_the_web_process_is_documented() -> None:
    served = set(re.findall(r'Route\("(/\w+)', inspect.getsource(web)))

    assert served
    assert [path for path in served if path not in OPERATIONS] == []


def test_every_audit_tag_is_documented_and_no_other() -> None:
    documented = {name for name in keys_of(AUDIT) if name.count(":") == 2}

    assert documented == {action.value for action in AuditAction}


def test_every_state_of_a_request_is_explained() -> None:
    assert {state.value for state in RequestState} <= names_in(section(OPERATIONS, "Health, readiness, metrics"))


def test_every_log_line_that_is_explained_is_written() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("bot/**/*.py"))

    explained = keys_of(section(OPERATIONS, "Logs"))

    assert explained
    assert [line for line in explained if f'"{line}"' not in source] == []


# ---- the pages themselves ----------------------------------------------------------------------


def test_up_to_play_and_test_the_readme_asks_for_no_other_command() -> None:
    lines = [
        line.strip().removeprefix("$ ")
        for _, language, text in BLOCK.findall(README)
        if language in {"", "sh", "bash", "shell", "console", "text"}
        for line in text.splitlines()
    ]

    commands = [
        line for line in (line.partition("#")[0].strip() for line in lines) if line and not re.match(r"(git clone|cd)\b", line)
    ]

    assert sorted(commands[:2]) == ["make play", "make test"]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as they are made from them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@TEXTS
def test_every_link_between_pages_leads_somewhere(name: str) -> None:
    broken = []
    for target in LINK.findall(prose(PAGES[name])):
        place, _, anchor = target.partition("#")
        if "://" in place:
            continue
        file = (ROOT / name).parent / place if place else ROOT / name
        page = PAGES.get(file.resolve().relative_to(ROOT).as_posix(), "")
        if not file.exists() or (anchor and anchor not in anchors(page)):
            broken.append(target)

    assert broken == []


@TEXTS
def test_pages_name_no_path_of_a_machine_and_no_unknown_host(name: str) -> None:
    hosts = re.findall(r"https?://([^\s/:`)\"|]+)", PAGES[name])

    assert FOREIGN_PATHS.findall(PAGES[name]) == []
    assert [host for host in hosts if not HOSTS.fullmatch(host)] == []


def test_the_changelog_speaks_of_this_version_in_its_four_parts() -> None:
    newest = CHANGES.partition("\n## ")[2].partition("\n## ")[0]

    assert newest.startswith(metadata.version("resumebot"))
    assert re.findall(r"^### (\w+)$", newest, re.MULTILINE) == ["Added", "Changed", "Fixed", "Removed"]


def test_the_changelog_names_every_engine_it_added() -> None:
    assert [kind for kind in engine_kinds() if f"**{engine_class(kind).title}**" not in CHANGES] == []
