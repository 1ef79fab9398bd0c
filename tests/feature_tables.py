"""Writes the tables of docs/engines.md from what the engine classes declare: `python -m tests.feature_tables`, or `make docs`.

protocols a class satisfies ─▶ matrix        its `features` ─▶ the table of its section
"""

import re
from pathlib import Path

from bot.domain.ports import FindsFailures, KillsExecutions, PreparesResume, ResolvesLinks, StartsExecutions
from bot.engines import engine_class, engine_kinds

PAGE = Path(__file__).resolve().parent.parent / "docs" / "engines.md"
ABILITIES: dict[str, type] = {
    "finds failures by asking (poll, `/resume list`)": FindsFailures,
    "starts something new (`/start`)": StartsExecutions,
    "ends what runs (*Kill it*)": KillsExecutions,
    "ends it to begin anew from an earlier step (`restart`)": PreparesResume,
    "takes links that lead to an execution by a look-up": ResolvesLinks,
}
MARKED = re.compile(
    r"(?P<begin><!-- begin: (?P<name>\w+) \(made by `make docs`\) -->\n).*?(?P<end><!-- end: (?P=name) -->\n)", re.DOTALL
)


def table_of(kind: str) -> str:
    """What an engine declares, feature by feature: whether, and how or why not."""
    rows = [f"| {name} | {_split(said)} |\n" for name, said in engine_class(kind).features.items()]
    return "".join(["| feature | | how, or why not |\n|---|---|---|\n", *rows])


def _split(said: str) -> str:
    word = re.match(r"yes|no", said)
    return f"{word[0]} | {said[word.end() :].lstrip(':, ')}" if word else f" | {said}"


def matrix() -> str:
    """Which of the abilities that not every engine has each engine has."""
    engines = [engine_class(kind) for kind in engine_kinds()]
    head = f"| | {' | '.join(engine.title for engine in engines)} |\n|---|{'---|' * len(engines)}\n"
    return head + "".join(
        f"| {name} | {' | '.join('yes' if issubclass(engine, ability) else 'no' for engine in engines)} |\n"  # type: ignore[arg-type]  # a protocol of instances, looked at as a class
        for name, ability in ABILITIES.items()
    )


def with_tables(page: str) -> str:
    """The page with fresh tables between its markers; KeyError for a marker that names no engine."""
    tables = {"matrix": matrix(), **{kind: table_of(kind) for kind in engine_kinds()}}
    return MARKED.sub(lambda found: f"{found['begin']}\n{tables[found['name']]}\n{found['end']}", page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
