"""helm, with values as documents instead of --set."""
import json
import os

from .process import ROOT, run

CHART = os.path.join(ROOT, "deploy", "helm")
AWS_VALUES = os.path.join(CHART, "values-aws.yaml")


class Helm:
    def __init__(self, cluster):
        self._cluster = cluster

    def __call__(self, *arguments, timeout=300, check=True):
        return run(["helm", *arguments], env=self._cluster.env, timeout=timeout, check=check)

    def values_file(self, values, name="values.json"):
        """Writes values where helm reads them: JSON is YAML."""
        path = self._cluster.scratch(name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(values, file, ensure_ascii=False)
        return path

    def upgrade(self, release, values, *arguments):
        path = self.values_file(values)
        return self("upgrade", "--install", release, CHART, "--values", path, *arguments)

    def dry_run(self, release, values, *arguments, check=True):
        """Renders as an installation on this cluster would: `auto` sees what the cluster has."""
        path = self.values_file(values, "dry-run.json")
        return self(
            "install", release, CHART, "--dry-run=server", "--output", "json", "--values", path, *arguments, check=check,
        )

    def uninstall(self, release):
        return self("uninstall", release, "--wait", "--timeout", "180s", "--ignore-not-found")


def rendered(output):
    """All objects of a dry run as one document, the hooks' too, and its notes."""
    release = json.loads(output)
    parts = [release["manifest"], *(hook["manifest"] for hook in release.get("hooks") or [])]
    return "\n---\n".join(parts), release["info"].get("notes", "")
