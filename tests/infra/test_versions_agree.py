"""One Python, one azd, one set of names: said in several files, the same in all of them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import yaml

from tests.infra.templates import ROOT, TEMPLATES

WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_file_means_the_same_python(hook: Callable[[str], ModuleType]) -> None:
    version = read(".python-version").strip()
    major, minor = map(int, version.split("."))
    runtime = re.search(r"name: 'python'\n +version: '([\d.]+)'", TEMPLATES["modules/function.bicep"])
    assert runtime
    assert runtime[1] == version
    assert version == hook("preprovision").PYTHON
    assert (major, minor) == hook("prepackage").PYTHON
    assert json.loads(read("pyrightconfig.json"))["pythonVersion"] == version
    assert f'target-version = "py{major}{minor}"' in read("ruff.toml")
    assert f"({major}, {minor})" in read("Makefile")
    assert f"--python-version {version}" in read("Makefile")
    assert f"Python {version}" in read("README.md")
    assert f"Python {version}" in read("docs/deploy.md")


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_workflow_takes_its_python_from_the_one_file(name: str) -> None:
    steps = [step for job in yaml.safe_load(WORKFLOWS[name])["jobs"].values() for step in job["steps"]]
    pythons = [step["with"] for step in steps if step.get("uses", "").startswith("actions/setup-python@")]
    assert [with_["python-version-file"] for with_ in pythons] == [".python-version"] * len(pythons) != []
    assert not any("python-version" in with_ for with_ in pythons)


def test_the_oldest_azd_that_is_admitted_is_the_one_the_docs_name() -> None:
    needed = yaml.safe_load(read("azure.yaml"))["requiredVersions"]["azd"].removeprefix(">= ")
    assert f"azd {needed}" in read("docs/deploy.md")


def test_azd_runs_hooks_that_exist_and_none_is_left_out() -> None:
    azure = yaml.safe_load(read("azure.yaml"))
    hooks = {**azure["hooks"], **azure["services"]["users"]["hooks"]}
    assert {name: hook["run"] for name, hook in hooks.items()} == {
        name: f"infra/hooks/{name}.py"
        for name in ("preprovision", "postprovision", "prepackage", "predeploy", "postdeploy", "predown")
    }
    assert all((ROOT / hook["run"]).is_file() for hook in hooks.values())


def test_azd_finds_the_function_app_by_the_services_name() -> None:
    [service] = yaml.safe_load(read("azure.yaml"))["services"]
    assert f"'azd-service-name': '{service}'" in TEMPLATES["main.bicep"]


def test_azd_deploys_what_the_hook_builds(hook: Callable[[str], ModuleType]) -> None:
    service = yaml.safe_load(read("azure.yaml"))["services"]["users"]
    assert (ROOT / service["project"] / service["dist"]).resolve() == hook("prepackage").main.__defaults__[1]
    assert service["remoteBuild"] is False


def test_the_hooks_keep_azd_from_installing_the_apps_requirements_for_them() -> None:
    assert [line for line in read("infra/hooks/requirements.txt").splitlines() if not line.startswith("#")] == []


def bindings() -> list[dict[str, str]]:
    """Every binding of every function, as the host is told of them."""
    show = (
        "[binding for function in function_app.app.get_functions() for binding in function.get_dict_repr()['bindings']]"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import json, function_app; print(json.dumps({show}, default=str))"],
        cwd=ROOT,
        env=os.environ | {"GRAPH_CREDENTIAL": "managed-identity"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_the_queues_that_functions_are_bound_to_are_those_that_are_created() -> None:
    created = re.search(r"var queueNames = \[(.*?)\]", TEMPLATES["modules/storage.bicep"], re.DOTALL)
    assert created
    queues = [binding for binding in bindings() if binding["type"] in ("queue", "queueTrigger")]
    assert {queue["queueName"] for queue in queues} == set(re.findall(r"'([\w-]+)'", created[1]))
    assert {queue["connection"] for queue in queues} == {"AzureWebJobsStorage"}


def test_the_timer_goes_by_the_setting_that_the_template_always_sets() -> None:
    schedules = [binding["schedule"] for binding in bindings() if binding["type"] == "timerTrigger"]
    assert schedules == ["%SYNC_SCHEDULE%"]
    assert "SYNC_SCHEDULE: syncSchedule" in TEMPLATES["main.bicep"]


def test_hooks_and_templates_mean_the_same_role_and_the_same_permission(hook: Callable[[str], ModuleType]) -> None:
    consent = hook("consent")
    assert f"'{consent.USER_READ_ALL}'" in TEMPLATES["modules/app.bicep"]
    assert f"'{consent.MICROSOFT_GRAPH}'" in TEMPLATES["modules/app.bicep"]
    assert f"'{hook('predeploy').STORAGE_BLOB_DATA_OWNER}'" in TEMPLATES["modules/storage.bicep"]


def test_the_hooks_read_only_what_the_template_puts_out() -> None:
    asked = {
        name
        for path in (ROOT / "infra/hooks").glob("p*.py")
        if path.name != "preprovision.py"
        for name in re.findall(r'environment(?:\.get\(|\[)["\']([A-Z_]+)["\']', path.read_text(encoding="utf-8"))
    }
    assert asked - set(re.findall(r"^output (\w+) ", TEMPLATES["main.bicep"], re.MULTILINE)) == set()


def test_the_hooks_are_tested_with_the_outputs_that_the_template_has(provisioned: dict[str, str]) -> None:
    assert set(provisioned) == set(re.findall(r"^output (\w+) ", TEMPLATES["main.bicep"], re.MULTILINE))


def test_a_hook_that_points_to_a_chapter_of_the_docs_points_to_one_that_is_there() -> None:
    hooks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "infra/hooks").glob("*.py"))
    workflow = WORKFLOWS["deploy.yml"]
    named = re.findall(r'docs/deploy\.md, \\?"([^"\\]+)\\?"', hooks + workflow)
    chapters = re.findall(r"^#+ (.+)$", read("docs/deploy.md"), re.MULTILINE)
    assert set(named) == {"Another team's app", "Callers", "Consent", "First users", "From GitHub"}
    assert set(named) <= set(chapters)
