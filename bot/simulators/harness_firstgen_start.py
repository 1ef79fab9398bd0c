"""What a simulated FirstGen does with startExecution: variables, services and hosts are checked, then a run begins."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.simulators.harness_firstgen_resume import INVALID, Refused
from bot.simulators.harness_firstgen_shapes import Estate, Service, Shape, run_shape
from bot.simulators.harness_world import Pipeline, Variable


def start_execution(estate: Estate, given: dict[str, Any]) -> Shape:
    """Check what was given, and begin the run; variables nobody asked for are only warned of."""
    target = find_entity(estate, given["applicationId"], given["entityId"], given["executionType"] == "WORKFLOW")
    _check_hosts(given)
    values = {one["name"]: one["variableValue"] for one in given.get("variableInputs") or []}
    variables = {
        variable.name: value
        for variable in target.variables
        if (value := _value(estate, variable, values.get(variable.name))) is not None
    }
    for service in given.get("serviceInputs") or []:
        _check_service(estate, target, service)
    run = estate.world.start(target, notes=given.get("notes") or "", variables=variables)
    surplus = sorted(set(values) - {variable.name for variable in target.variables})
    return {
        "clientMutationId": given.get("clientMutationId"),
        "execution": run_shape(estate, run),
        "warningMessage": f"Ignoring values for variables: {surplus}" if surplus else None,
    }


def execution_inputs(estate: Estate, given: Mapping[str, Any]) -> Shape:
    """The services a start wants artifacts and manifests of."""
    target = find_entity(estate, given["applicationId"], given["entityId"], given["executionType"] == "WORKFLOW")
    services = [estate.services[identifier] for identifier in target.services]
    return {
        "serviceInputs": _shapes([service for service in services if service.artifacts]),
        "serviceManifestInputs": _shapes([service for service in services if service.manifests]),
    }


def find_entity(estate: Estate, application: str, entity: str, is_workflow: bool) -> Pipeline:
    """The pipeline or workflow of an application; refused with the server's words otherwise."""
    if not application.strip():
        raise Refused(f"{INVALID}Empty Application Id")
    if not entity.strip():
        raise Refused(f"{INVALID}Empty entity Id")
    if application not in estate.applications:
        raise Refused(f"{INVALID}Application does not exist")
    found = estate.world.pipelines.get(entity)
    if found is None or found.scope != application or found.is_deleted or found.is_workflow is not is_workflow:
        raise Refused(f"{INVALID}{'Workflow' if is_workflow else 'Pipeline'} does not exist")
    return found


def _check_hosts(given: Mapping[str, Any]) -> None:
    has_hosts = bool(given.get("targetToSpecificHosts") or given.get("specificHosts"))
    if has_hosts and given["executionType"] == "PIPELINE":
        raise Refused(f"{INVALID}Hosts can't be overridden for pipeline")
    if given.get("targetToSpecificHosts") and not given.get("specificHosts"):
        raise Refused(f"{INVALID}Host list can't be empty when deploying to specific hosts")


def _value(estate: Estate, variable: Variable, given: Mapping[str, str] | None) -> str | None:
    if variable.fixed:
        return variable.default
    if given is None:
        return _left_out(variable)
    if given["type"] == "EXPRESSION":
        raise Refused(f"{INVALID}Expression type is not supported for variable [{variable.name}]")
    value = given["value"]
    for one in value.split(",") if variable.multiple else [value]:
        if variable.allowed and one not in variable.allowed:
            raise Refused(f"{INVALID}Variable {variable.name} can only take values {list(variable.allowed)}")
    if variable.type == "ENVIRONMENT":
        return _environment(estate, value, by_name=given["type"] == "NAME")
    return value


def _left_out(variable: Variable) -> str | None:
    if variable.default is not None or not variable.required:
        return variable.default
    if variable.type == "ENVIRONMENT":
        raise Refused(f"{INVALID}The environment parameterized by [{variable.name}] needs a value")
    raise Refused(f"{INVALID}Value not provided for required variable: [{variable.name}]")


def _environment(estate: Estate, value: str, *, by_name: bool) -> str:
    for one in estate.environments.values():
        if value == (one.name if by_name else one.identifier):
            return one.identifier
    raise Refused(f"{INVALID}Environment [{value}] doesn't exist")


def _check_service(estate: Estate, target: Pipeline, given: Mapping[str, Any]) -> None:
    wanted = (estate.services[identifier] for identifier in target.services)
    service = next((one for one in wanted if one.name == given["name"]), None)
    if service is None:
        raise Refused(f"{INVALID}Service [{given['name']}] is not deployed here")
    artifact, manifest = given.get("artifactValueInput"), given.get("manifestValueInput")
    if artifact is not None:
        _check_artifact(service, artifact)
    if manifest is not None:
        version = manifest.get("versionNumber") or {}
        if version.get("versionNumber") not in service.manifests.get(version.get("appManifestName", ""), ()):
            raise Refused(f"{INVALID}Cannot find helm chart for service {service.name}")


def _check_artifact(service: Service, given: Mapping[str, Any]) -> None:
    if given["valueType"] == "ARTIFACT_ID":
        known = {f"{source}:{build}" for source, builds in service.artifacts.items() for build in builds}
        if (given.get("artifactId") or {}).get("artifactId") in known:
            return
    elif given["valueType"] == "BUILD_NUMBER":
        build = given.get("buildNumber") or {}
        if build.get("buildNumber") in service.artifacts.get(build.get("artifactSourceName", ""), ()):
            return
    else:
        raise Refused(f"{INVALID}Artifact source of service {service.name} is not parameterised")
    raise Refused(f"{INVALID}Cannot find or collect artifact for service {service.name}")


def _shapes(services: Sequence[Service]) -> list[Shape]:
    return [{"id": service.identifier, "name": service.name} for service in services]
