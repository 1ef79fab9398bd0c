"""What a connection's own settings take, for every engine."""

from typing import Any

import pytest
from pydantic import ValidationError

from bot.engines import engine_class

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "restate": ("admin_url", {}),
    "digdag": ("base_url", {}),
    "harness_firstgen": ("base_url", {"account": "AbCdEfGhIjKlMnOpQrStUv", "token": "t"}),
    "harness_nextgen": ("base_url", {"account": "AbCdEfGhIjKlMnOpQrStUv", "org": "o", "project": "p", "token": "t"}),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_address_with_a_password_is_refused_since_links_would_show_it(kind: str) -> None:
    key, others = SETTINGS[kind]
    engine = engine_class(kind)

    assert engine.Settings.model_validate({key: "https://engine.example.com", **others})
    with pytest.raises(ValidationError, match="must hold no user or password"):
        engine.Settings.model_validate({key: "https://bob:s3cret@engine.example.com", **others})
