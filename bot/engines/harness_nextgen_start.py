"""Starting NextGen pipelines: found by name or identifier, asked for their runtime inputs, started once."""

from collections.abc import Mapping
from datetime import datetime

from bot.domain.errors import ContractViolation, Forbidden, NotFound, NotResumable, NotSent
from bot.domain.execution import Evidence, ExecutionRef, Finding, Receipt, StartInput, StartTarget
from bot.domain.ports import Purpose, purpose
from bot.engines._budget import Purse
from bot.engines._harness_inputs import NOTES, notes_of, too_many
from bot.engines._harness_links import Links
from bot.engines._http import path_segment
from bot.engines._ready import Ready
from bot.engines.harness_nextgen_api import PipelineApi
from bot.engines.harness_nextgen_inputs import Template, fill, read_template
from bot.engines.harness_nextgen_wire import ExecutionsBody, PipelineBody, PipelinesBody, TemplateBody

CALLS_OF_A_LOOK = 2


class Starts:
    """What can be started in one project."""

    def __init__(self, connection: str, api: PipelineApi, links: Links, page: tuple[str, ...]) -> None:
        self._connection = connection
        self._api = api
        self._links = links
        self._page = page
        self._ready = Ready[Template]()

    async def find(self, name: str) -> list[StartTarget]:
        """Pipelines of this name or identifier."""
        query = {"page": "0", "size": "50", "searchTerm": name}
        wanted = name.strip().casefold()
        is_before_call = purpose.get() is Purpose.CARRY_OUT
        async with self._api.budget.together(CALLS_OF_A_LOOK + is_before_call) as purse:
            listed = await self._api.post(PipelinesBody, "/pipelines/list", {"filterType": "PipelineSetup"}, query)
            meant = [one for one in listed.content if wanted in {one.name.casefold(), one.identifier.casefold()}]
            templates = {one.identifier: await self._template(one.identifier) for one in meant}
            for identifier, template in templates.items():
                self._ready.keep(identifier, template, await purse.keep() if is_before_call else Purse())
        return [self._target(one, templates[one.identifier]) for one in meant]

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Fill the template that the target was read with, and start."""
        template, purse = self._ready.take(target.key)
        try:
            template = template or await self._template(target.key)
        except ContractViolation as error:
            raise NotSent(str(error)) from None
        if target.version and template.fingerprint != target.version:
            raise NotResumable("The pipeline's inputs have changed since they were shown.")
        body = fill(template, inputs)
        path = f"/pipeline/execute/{path_segment(target.key)}"
        query = [("notesForPipelineExecution", notes_of(inputs.get(NOTES, ""), key))]
        with self._api.budget.spending(purse):
            new = await self._api.send(path, query, body, send_before)
        return Receipt(ExecutionRef(self._connection, new))

    async def evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Executions of the pipeline since then, and whether one carries our key in its notes."""
        moment = int(since.timestamp() * 1000) - 60_000
        body = {"filterType": "PipelineExecution", "pipelineIdentifiers": [target.key]}
        query = {"page": "0", "size": "50", "showAllExecutions": "true"}
        listed = await self._api.post(ExecutionsBody, "/pipelines/execution/summary", body, query)
        for one in listed.content:
            if (one.created_at or one.started_at or 0) >= moment and await carries(self._api, one.id, key):
                ref = ExecutionRef(self._connection, one.id)
                return Evidence(Finding.HAPPENED, f"Execution {one.id} carries this request in its notes.", ref)
        return Evidence(Finding.UNCLEAR, "No execution in Harness carries this request in its notes.")

    def _target(self, pipeline: PipelineBody, template: Template) -> StartTarget:
        inputs = (*template.inputs, StartInput(NOTES, "Notes"))
        refusal = template.refusal or too_many(inputs)
        return StartTarget(
            connection=self._connection,
            key=pipeline.identifier,
            name=pipeline.name or pipeline.identifier,
            inputs=() if refusal else inputs,
            link=self._links.to(*self._page, "pipelines", pipeline.identifier, "pipeline-studio"),
            refusal=refusal,
            version=template.fingerprint,
        )

    async def _template(self, identifier: str) -> Template:
        found = await self._api.post(TemplateBody, "/inputSets/template", {}, {"pipelineIdentifier": identifier})
        return read_template(found.text or "")


async def carries(api: PipelineApi, execution: str, key: str) -> bool | None:
    """Whether the notes of an execution hold our key; None where Harness does not show them."""
    try:
        envelope = await api.ask("GET", f"/pipelines/execution/{path_segment(execution)}/notes")
    except (NotFound, Forbidden, ContractViolation):
        return None
    return None if envelope.data is None else f"[{key}]" in str(envelope.data)
