"""Runs helm on the chart, and reads what it renders without a YAML parser: helm has one."""
import base64
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHART = os.path.dirname(HERE)
ROOT = os.path.dirname(os.path.dirname(CHART))
NAMESPACE = "shop"

KEDA = "keda.sh/v1alpha1"
OPERATOR = "monitoring.coreos.com/v1"
METRICS = "metrics.k8s.io/v1beta1"

# What values-aws.yaml leaves to its users.
AWS = (
    "-f", os.path.join(CHART, "values-aws.yaml"), "-f", os.path.join(HERE, "values", "aws.yaml"),
)

# A chart whose one template turns files of YAML into JSON.
CONVERTER = """\
{{- $found := list -}}
{{- range $path, $_ := .Files.Glob "in/*" -}}
{{- $found = append $found (dict "path" $path "object" ($.Files.Get $path | fromYaml)) -}}
{{- end -}}
apiVersion: v1
kind: ConfigMap
data:
  found: {{ toJson $found | b64enc }}
"""


NOTES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  notes: {{ include "notes" . | b64enc }}
"""


def require_helm():
    """A missing tool is a failure, not a reason to pass."""
    if not shutil.which("helm"):
        sys.exit("check: helm is not on PATH; it is needed to check a chart")


def helm(*arguments):
    """(exit status, standard output, standard error)."""
    ran = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@functools.lru_cache(maxsize=None)
def render_text(*arguments):
    """What `helm template` prints."""
    status, out, err = helm("template", "fleet", CHART, "--namespace", NAMESPACE, *arguments)
    if status:
        raise AssertionError("helm template %s: %s" % (" ".join(arguments), err))
    return out


@functools.lru_cache(maxsize=None)
def render(*arguments):
    """The rendered objects."""
    return parse(render_text(*arguments))


@functools.lru_cache(maxsize=None)
def refusal(*arguments):
    """What helm says of values that it must refuse."""
    status, out, err = helm("template", "fleet", CHART, "--namespace", NAMESPACE, *arguments)
    if status == 0:
        raise AssertionError("helm template %s is accepted:\n%s" % (" ".join(arguments), out[:400]))
    return err


@functools.lru_cache(maxsize=None)
def notes(*arguments):
    """What is shown after an installation. `helm template` leaves it out, so that it is rendered as a
    template of another name."""
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "fleet")
        shutil.copytree(CHART, copy, ignore=lambda path, _: ["tests"] if path == CHART else [])
        text = source("deploy/helm/templates/NOTES.txt")
        shown = '{{- define "notes" -}}\n%s{{- end -}}\n%s' % (text, NOTES)
        write(copy, "templates/notes-shown.yaml", shown)
        command = ("template", "fleet", copy, "--namespace", NAMESPACE, *arguments)
        status, out, err = helm(*command, "--show-only", "templates/notes-shown.yaml")
    if status:
        raise AssertionError("helm %s: %s" % (" ".join(command), err))
    return base64.b64decode(re.search(r"notes: (\S+)", out).group(1)).decode()


def parse(text):
    """The objects of a text of YAML documents."""
    documents = [part for part in re.split(r"(?m)^---\s*$", text) if has_content(part)]
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "in"))
        os.makedirs(os.path.join(folder, "templates"))
        write(folder, "Chart.yaml", "apiVersion: v2\nname: converter\nversion: 0.0.0\n")
        write(folder, "templates/found.yaml", CONVERTER)
        for number, document in enumerate(documents):
            write(folder, "in/%05d.yaml" % number, document)
        status, out, err = helm("template", "converter", folder)
        if status:
            raise AssertionError("the documents are no YAML: %s" % err)
    found = json.loads(base64.b64decode(re.search(r"found: (\S+)", out).group(1)))
    objects = [entry["object"] for entry in sorted(found, key=lambda entry: entry["path"])]
    for number, parsed in enumerate(objects):
        if not isinstance(parsed, dict) or "Error" in parsed or "kind" not in parsed:
            raise AssertionError("not an object: %s\n%s" % (parsed, documents[number]))
    return objects


def has_content(document):
    lines = (line.strip() for line in document.splitlines())
    return any(line and not line.startswith("#") for line in lines)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def source(path):
    """A file of the repository."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def combinations():
    """Name to helm's arguments: KEDA, the operator and SQS, in each state; and some further ones."""
    def state(of, value, api):
        return {
            "on": ("--set", "%s=true" % value, "--api-versions", api),
            "off": ("--set", "%s=false" % value, "--api-versions", api),
            "auto-there": ("--api-versions", api),
            "auto-missing": (),
        }[of]

    found = {}
    states = ("on", "off", "auto-there", "auto-missing")
    for keda in states:
        for operator in states:
            for where, values in (("local", ()), ("aws", AWS)):
                name = "keda-%s_monitoring-%s_%s" % (keda, operator, where)
                found[name] = (
                    *values,
                    *state(keda, "keda.enabled", KEDA),
                    *state(operator, "monitoring.enabled", OPERATOR),
                )
    full = os.path.join(HERE, "values", "full.yaml")
    found["everything"] = ("-f", full, "--api-versions", KEDA, "--api-versions", OPERATOR)
    found["demo"] = ("--set", "observability.demo=true", "--api-versions", KEDA)
    found["one-worker-sqlite"] = ("-f", os.path.join(HERE, "values", "sqlite.yaml"))
    found["fifo-alone"] = ("--set", "workers.standard.enabled=false", "--api-versions", KEDA)
    found["no-policies"] = ("--set", "networkPolicy.enabled=false")
    return found


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def named(objects, kind, name):
    """The one object of this kind and name; the release's name is left out."""
    found = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == "fleet-" + name]
    if len(found) != 1:
        raise AssertionError("%d objects are %s fleet-%s" % (len(found), kind, name))
    return found[0]


def pods(objects):
    """(component, labels, annotations, spec) of every pod."""
    found = []
    for each in objects:
        if each["kind"] == "Pod":
            template = each
        elif each["kind"] == "Deployment":
            template = each["spec"]["template"]
        else:
            continue
        metadata = template["metadata"]
        component = metadata["labels"]["app.kubernetes.io/component"]
        found.append((component, metadata["labels"], metadata.get("annotations", {}), template["spec"]))
    return found


def environment(spec):
    """Name to value, or to "SECRET/KEY", of a pod's one container."""
    found = {}
    for entry in spec["containers"][0].get("env", []):
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        else:
            reference = entry["valueFrom"]["secretKeyRef"]
            found[entry["name"]] = "%s/%s" % (reference["name"], reference["key"])
    return found
