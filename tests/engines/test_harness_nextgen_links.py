"""Addresses of Harness NextGen: whose links are read, and who we are there."""

import pytest
from pydantic import ValidationError

from bot.engines.harness_nextgen import HarnessNextgen
from bot.simulators.harness_samples import ORG, PROJECT
from bot.simulators.harness_world import Progress
from tests.engines.harness_stand import NextGenStand

pytestmark = pytest.mark.anyio

FAILED_US = ("deploy_us", Progress.FAILED)


@pytest.fixture
def stand(nextgen: NextGenStand) -> NextGenStand:
    return nextgen


LINKS = [
    "{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline?stage=x&step=y",
    "{base}/ng/#/account/{acc}/home/orgs/default/projects/shop/pipelines/shop/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/all/orgs/default/projects/shop/pipelines/shop/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/module/ci/orgs/default/projects/shop/pipelines/shop/builds/{id}/pipeline",
    "<{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline|open>",
    "  {id} ",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/projects/executions/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/executions/executions/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/builds/deployments/{id}/pipeline",
    "{base}/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/pipelines/executions/{id}/executions/x",
]


@pytest.mark.parametrize("text", LINKS)
async def test_links_of_all_forms_are_read(stand: NextGenStand, text: str) -> None:
    identifier = "-aB_0123456789-aB_0123"

    assert stand.engine.read_argument(
        text.format(base=stand.simulator.public_url, acc=stand.simulator.account, id=identifier)
    ) == (identifier)


@pytest.mark.parametrize(
    "text",
    [
        "{base}/ng/account/{acc}/cd/orgs/projects/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/elsewhere/ng/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "https://evil.example/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/ng/#/account/other/cd/orgs/default/projects/shop/pipelines/shop/executions/{id}/pipeline",
        "{base}/ng/#/account/{acc}/cd/orgs/default/projects/other/pipelines/shop/executions/{id}/pipeline",
        "{base}/#/account/{acc}/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/ng/#/account/{acc}/cd/orgs/default/projects/shop/pipelines/shop",
    ],
)
async def test_links_to_elsewhere_are_not_ours(stand: NextGenStand, text: str) -> None:
    given = text.format(base=stand.simulator.public_url, acc=stand.simulator.account, id="A" * 22)

    assert stand.engine.read_argument(given) is None


async def test_own_links_lead_back(stand: NextGenStand) -> None:
    run = await stand.failed(FAILED_US)

    assert stand.engine.read_argument((await stand.describe(run)).link) == run.identifier


@pytest.mark.parametrize(
    ("base", "ui", "shown"),
    [
        ("https://app.harness.io", "https://company.example/harness", "https://company.example/harness/ng/"),
        ("https://app.harness.io", "https://company.example/harness/", "https://company.example/harness/ng/"),
        ("https://app.harness.io/gateway", "", "https://app.harness.io/ng/"),
        ("https://app.harness.io:443", "", "https://app.harness.io/ng/"),
        ("https://app.harness.io", "", "https://app.harness.io:443/ng/"),
        ("https://app.harness.io", "https://COMPANY.example", "https://company.EXAMPLE/ng/"),
        ("http://10.0.0.1:80", "", "http://10.0.0.1/ng/"),
    ],
)
async def test_links_are_ours_whatever_their_path_and_port(stand: NextGenStand, base: str, ui: str, shown: str) -> None:
    given = {"base_url": base, "ui_url": ui, "account": "acc", "org": ORG, "project": PROJECT}
    engine = HarnessNextgen("links", HarnessNextgen.Settings.model_validate(given), stand.engine._api.budget)
    place = f"account/acc/cd/orgs/{ORG}/projects/{PROJECT}/pipelines/p/executions/{'A' * 22}/pipeline"

    assert engine.read_argument(f"{shown}{place}") == "A" * 22
    assert engine.read_argument(f"{shown}#/{place}") == "A" * 22
    assert engine.read_argument(engine._links.to(*engine._page, "pipelines", "p", "executions", "A" * 22)) == "A" * 22
    assert engine.read_argument(f"https://evil@app.harness.io/ng/{place}") is None
    assert engine.read_argument(f"https://app.harness.io:99999999/ng/{place}") is None
    await engine.aclose()


async def test_people_may_look_at_another_host_than_we_call(stand: NextGenStand) -> None:
    settings = stand.engine.Settings.model_validate(
        {"base_url": "https://app.harness.io/gateway", "account": "acc", "org": ORG, "project": PROJECT}
        | {"ui_url": "https://company.harness.io"}
    )
    engine = type(stand.engine)("vanity", settings, stand.engine._api._client._throttle)

    for host in ("https://company.harness.io", "https://app.harness.io"):
        link = f"{host}/ng/account/acc/all/orgs/{ORG}/projects/{PROJECT}/pipelines/p/executions/{'A' * 22}/pipeline"
        assert engine.read_argument(link) == "A" * 22
    await engine.aclose()


async def test_check_says_who_we_are(stand: NextGenStand) -> None:
    assert "1 pipelines can be seen" in await stand.engine.check()


def test_the_account_is_read_out_of_the_token_or_wanted() -> None:
    given = {"base_url": "https://app.harness.io", "org": "o", "project": "p"}

    named = HarnessNextgen.Settings.model_validate(given | {"token": "sat.acc1.id.secret"})
    with pytest.raises(ValidationError):
        HarnessNextgen.Settings.model_validate(given | {"token": "opaque"})

    assert named.account_id == "acc1"
