"""Addresses of Harness FirstGen: whose links are read, where calls go, and who we are there."""

import pytest

from bot.domain.errors import Forbidden
from bot.simulators.harness_world import Progress
from tests.engines.harness_stand import FirstGenStand

pytestmark = pytest.mark.anyio

FAILED_US = ("el-deploy-us", Progress.FAILED)


@pytest.fixture
def stand(firstgen: FirstGenStand) -> FirstGenStand:
    return firstgen


async def test_own_links_are_read_and_lead_back(stand: FirstGenStand) -> None:
    run = await stand.failed(FAILED_US)
    link = (await stand.describe(run)).link

    assert stand.engine.read_argument(link) == run.identifier
    assert stand.engine.read_argument(f"<{link}|Deploy shop>") == run.identifier
    assert stand.engine.read_argument(run.identifier) == run.identifier


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/#/account/{account}/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/#/account/other/app/a/pipeline-execution/{id}/workflow-execution/undefined/details",
        "{base}/ng/#/account/{account}/cd/orgs/o/projects/p/pipelines/x/executions/{id}/pipeline",
        "{base}/#/account/{account}/app/a/pipeline-execution/short/workflow-execution/undefined/details",
        "not an id",
        "http://[",
    ],
)
async def test_other_texts_are_no_execution_of_ours(stand: FirstGenStand, text: str) -> None:
    given = text.format(base=stand.simulator.public_url, account=stand.simulator.estate.account, id="A" * 22)

    assert stand.engine.read_argument(given) is None


async def test_a_workflow_link_is_read(stand: FirstGenStand) -> None:
    base, account = stand.simulator.public_url, stand.simulator.estate.account

    assert stand.engine.read_argument(f"{base}/#/account/{account}/app/a/env/e/executions/{'A' * 22}/details") == "A" * 22


async def test_check_says_who_we_are(stand: FirstGenStand) -> None:
    assert "1 applications can be seen" in await stand.engine.check()


async def test_a_gateway_in_the_base_address_changes_nothing(stand: FirstGenStand) -> None:
    settings = stand.engine.Settings(base_url=f"{stand.simulator.public_url}/gateway", account=stand.simulator.estate.account)

    other = type(stand.engine)("other", settings, stand.engine._api._client._throttle)

    with pytest.raises(Forbidden):
        await other.check()
    await other.aclose()
    assert stand.simulator.faults.calls[-1].path == "/gateway/api/graphql"
