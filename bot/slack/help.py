"""What `/resume help` says."""

from bot.domain.messages import Answer
from bot.domain.text import listed

LINES = (
    "*What you can type*",
    "`/resume` – choose one of the open failures",
    "`/resume <execution or link> [stage]` – resume it, from the stage where you name one",
    "`/start [connection:][application/]<name>` – start a pipeline or workflow; a form asks for its inputs",
    "`/resume list` – what is open    `/resume mine` – what waits for you, or was asked by you",
    "`/resume status <id>` – how it stands    `/resume audit <id>` – who did what    `/resume why <id>` – why (not)",
    "(an id is `req-17`, `inc-42`, or an execution)",
    "For example: `/resume inv_1gdFc0Yo3nCl7Y2Zq0Zt deploy`, or paste the execution's address.",
)


def help_answer(connections: list[str]) -> Answer:
    """The commands with examples, and the connections an execution can be prefixed with."""
    if connections:
        names = listed([f"`{name}`" for name in connections])
        last = f"Connections: {names}. Where several know an execution, write `{connections[0]}:<execution>`."
    else:
        last = "No engine is connected yet; an administrator adds one to the configuration."
    return Answer("\n".join((*LINES, last)))
