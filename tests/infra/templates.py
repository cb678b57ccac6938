"""What the templates say, read from their text: enough to compare, no compiler."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
MAIN = (INFRA / "main.bicep").read_text(encoding="utf-8")
PARAMETERS = json.loads((INFRA / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
TEMPLATES = {path.relative_to(INFRA).as_posix(): path.read_text(encoding="utf-8") for path in INFRA.rglob("*.bicep")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource: where it stands, its type without version, its condition ("" for none), its body."""

    file: str
    name: str
    type: str
    condition: str
    body: str

    def value(self, key: str) -> str:
        """The text behind a key of the body, "" where there is none."""
        found = re.search(rf"^\s*{key}: (.+)$", self.body, re.MULTILINE)
        return found.group(1) if found else ""


def resources(type_: str) -> list[Resource]:
    """Every resource of one type, in all templates; existing ones and nested ones are not looked for."""
    head = re.compile(rf"^resource (\w+) '{re.escape(type_)}@[\w.-]+' = (?:if \((.*)\) )?\{{$", re.MULTILINE)
    return [
        Resource(
            file=file,
            name=found[1],
            type=type_,
            condition=found[2] or "",
            body=text[found.end() : text.index("\n}\n", found.end())],
        )
        for file, text in sorted(TEMPLATES.items())
        for found in head.finditer(text)
    ]


def default(parameter: str) -> str:
    """The default of a string parameter of main.bicep."""
    found = re.search(rf"^param {parameter} string = '(.*)'$", MAIN, re.MULTILINE)
    assert found, parameter
    return found[1]


def computed_settings(credential: str) -> set[str]:
    """Names of the app settings that main.bicep itself gives the app in one credential mode."""
    start = MAIN.index("    settings: union(")
    union = MAIN[start : MAIN.index("\n    )\n", start)]
    holds = {
        "needsApp": credential != "managed-identity",
        "needsVault": credential in ("secret", "certificate"),
        "graphCredential == 'secret'": credential == "secret",
        "graphCredential == 'certificate'": credential == "certificate",
    }
    names: set[str] = set()
    # Each part is an object, alone or behind a condition: `condition ? {...} : {}`.
    for condition, body in re.findall(
        r"(?:^ +([^\n?{}]+?)\s*\? |^ +)\{([^{}]*(?:\$\{[^{}]*\}[^{}]*)*)\}", union, re.MULTILINE
    ):
        if not condition or holds[condition]:
            names |= set(re.findall(r"(?:^|\s)([A-Z][A-Za-z0-9_]+): ", body))
    return names


def tunable_settings() -> dict[str, str]:
    """App settings that whoever deploys may set by the setting's own name, and what azd puts in."""
    return PARAMETERS["settings"]["value"]
