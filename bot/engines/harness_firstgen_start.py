"""Starting FirstGen pipelines and workflows: found by name, asked for variables and artifacts, started once.

name ──applicationByName──▶ pipelineByName, workflowByName ──executionInputs──▶ services ──▶ startExecution
(without an application: 40 of them in one query, two fields each)      key ──pipeline or workflow──▶ the same
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from bot.domain.errors import NotFound, NotResumable, OutcomeUnknown, Unsupported
from bot.domain.execution import Evidence, ExecutionRef, Finding, InputKind, Receipt, StartInput, StartTarget, listed_in
from bot.engines._harness_inputs import NOTES, check_plain, check_value, notes_of, too_many
from bot.engines._harness_links import Links
from bot.engines.harness_firstgen_api import GraphQL, Reply
from bot.engines.harness_firstgen_applications import Applications
from bot.engines.harness_firstgen_wire import (
    AT_ONCE,
    EXECUTIONS,
    Entity,
    ExecutionBody,
    ExecutionsBody,
    PipelineBody,
    VariableBody,
    WorkflowBody,
)

VARIABLES = "{ name type required allowedValues defaultValue fixed allowMultipleValues }"
KEY = re.compile(r"(?P<kind>PIPELINE|WORKFLOW) (?P<application>\S+) (?P<entity>\S+)")
BY_KEY = {
    "PIPELINE": f"""query Target($entity: String!, $application: String!) {{
  application(applicationId: $application) {{ id name }}
  found: pipeline(pipelineId: $entity) {{ id name pipelineVariables {VARIABLES} }} }}""",
    "WORKFLOW": f"""query Target($entity: String!, $application: String!) {{
  application(applicationId: $application) {{ id name }}
  found: workflow(workflowId: $entity) {{ id name workflowVariables {VARIABLES} }} }}""",
}
INPUTS = """query Inputs($entity: String!, $application: String!, $type: ExecutionType!) {
  executionInputs(entityId: $entity, applicationId: $application, executionType: $type) {
    serviceInputs { id name } serviceManifestInputs { id name } } }"""
START = """mutation Start($input: StartExecutionInput!) {
  startExecution(input: $input) { execution { id } warningMessage } }"""


class Starts:
    """What can be started on one connection."""

    def __init__(self, connection: str, account: str, api: GraphQL, applications: Applications, links: Links) -> None:
        self._connection = connection
        self._account = account
        self._api = api
        self._applications = applications
        self._links = links

    async def find(self, application: str | None, name: str) -> list[StartTarget]:
        """Pipelines and workflows of this name (or what has this key), in one application or in all of them.

        Raises Unsupported when nothing is found and there are more applications than are looked through.
        """
        if application is None and (key := KEY.fullmatch(name)) is not None:
            return await self._by_key(key["kind"], key["application"], key["entity"])
        if application is not None:
            return await self._named(await self._applications.named(application), name)
        listed = await self._applications.all()
        found = [target for some in batched(listed.applications, AT_ONCE) for target in await self._named(some, name)]
        if not found and not listed.is_all:
            raise Unsupported(
                f"{self._connection} has {listed.total} applications and I looked in {len(listed.applications)} of them;"
                f" write the application too: /start {self._connection}:<application>/<name>"
            )
        return found

    async def _by_key(self, kind: str, application: str, entity: str) -> list[StartTarget]:
        reply = await self._api.ask(BY_KEY[kind], {"entity": entity, "application": application})
        home, data = reply.data.get("application"), reply.data.get("found")
        if home is None or data is None:
            return []
        found = self._api.read(PipelineBody, data) if kind == "PIPELINE" else self._api.read(WorkflowBody, data)
        return [await self._target(self._api.read(Entity, home), kind, found, found.variables)]

    async def _named(self, applications: Sequence[Entity], name: str) -> list[StartTarget]:
        if not applications:
            return []
        query, variables = _lookup(applications, name)
        reply = await self._api.ask(query, variables)
        found = []
        for index, one in enumerate(applications):
            if (data := reply.data.get(f"pipeline{index}")) is not None:
                pipeline = self._api.read(PipelineBody, data)
                found.append(await self._target(one, "PIPELINE", pipeline, pipeline.variables))
            if (data := reply.data.get(f"workflow{index}")) is not None:
                workflow = self._api.read(WorkflowBody, data)
                found.append(await self._target(one, "WORKFLOW", workflow, workflow.variables))
        return found

    async def start(self, target: StartTarget, inputs: Mapping[str, str], key: str, send_before: float) -> Receipt:
        """Check what the server would only refuse in its own words, and start."""
        kind, application, entity = target.key.split(" ")
        _check(target, inputs)
        given = {
            "clientMutationId": key,
            "applicationId": application,
            "entityId": entity,
            "executionType": kind,
            "variableInputs": _variables(target, inputs),
            "serviceInputs": _services(inputs),
            "notes": notes_of(inputs.get(NOTES, ""), key),
        }
        reply = await self._api.send(START, {"input": given}, send_before)
        return _receipt(self._api, self._connection, reply)

    async def evidence(self, target: StartTarget, key: str, since: datetime) -> Evidence:
        """Our key stands in the notes of what we started."""
        _, application, entity = target.key.split(" ")
        kind = "pipeline" if target.key.startswith("PIPELINE") else "workflow"
        filters = [
            {"applicationId": application},
            {kind: {"operator": "EQUALS", "values": [entity]}},
            {"creationTime": {"operator": "AFTER", "value": str(int(since.timestamp() * 1000) - 60_000)}},
        ]
        reply = await self._api.ask(EXECUTIONS, {"filters": filters, "limit": 50})
        listed = self._api.read(ExecutionsBody, reply.data.get("executions") or {}).nodes
        ours = next((one for one in listed if f"[{key}]" in (one.notes or "")), None)
        if ours is None:
            return Evidence(Finding.UNCLEAR, "No execution in Harness carries this request in its notes.")
        ref = ExecutionRef(self._connection, ours.id)
        return Evidence(Finding.HAPPENED, f"Execution {ours.id} carries this request in its notes.", ref)

    async def _target(self, application: Entity, kind: str, entity: Entity, variables: Sequence[VariableBody]) -> StartTarget:
        services = await self._service_inputs(application, kind, entity)
        asked = [*(_asked(one) for one in variables if one.name and not one.fixed), *services]
        inputs = (*asked, StartInput(NOTES, "Notes"))
        refusal = too_many(asked)  # the notes are no input of the pipeline's
        return StartTarget(
            connection=self._connection,
            key=f"{kind} {application.id} {entity.id}",
            name=entity.name,
            inputs=() if refusal else inputs,
            link=self._links.to("#", "account", self._account, "app", application.id),
            refusal=refusal,
            place=f"{kind.lower()} in {application.name}" if application.name else kind.lower(),
        )

    async def _service_inputs(self, application: Entity, kind: str, entity: Entity) -> list[StartInput]:
        given = {"entity": entity.id, "application": application.id, "type": kind}
        reply = await self._api.ask(INPUTS, given)
        # A service that hangs on a variable cannot be told before the variable has a value: then none is asked for.
        found = reply.data.get("executionInputs") or {}
        artifacts = [self._api.read(Entity, one) for one in found.get("serviceInputs") or ()]
        manifests = [self._api.read(Entity, one) for one in found.get("serviceManifestInputs") or ()]
        return [
            *(one for service in artifacts for one in _pair("artifact", service, "artifact source", "build number")),
            *(one for service in manifests for one in _pair("manifest", service, "app manifest", "version")),
        ]


def batched(applications: Sequence[Entity], size: int) -> Iterator[Sequence[Entity]]:
    """So many at once."""
    for first in range(0, len(applications), size):
        yield applications[first : first + size]


def _lookup(applications: Sequence[Entity], name: str) -> tuple[str, dict[str, object]]:
    fields = "\n".join(
        f"pipeline{index}: pipelineByName(pipelineName: $name, applicationId: $a{index}) "
        f"{{ id name pipelineVariables {VARIABLES} }}\n"
        f"workflow{index}: workflowByName(workflowName: $name, applicationId: $a{index}) "
        f"{{ id name workflowVariables {VARIABLES} }}"
        for index in range(len(applications))
    )
    declared = ", ".join(f"$a{index}: String!" for index in range(len(applications)))
    variables: dict[str, object] = {f"a{index}": one.id for index, one in enumerate(applications)}
    return f"query Targets($name: String!, {declared}) {{ {fields} }}", variables | {"name": name}


def _asked(variable: VariableBody) -> StartInput:
    is_list = bool(variable.allowed) and bool(variable.multiple)
    is_choice = bool(variable.allowed) and not is_list
    kind = InputKind.CHOICE if is_choice else InputKind.NUMBER if variable.type == "Number" else InputKind.TEXT
    hint = f"Several of {', '.join(variable.allowed)}, separated by commas." if is_list else ""
    if variable.type and variable.type.isupper():
        hint = hint or f"The name of a Harness {variable.type.lower().replace('_', ' ')}."
    return StartInput(
        key=f"variable {variable.name}",
        label=variable.name,
        kind=kind,
        is_required=bool(variable.required) and not variable.default,
        default=variable.default or "",
        choices=tuple(variable.allowed),
        is_list=is_list,
        hint=hint,
        # an environment is typed by its name, and only ids are mapped: where a start will run stays unknown
    )


def _pair(kind: str, service: Entity, source: str, number: str) -> tuple[StartInput, StartInput]:
    hint = "Left empty, Harness takes its own default."
    return (
        StartInput(f"{kind}-source {service.name}", f"{service.name}: {source}", hint=hint),
        StartInput(f"{kind}-number {service.name}", f"{service.name}: {number}"),
    )


def _check(target: StartTarget, inputs: Mapping[str, str]) -> None:
    """What can be said before the call, as far as the target still tells what it asked for."""
    for one in target.inputs:
        if one.key != NOTES:
            check_value(one, inputs.get(one.key, "").strip())
    known = {one.key for one in target.inputs}
    for key, value in inputs.items():
        if key != NOTES and key not in known:
            check_plain(_name(key), value)


def _name(key: str) -> str:
    return key.partition(" ")[2]


def _variables(target: StartTarget, inputs: Mapping[str, str]) -> list[dict[str, object]]:
    lists = {one.key for one in target.inputs if one.is_list}
    # Each variable is an object of its own: in one object only the last would survive.
    return [
        {
            "name": _name(key),
            # the server splits at commas and compares what stands between them as it is
            "variableValue": {"type": "NAME", "value": ",".join(listed_in(value)) if key in lists else value.strip()},
        }
        for key, value in inputs.items()
        if key.startswith("variable ") and value.strip()
    ]


def _services(inputs: Mapping[str, str]) -> list[dict[str, object]]:
    services: dict[str, dict[str, object]] = {}
    for kind in ("artifact", "manifest"):
        names = dict.fromkeys(_name(key) for key in inputs if key.startswith((f"{kind}-source ", f"{kind}-number ")))
        for name in names:
            source = inputs.get(f"{kind}-source {name}", "").strip()
            number = inputs.get(f"{kind}-number {name}", "").strip()
            if bool(source) != bool(number):
                raise NotResumable(f"“{name}” needs both the {kind}'s source and its number, or neither.")
            if source:
                services.setdefault(name, {"name": name}).update(_chosen(kind, source, number))
    return list(services.values())


def _chosen(kind: str, source: str, number: str) -> dict[str, object]:
    if kind == "artifact":
        build = {"artifactSourceName": source, "buildNumber": number}
        return {"artifactValueInput": {"valueType": "BUILD_NUMBER", "buildNumber": build}}
    version = {"appManifestName": source, "versionNumber": number}
    return {"manifestValueInput": {"valueType": "VERSION_NUMBER", "versionNumber": version}}


def _receipt(api: GraphQL, connection: str, reply: Reply) -> Receipt:
    payload = reply.data.get("startExecution")
    if payload is None:
        complaint = reply.complaint("startExecution")
        if complaint is None:
            raise OutcomeUnknown(f"{connection} answered with nothing: the start may have happened.")
        error = api.refused(complaint)
        # What is not found here is what was to be started, or a part of it: there is no execution yet.
        raise NotResumable(str(error)) if isinstance(error, NotFound) else error
    execution = api.read(ExecutionBody, payload.get("execution") or {})
    return Receipt(ExecutionRef(connection, execution.id), note=payload.get("warningMessage") or "")
