"""The workflows: nothing that can change under them, no secret, no right that they do not use."""

import re

import pytest
import yaml

from tests.infra.templates import PARAMETERS, ROOT

WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}


def test_there_is_one_to_check_and_one_to_deploy() -> None:
    assert list(WORKFLOWS) == ["ci.yml", "deploy.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is(name: str) -> None:
    used = re.findall(r"uses: (.*)", WORKFLOWS[name])
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert used == [action for action in used if pinned.fullmatch(action)] != []


def test_an_action_is_the_same_commit_wherever_it_is_used() -> None:
    used = {action for text in WORKFLOWS.values() for action in re.findall(r"uses: (.*)", text)}
    assert len({action.split("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize(
    ("name", "permissions"),
    [("ci.yml", {"contents": "read"}), ("deploy.yml", {"contents": "read", "id-token": "write"})],
)
def test_a_workflow_has_the_least_rights(name: str, permissions: dict[str, str]) -> None:
    workflow = yaml.safe_load(WORKFLOWS[name])
    assert workflow["permissions"] == permissions
    assert all("permissions" not in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_workflow_uses_a_secret_or_keeps_the_repositorys_token(name: str) -> None:
    assert "secrets." not in WORKFLOWS[name]
    steps = [step for job in yaml.safe_load(WORKFLOWS[name])["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]


def test_deploying_takes_the_variables_that_the_template_has() -> None:
    # The step reads the names from the parameters file itself; these are the ones that it cannot do without.
    assert PARAMETERS["environmentName"]["value"] == "${AZURE_ENV_NAME}"
    assert PARAMETERS["location"]["value"] == "${AZURE_LOCATION}"
    assert 'pathlib.Path("infra/main.parameters.json")' in WORKFLOWS["deploy.yml"]
