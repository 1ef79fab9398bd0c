"""Every kind of engine is found by its name, says what it can do, and stands in the contract's rows."""

import tomllib
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.engines import engine_class, engine_kinds
from tests.engines.cases import Case, all_cases

ROOT = Path(__file__).resolve().parents[2]
CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_feature_says_yes_or_why_not(case: Case) -> None:
    features = engine_class(case.kind).features

    assert features
    assert all(text.startswith(("yes", "no")) for text in features.values()), features


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="restate"):
        engine_class("no such engine")


def test_files_entry_points_and_rows_name_the_same_engines() -> None:
    folder = ROOT / "bot" / "engines"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    written: dict[str, str] = project["entry-points"]["bot.engines"]
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}

    assert set(engine_kinds()) == set(written), "install the project again: its metadata does not know a new entry point"
    assert {case.kind for case in CASES} == set(written)
    for kind, target in written.items():
        assert target.startswith(f"bot.engines.{kind}:")
        assert engine_class(kind).kind == kind
    assert {name for name in files if not any(name == kind or name.startswith(f"{kind}_") for kind in written)} == set()
