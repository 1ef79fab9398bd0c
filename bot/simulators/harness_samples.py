"""Pipelines to play and test with: a shop that is built, deployed to three regions at once, and verified."""

from bot.simulators.harness_firstgen import FirstGenSimulator
from bot.simulators.harness_firstgen_shapes import Environment, Service
from bot.simulators.harness_nextgen import NextGenSimulator
from bot.simulators.harness_world import Member, Pipeline, Variable

ORG, PROJECT = "default", "shop"
APPLICATION = "app0Shop0123456789abcd"
SHOP_INPUTS = """pipeline:
  identifier: shop
  variables:
    - name: version
      type: String
      value: <+input>
    - name: environment
      type: String
      default: staging
      value: <+input>.allowedValues(staging,production)
"""


def firstgen_shop(simulator: FirstGenSimulator) -> Pipeline:
    """The shop as FirstGen holds it: members of a group share the stage's name."""
    simulator.application(APPLICATION, "Shop")
    simulator.environment(Environment("env-staging", "staging"))
    simulator.environment(Environment("env-production", "production"))
    simulator.service(Service("svc-web", "web", {"registry": ("1.0", "1.1")}))
    groups = [
        [Member("el-build", "Build", "Build images")],
        [Member(f"el-deploy-{region}", "Deploy (prod)", f"Deploy {region}") for region in ("eu", "us", "ap")],
        [Member("el-verify", "Verify", "Smoke tests")],
    ]
    variables = (
        Variable("version", required=True),
        Variable("environment", "ENVIRONMENT", required=True),
        Variable("size", default="small", allowed=("small", "large")),
        Variable("owner", default="team-web", fixed=True),
    )
    pipeline = Pipeline("pipeline-shop", "Deploy shop", groups, APPLICATION, variables)
    pipeline.services, pipeline.environments = ("svc-web",), ("env-production",)
    return simulator.world.add(pipeline)


def firstgen_cleanup(simulator: FirstGenSimulator) -> Pipeline:
    """A workflow that is started alone."""
    simulator.application(APPLICATION, "Shop")
    workflow = Pipeline("workflow-cleanup", "Clean up", [[Member("el-cleanup", "Clean up", "Clean up")]], APPLICATION)
    workflow.is_workflow, workflow.variables = True, (Variable("days", "Number", required=True),)
    return simulator.world.add(workflow)


def nextgen_shop(simulator: NextGenSimulator) -> Pipeline:
    """The shop as NextGen holds it: every stage has its own identifier, `verify` is looped."""
    groups = [
        [Member("build", "Build", kind="CI")],
        [
            Member(f"deploy_{region}", f"Deploy {region.upper()} (prod)", environment="production")
            for region in ("eu", "us", "ap")
        ],
        [Member("verify", "Verify", kind="Custom", copies=3, environment="production")],
    ]
    pipeline = Pipeline("shop", "Deploy shop", groups, f"{ORG}/{PROJECT}", template=SHOP_INPUTS)
    pipeline.services, pipeline.environments = ("web",), ("production",)
    return simulator.world.add(pipeline)
