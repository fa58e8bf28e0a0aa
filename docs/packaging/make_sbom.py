"""Bill of materials of an environment of Python: `make_sbom.py ENVIRONMENT FILE` writes CycloneDX 1.5 as JSON."""

import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def describe(distribution: Distribution) -> dict[str, object]:
    """Return the component of an installed package."""
    metadata, name = distribution.metadata, distribution.name.lower().replace("_", "-")
    component: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": distribution.version,
        "purl": f"pkg:pypi/{name}@{distribution.version}",
        "bom-ref": f"pkg:pypi/{name}@{distribution.version}",
    }
    if expression := metadata.get("License-Expression"):
        component["licenses"] = [{"expression": expression}]
    elif text := metadata.get("License"):
        component["licenses"] = [{"license": {"name": text.splitlines()[0]}}]
    return component


def build_sbom(environment: Path, name: str = "downloadd") -> dict[str, object]:
    """Return the bill of an environment; the application is its package `name`. It depends on the packages alone."""
    [packages] = environment.glob("lib/python3*/site-packages")
    components = sorted(map(describe, distributions(path=[str(packages)])), key=lambda each: str(each["name"]))
    [application] = [each for each in components if each["name"] == name]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**application, "type": "application"}},
        "components": [each for each in components if each["name"] != name],
    }


if __name__ == "__main__":
    file = Path(sys.argv[2])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(build_sbom(Path(sys.argv[1])), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
