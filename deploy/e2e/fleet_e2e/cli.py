"""The command line: which checks are run, against what, and what came of them."""
import argparse
import os
import re
import shlex
import signal
import sys
import time
import traceback

from . import checks
from .cluster import Cluster
from .installation import Installation
from .process import ROOT, Failure, need, stream
from .report import Report, summary

UP = os.path.join(ROOT, "deploy", "up")
CHART = os.path.join(ROOT, "deploy", "helm", "Chart.yaml")
ABOUT = """Installs the fleet on the cluster that KUBECONFIG names, in a namespace of its own, and shows that it
does there what its documents say. Each check prints its figures and whether it passes; the exit status is 0
when all of them pass, 1 when one does not, 2 when the command itself is wrong.

The cluster needs KEDA for the checks about scaling (deploy/up --keda installs it), the Prometheus operator's
CRDs for `render`, and a network plugin that enforces NetworkPolicies for `policies`. Tools: kubectl, helm,
and what builds and loads images (see deploy/up --help)."""


class Run:
    """What a check is handed."""

    def __init__(self, cluster, tag, load):
        self.cluster = cluster
        self.installation = Installation(cluster)
        self.tag = tag
        self._load = load

    def up(self, *arguments):
        """deploy/up, the way that people take, on this cluster and namespace."""
        stream([UP, self._load, *arguments], env=self.cluster.env, timeout=1800)


def arguments(given):
    parser = argparse.ArgumentParser(
        "deploy/e2e/run", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="run these checks alone")
    parser.add_argument("--list", action="store_true", help="list the checks and end")
    parser.add_argument("--no-build", action="store_true", help="the images are on the cluster's nodes already")
    parser.add_argument("--namespace", default="fleet-e2e", help="made for the run and deleted (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the namespace and the installation at the end")
    parser.add_argument(
        "--load", metavar="CMD", default=os.environ.get("LOAD", "kind"),
        help="how images get to the cluster: kind, minikube, or a command, as deploy/up takes it "
             "(default: the environment's LOAD, else kind)")
    parsed = parser.parse_args(given)
    known = [check.name for check in checks.ALL]
    unknown = [name for name in parsed.only if name not in known]
    if unknown:
        parser.error("there is no check %s; there are %s" % (", ".join(unknown), ", ".join(known)))
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", parsed.namespace):
        parser.error("--namespace %s: a namespace has lower-case letters, digits and hyphens" % parsed.namespace)
    if not shlex.split(parsed.load):
        parser.error("--load is empty: kind, minikube, or a command")
    return parsed


def app_version():
    """The chart's appVersion: the tag that images have unless a value says otherwise."""
    with open(CHART, encoding="utf-8") as file:
        found = re.search(r'^appVersion:\s*"?([^"\s]+)"?\s*$', file.read(), re.M)
    if not found:
        raise Failure(CHART + " has no appVersion")
    return found[1]


def main(given):
    parsed = arguments(given)
    if parsed.list:
        for check in checks.ALL:
            print("%-12s %s" % (check.name, check.about))
        return 0
    # A run that is ended takes with it what it has started: by the way of an error.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [check for check in checks.ALL if not parsed.only or check.name in parsed.only]
    began = time.monotonic()
    try:
        for tool in ("kubectl", "helm", "git"):
            need(tool, "for the end-to-end checks")
        cluster = Cluster(parsed.namespace)
        try:
            reports = run_all(Run(cluster, app_version(), parsed.load), chosen, parsed)
        finally:
            cluster.close()
    except Failure as failure:
        print("end-to-end: %s" % failure)
        return 1
    failed = [report.name for report in reports if not report.passed]
    print("\n" + summary(reports))
    print("\n%d checks, %d failed, %.0f s" % (len(reports), len(failed), time.monotonic() - began))
    return 1 if failed else 0


def run_all(this_run, chosen, parsed):
    if not parsed.no_build:
        print("\n== the images", flush=True)
        this_run.up("--only-images")
    this_run.cluster.create_namespace()
    try:
        return [one(this_run, check, is_last=check is chosen[-1]) for check in chosen]
    finally:
        this_run.installation.close()
        if parsed.keep:
            print("\nkept: namespace %s" % parsed.namespace)
        else:
            remove(this_run)


def one(this_run, check, is_last):
    """One check. What fails in it leaves nothing for the next one to build on."""
    print("\n== %s: %s" % (check.name, check.about), flush=True)
    report = Report(check.name)
    try:
        check.function(this_run, report)
    except (Failure, OSError) as failure:
        report.expect(False, str(failure) or type(failure).__name__)
    except Exception as error:  # A mistake of the check itself fails that check, and no other.
        traceback.print_exc()
        report.expect(False, "the check broke: %r" % error)
    report.ended()
    if not report.passed:
        this_run.cluster.diagnose()
    if not report.passed and not is_last:
        try:
            this_run.cluster.create_namespace()
            this_run.installation.adopt()
        except (Failure, OSError) as failure:
            report.expect(False, "the namespace could not be made anew: %s" % failure)
    print("== %s: %s in %.0f s" % (check.name, "pass" if report.passed else "FAIL", report.seconds), flush=True)
    return report


def remove(this_run):
    try:
        this_run.installation.uninstall()
        this_run.cluster.delete_namespace()
    except (Failure, OSError) as failure:
        print("end-to-end: not removed: %s" % failure)
