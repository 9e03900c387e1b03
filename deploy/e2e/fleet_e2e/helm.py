"""helm, with values as documents instead of --set."""
import json
import os

from .process import ROOT, run

CHART = os.path.join(ROOT, "deploy", "helm")
# A whole set of values for AWS: what holds for every account, and an account's own.
ON_AWS = ("--values", os.path.join(CHART, "values-aws.yaml"), "--values", os.path.join(CHART, "tests", "values", "aws.yaml"))
# The Secret that they name.
AWS_DATABASE = "deliveries-database"


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

    def dry_run(self, release, *arguments, check=True):
        """Renders as an installation on this cluster would: `auto` sees what the cluster has."""
        return self("install", release, CHART, "--dry-run=server", "--output", "json", *arguments, check=check)

    def uninstall(self, release):
        return self("uninstall", release, "--wait", "--timeout", "180s", "--ignore-not-found")


def rendered(output):
    """All objects of a dry run as one document, the hooks' too, and its notes."""
    release = json.loads(output)
    parts = [release["manifest"], *(hook["manifest"] for hook in release.get("hooks") or [])]
    return "\n---\n".join(parts), release["info"].get("notes", "")
