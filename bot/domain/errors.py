"""The errors the flow branches on; every class says whether trying again can help.

BotError
├── Refusal              a person may not, or cannot: a sentence for that person, never logged as a fault
├── EngineError          what an engine answered, or did not
│   ├── NotFound            this engine does not know the execution
│   ├── NotResumable        it knows it and cannot resume it (now)
│   ├── Forbidden           our credential is refused
│   ├── Unsupported         the engine's API cannot express it; raised before any call
│   ├── RateLimited         asked to wait; nothing happened
│   ├── NotSent             the call did not reach the engine, or harmlessly; nothing happened
│   ├── OutcomeUnknown      the call may have left and no answer came
│   └── ContractViolation   an answer that the contract does not know
├── ChatError            what the chat answered
│   ├── ChatRateLimited     asked to wait
│   ├── ChatUnavailable     no answer, or a fault on their side
│   └── ChatRefused         this message, channel or token will not do, however often
└── ConfigError          configuration, schema or surroundings do not let us start
"""


class BotError(Exception):
    """The base of all errors of this program; the text is one sentence for a person."""

    may_retry = False


class Refusal(BotError):
    """A person may not, or cannot; `reason` is the word for the audit trail, the text is for that person."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class EngineError(BotError):
    """An engine's answer that is not the one hoped for. The text never holds a secret."""


class NotFound(EngineError):
    """The engine does not know this execution."""


class NotResumable(EngineError):
    """The engine knows the execution and cannot resume it in its present state."""


class Forbidden(EngineError):
    """The engine refuses our credential, or what it may do."""


class Unsupported(EngineError):
    """The engine's API cannot express what was asked; nothing was sent."""


class RateLimited(EngineError):
    """The engine asks to wait `wait` seconds (None: it does not say); nothing happened."""

    may_retry = True

    def __init__(self, sentence: str, wait: float | None = None) -> None:
        super().__init__(sentence)
        self.wait = wait


class NotSent(EngineError):
    """The call did not reach the engine, or its contract calls the answer harmless: nothing happened."""

    may_retry = True


class OutcomeUnknown(EngineError):
    """The call may have left and no answer came: it may or may not have taken effect."""


class ContractViolation(EngineError):
    """An answer the engine's contract does not know. After a resume call it means that the outcome is unknown."""


class ChatError(BotError):
    """The chat's answer that is not the one hoped for; `code` is its own word for it."""

    def __init__(self, code: str, sentence: str | None = None) -> None:
        super().__init__(sentence or code)
        self.code = code


class ChatRateLimited(ChatError):
    """The chat asks to wait `wait` seconds before the same method is called again; nothing happened."""

    may_retry = True

    def __init__(self, wait: float) -> None:
        super().__init__("ratelimited")
        self.wait = wait


class ChatUnavailable(ChatError):
    """No answer, or a fault on the chat's side: the message may or may not stand there."""

    may_retry = True


class ChatRefused(ChatError):
    """It will not be taken, however often it is sent."""


class ConfigError(BotError):
    """Configuration, schema or surroundings do not let the program start; the text says what to change."""
