"""A small, honest reader of the SQL that the simulated Restate server is asked: what it does not know it refuses.

SELECT * | count(*) [AS name] | column [AS name], …  FROM table
 [WHERE column =, <>, <, <=, >, >= literal | column [NOT] IN (literal, …) | column IS [NOT] NULL, with AND, OR, ( )]
 [ORDER BY column [ASC | DESC], …] [LIMIT number]
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.simulators.restate_model import INVOCATION_ID
from bot.simulators.restate_tables import COLUMNS, Row, Value, rows_of
from bot.simulators.restate_world import World

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<sign><=|>=|<>|!=|[=<>(),;*.]))"
)
_OPERATORS: Mapping[str, Callable[[str | int, str | int], bool]] = {
    "=": operator.eq, "<>": operator.ne, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CHANGES = {"insert": "Insert", "update": "Update", "delete": "Delete"}
_DEFINITIONS = frozenset({"create", "drop", "alter", "truncate"})
_WITH_INVOCATION_IDS = frozenset(table for table in COLUMNS if table.startswith(("sys_invocation", "sys_journal")))

Test = Callable[[Row], bool]


class SqlError(Exception):
    """A query the server refuses; `status` is the HTTP status of its answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Datafusion error: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def run_query(world: World, sql: str) -> list[dict[str, Value]]:
    """The rows a SELECT finds, null columns left out; SqlError as the server would refuse it."""
    return _Query(world, _tokens(sql)).rows()


def _tokens(sql: str) -> list[_Token]:
    tokens, position = [], 0
    while sql[position:].strip():
        found = _TOKEN.match(sql, position)
        if not found:
            raise _syntax(f"Unexpected character {sql[position:].strip()[0]}")
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind]))
        position = found.end()
    return tokens


def _syntax(what: str) -> SqlError:
    return SqlError(400, f'SQL error: ParserError("{what}")')


def _unknown_column(name: str, table: str) -> SqlError:
    valid = ", ".join(f"{table}.{column}" for column in COLUMNS[table])
    return SqlError(500, f"Schema error: No field named {name}. Valid fields are {valid}.")


class _Query:
    """One query, read token by token."""

    def __init__(self, world: World, tokens: list[_Token]) -> None:
        self._world = world
        self._tokens = tokens
        self._at = 0
        self._table = ""

    def rows(self) -> list[dict[str, Value]]:
        """Read the whole query first, then run it."""
        self._refuse_all_but_select()
        wanted = self._select_list()
        self._expect("from")
        self._table = self._identifier()
        test = self._condition() if self._take("where") else None
        order = self._order()
        limit = int(self._literal_text("number")) if self._take("limit") else None
        self._end()
        self._check_names(wanted, order)
        found = [row for row in rows_of(self._world, self._table) if test is None or test(row)]
        for column, is_descending in reversed(order):
            found.sort(key=lambda row: _sort_key(row.get(column)), reverse=is_descending)
        if [name for name, _ in wanted] == ["count(*)"]:
            return [{wanted[0][1]: len(found)}]
        return [self._show(row, wanted) for row in found[:limit]]

    def _show(self, row: Row, wanted: list[tuple[str, str]]) -> dict[str, Value]:
        columns = [(name, name) for name in COLUMNS[self._table]] if wanted[0][0] == "*" else wanted
        shown = {label: row.get(name) for name, label in columns}
        return {label: value for label, value in shown.items() if value is not None}

    def _refuse_all_but_select(self) -> None:
        first = self._tokens[0].text.lower() if self._tokens else ""
        if first in _CHANGES:
            raise SqlError(400, f"Error during planning: DML not supported: {_CHANGES[first]}")
        if first in _DEFINITIONS:
            raise SqlError(400, f"Error during planning: DDL not supported: {first}")
        if not self._take("select"):
            raise _syntax(f"Expected: an SQL statement, found: {first or 'EOF'}")

    def _select_list(self) -> list[tuple[str, str]]:
        wanted = [self._select_item()]
        while self._take(","):
            wanted.append(self._select_item())
        return wanted

    def _select_item(self) -> tuple[str, str]:
        if self._take("*"):
            return "*", "*"
        name = self._identifier()
        if name == "count" and self._take("("):
            self._expect("*")
            self._expect(")")
            name = "count(*)"
        label = self._identifier() if self._take("as") else name
        return name, label

    def _condition(self) -> Test:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return lambda row: any(part(row) for part in parts)

    def _conjunction(self) -> Test:
        parts = [self._comparison()]
        while self._take("and"):
            parts.append(self._comparison())
        return lambda row: all(part(row) for part in parts)

    def _comparison(self) -> Test:
        if self._take("("):
            inner = self._condition()
            self._expect(")")
            return inner
        column = self._column()
        if self._take("is"):
            is_negated = self._take("not")
            self._expect("null")
            return lambda row: (row.get(column) is not None) if is_negated else (row.get(column) is None)
        if self._take("not"):
            self._expect("in")
            unwanted = self._literals(column)
            return lambda row: row.get(column) is not None and row.get(column) not in unwanted
        if self._take("in"):
            wanted = self._literals(column)
            return lambda row: row.get(column) in wanted
        return self._compared(column)

    def _compared(self, column: str) -> Test:
        sign = self._next("an operator").text
        if sign not in _OPERATORS:
            raise _syntax(f"Expected: end of statement, found: {sign}")
        compare, literal = _OPERATORS[sign], self._literal(column)

        def holds(row: Row) -> bool:
            value = row.get(column)
            if isinstance(value, str) and isinstance(literal, str):
                return compare(value, literal)
            return isinstance(value, int) and isinstance(literal, int) and compare(value, literal)

        return holds

    def _literals(self, column: str) -> list[str | int]:
        self._expect("(")
        values = [self._literal(column)]
        while self._take(","):
            values.append(self._literal(column))
        self._expect(")")
        return values

    def _literal(self, column: str) -> str | int:
        token = self._next("an expression")
        if token.kind == "number":
            return int(token.text)
        if token.kind != "text":
            raise SqlError(500, f"This feature is not implemented: {token.text} in a comparison")
        text = token.text[1:-1].replace("''", "'")
        if column == "id" and self._table in _WITH_INVOCATION_IDS and not INVOCATION_ID.fullmatch(text):
            raise SqlError(500, "External error: non valid invocation id")
        return _as_wire_time(text) if column.endswith("_at") else text

    def _order(self) -> list[tuple[str, bool]]:
        order: list[tuple[str, bool]] = []
        if self._take("order"):
            self._expect("by")
            while not order or self._take(","):
                column = self._column()
                is_descending = self._take("desc")
                if not is_descending:
                    self._take("asc")
                order.append((column, is_descending))
        return order

    def _end(self) -> None:
        if self._take(";") and self._at < len(self._tokens):
            raise SqlError(500, "This feature is not implemented: The context currently only supports a single SQL statement")
        if self._at < len(self._tokens):
            raise _syntax(f"Expected: end of statement, found: {self._tokens[self._at].text}")

    def _check_names(self, wanted: list[tuple[str, str]], order: list[tuple[str, bool]]) -> None:
        if self._table not in COLUMNS:
            raise SqlError(500, f"Error during planning: table 'restate.public.{self._table}' not found")
        for name in [name for name, _ in wanted if name not in {"*", "count(*)"}] + [column for column, _ in order]:
            if name not in COLUMNS[self._table]:
                raise _unknown_column(name, self._table)

    def _column(self) -> str:
        name = self._identifier()
        if self._table in COLUMNS and name not in COLUMNS[self._table]:
            raise _unknown_column(name, self._table)
        return name

    def _identifier(self) -> str:
        return self._literal_text("word").lower()

    def _literal_text(self, kind: str) -> str:
        token = self._next("an expression")
        if token.kind != kind:
            raise _syntax(f"Expected: an expression, found: {token.text}")
        return token.text

    def _next(self, hoped_for: str) -> _Token:
        if self._at >= len(self._tokens):
            raise _syntax(f"Expected: {hoped_for}, found: EOF")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, text: str) -> bool:
        is_here = self._at < len(self._tokens) and self._tokens[self._at].text.lower() == text
        self._at += is_here
        return is_here

    def _expect(self, text: str) -> None:
        found = self._next(text)
        if found.text.lower() != text:
            raise _syntax(f"Expected: {text.upper()}, found: {found.text}")


def _as_wire_time(text: str) -> str:
    """A time in the one form the tables hold, so that comparing texts compares times."""
    try:
        return datetime.fromisoformat(text).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except ValueError:
        raise SqlError(500, f"Arrow error: Parser error: Error parsing timestamp from '{text}'") from None


def _sort_key(value: Value) -> tuple[bool, str | int]:
    # Nulls come last, numbers and texts never meet in one column.
    return value is None, value if isinstance(value, str | int) else ""
