import contextlib
import io
import json
import os
import subprocess
import tempfile
import unittest
from unittest import mock

from fleet_e2e import checks, cli, values
from fleet_e2e.checks import images
from fleet_e2e.checks.images import ended, is_image
from fleet_e2e.checks.values import last_end
from fleet_e2e.commands import blocks
from fleet_e2e.forward import READY
from fleet_e2e.process import ROOT, Failure, run
from fleet_e2e.report import Report, summary

UP = ROOT + "/deploy/up"


class Arguments(unittest.TestCase):
    def refused(self, *given):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit) as raised:
            cli.arguments(given)
        self.assertEqual(raised.exception.code, 2)
        return errors.getvalue()

    def test_a_check_that_does_not_exist_is_refused_with_those_that_do(self):
        text = self.refused("--only", "flood", "flod")
        self.assertIn("there is no check flod; there are values", text)

    def test_a_namespace_that_is_none_is_refused(self):
        self.assertIn("lower-case", self.refused("--namespace", "Fleet_e2e"))

    def test_an_empty_load_command_is_refused(self):
        self.assertIn("--load is empty", self.refused("--load", " "))

    def test_the_checks_are_listed_without_a_cluster(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(cli.main(["--list"]), 0)
        names = [line.split()[0] for line in output.getvalue().splitlines()]
        self.assertEqual(names, [check.name for check in checks.ALL])
        self.assertEqual(len(set(names)), len(names))


class Up(unittest.TestCase):
    def refused(self, *given, **environment):
        done = run([UP, *given], check=False, env=environment or None)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_what_cannot_be_meant_is_refused_with_what_is_allowed(self):
        self.assertIn("kind, minikube, or a command", self.refused())
        self.assertIn("there is no option --kedda", self.refused("kind", "--kedda"))
        self.assertIn("one argument too many", self.refused("kind", "load"))
        self.assertIn("exclude each other", self.refused("kind", "--only-images", "--only-chart"))
        self.assertIn("do not go with it", self.refused("kind", "--only-images", "--keda"))
        self.assertIn("--tag needs a value", self.refused("kind", "--tag"))

    def test_a_tool_that_is_missing_is_named_before_anything_is_done(self):
        done = run([UP, "true", "--only-images"], check=False, env={"BUILD": "no-such-builder build"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-builder is not on PATH; it is needed to build images", done.stderr)

    def with_kubectl(self, *given, context="kind-fleet", stubs=None, origin="", **environment):
        """deploy/up with a kubectl of a cluster, of which the chart's part goes no further than helm.
        Beside it there are further programs, by the status that they end with; what they are called
        with is in `calls`."""
        with tempfile.TemporaryDirectory() as folder:
            noted = os.path.join(folder, "calls")
            texts = {"kubectl": "case $1 in config) echo %s ;; esac" % context, "helm": "exit 9"}
            texts["git"] = 'case "$*" in "rev-parse HEAD") echo 5eed ;; "remote get-url origin") echo "%s" ;; esac' % origin
            for name, status in (stubs or {}).items():
                texts[name] = 'echo "%s $*" >>%s; exit %d' % (name, noted, status)
            for name, text in texts.items():
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write("#!/bin/sh\n%s\n" % text)
                os.chmod(path, 0o755)
            done = run([UP, *given], check=False, env={"PATH": "%s:/usr/bin:/bin" % folder, **environment})
            done.calls = []
            if os.path.exists(noted):
                with open(noted, encoding="utf-8") as file:
                    done.calls = file.read().splitlines()
            return done

    def test_each_image_is_built_and_then_loaded_into_the_cluster_of_the_context(self):
        images = ["docker.io/library/%s:7" % name for name in ("order-api", "delivery-worker", "dlq-monitor", "local-sqs", "fleet-check")]
        for cluster, context, load, first in (
            ("kind", "kind-shop", "kind load docker-image --name shop ", []),
            ("minikube", "dev", "minikube --profile dev image load ", ["minikube --profile dev status"]),
            ("push --to registry", "dev", "push --to registry ", []),
        ):
            with self.subTest(cluster):
                stubs = {"docker": 0, cluster.split()[0]: 0}
                done = self.with_kubectl(cluster, "--only-images", "--tag", "7", context=context, stubs=stubs)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.calls[:len(first)], first)
                calls = done.calls[len(first):]
                self.assertEqual(calls[1::2], [load + image for image in images])
                for call, image in zip(calls[0::2], images, strict=True):
                    name = image.split("/")[-1].split(":")[0]
                    self.assertTrue(call.startswith("docker build -t %s --target %s --build-arg VERSION=7 " % (image, name)), call)
                    self.assertTrue(call.endswith(" ."), call)

    def test_an_image_tells_the_repository_that_it_is_made_of_and_no_secret_of_its_url(self):
        for origin, told in (
            ("https://git.example/shop/fleet.git", "https://git.example/shop/fleet.git"),
            ("https://ci:t0ken@git.example:8443/shop/fleet?t0ken=1#t0ken", "https://git.example:8443/shop/fleet"),
            ("https://t0ken@git.example/shop/fleet", "https://git.example/shop/fleet"),
            ("git@git.example:shop/fleet.git", None), ("/srv/fleet.git", None), ("", None),
        ):
            with self.subTest(origin):
                done = self.with_kubectl("true", "--only-images", "--tag", "7", stubs={"docker": 0}, origin=origin)
                self.assertEqual(done.returncode, 0, done.stderr)
                arguments = done.calls[0].split(" --build-arg ")[1:]
                expected = ["VERSION=7", "REVISION=5eed", *(["SOURCE=" + told] if told else [])]
                self.assertEqual(arguments, [*expected[:-1], expected[-1] + " ."])

    def test_images_are_loaded_into_no_other_cluster_than_the_contexts(self):
        done = self.with_kubectl("kind", context="shop", stubs={"docker": 0, "kind": 0})
        self.assertEqual((done.returncode, done.calls), (1, []))
        self.assertIn("the current context is shop, which is no cluster of kind's", done.stderr)
        done = self.with_kubectl("minikube", context="shop", stubs={"docker": 0, "minikube": 85})
        self.assertEqual((done.returncode, done.calls), (1, ["minikube --profile shop status"]))
        self.assertIn("the current context is shop, which is no running cluster of minikube's", done.stderr)

    def test_the_step_that_has_failed_is_said_last(self):
        for build, load, said in (
            ("false", "true", "building image order-api:7 with false"), ("true", "false", "loading image order-api:7 with false"),
        ):
            done = self.with_kubectl(load, "--only-images", "--tag", "7", BUILD=build)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stderr.splitlines()[-1], "deploy/up: failed at: " + said)

    def test_what_loads_images_is_needed_for_images_only(self):
        done = self.with_kubectl("kind", "--only-chart")
        self.assertEqual((done.returncode, done.stderr.splitlines()[-1]), (9, "deploy/up: failed at: the chart, as release fleet"))
        done = self.with_kubectl("kind", "--only-images", BUILD="true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("kind is not on PATH; it is needed to load images", done.stderr)

    def test_its_help_names_every_option(self):
        text = run([UP, "--help"]).stdout
        for option in ("--keda", "--observe", "--only-images", "--only-chart", "--namespace", "--tag", "BUILD", "docker.io/library/NAME:TAG"):
            self.assertIn(option, text)


class Reports(unittest.TestCase):
    def test_a_report_passes_until_something_does_not_hold(self):
        with contextlib.redirect_stdout(io.StringIO()):
            report = Report("flood", clock=iter([0, 61.4]).__next__)
            report.figure("lost", 0)
            self.assertTrue(report.expect(True, "fine"))
            self.assertTrue(report.passed)
            self.assertFalse(report.expect(False, "3 pods\nand more"))
            report.ended()
        self.assertFalse(report.passed)
        text = summary([report])
        self.assertIn("flood  FAIL  61 s  lost 0", text)
        self.assertIn("3 pods", text)
        self.assertNotIn("and more", text)


class Values(unittest.TestCase):
    def test_later_values_win_and_leave_the_others(self):
        first = {"a": {"b": 1, "c": {"d": 1}}, "e": [1]}
        second = {"a": {"c": {"f": 2}, "b": 3}, "e": [2]}
        self.assertEqual(values.merged(first, second), {"a": {"b": 3, "c": {"d": 1, "f": 2}}, "e": [2]})
        self.assertEqual(first, {"a": {"b": 1, "c": {"d": 1}}, "e": [1]})

    def test_a_roll_changes_every_service_and_nothing_else(self):
        plain, rolled = json.dumps(values.STEADY), values.rolled(values.STEADY, 1)
        self.assertEqual(json.dumps(values.STEADY), plain)
        for each in (rolled["orderApi"], rolled["dlqMonitor"], rolled["workers"]["standard"], rolled["workers"]["fifo"]):
            self.assertEqual(each.pop("podAnnotations"), {"fleet-e2e/revision": "1"})
        self.assertEqual(json.dumps(rolled), plain)


    def test_what_nothing_scales_is_scaled_by_hand(self):
        self.assertEqual(values.fixed_replicas(values.STEADY), {"worker-standard": 2, "worker-fifo": 2, "order-api": 2})
        for profile in (values.PLAIN, values.LOADED, values.FIFO, values.OBSERVED):
            self.assertEqual(values.fixed_replicas(profile), {})


class Images(unittest.TestCase):
    def sizes(self, text, build="docker build"):
        """What is measured where docker is such a script."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "docker")
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n" + text)
            os.chmod(path, 0o755)
            with mock.patch.dict(os.environ, {"PATH": folder + ":/usr/bin:/bin", "BUILD": build}):
                return images.compressed("7")

    def test_what_docker_has_built_is_measured_compressed(self):
        plain = "case $1 in save) [ $2 = docker.io/library/${2##*/} ] && head -c 50000000 /dev/zero ;; esac"
        how, sizes = self.sizes(plain)
        self.assertEqual((how, set(sizes)), ("gzip of docker save", set(images.NAMES)))
        for size in sizes.values():
            self.assertTrue(10_000 < size < 100_000, size)
        # Layers that are compressed already do not get smaller.
        _, sizes = self.sizes("case $1 in save) head -c 300000 /dev/urandom ;; esac", build="")
        for size in sizes.values():
            self.assertTrue(300_000 <= size < 310_000, size)

    def test_where_no_builder_can_tell_the_nodes_sizes_are_taken(self):
        self.assertEqual(self.sizes("exit 1"), ("", {}), "it has not built them")
        self.assertEqual(self.sizes("exit 0", build="bash -c"), ("", {}))
        self.assertEqual(self.sizes("exit 0", build="podman build"), ("", {}), "it is not there")
        with self.assertRaisesRegex(Failure, "docker save .* ended with 3"):
            self.sizes("case $1 in save) exit 3 ;; esac")

    def test_an_image_is_known_whatever_stands_before_its_name(self):
        for reference in ("order-api:1", "docker.io/library/order-api:1", "localhost/order-api:1", "r.example:5000/t/order-api:1"):
            self.assertTrue(is_image(reference, "order-api", "1"), reference)
        for reference in ("order-api:2", "my-order-api:1", "order-api@sha256:1", "docker.io/library/order-api"):
            self.assertFalse(is_image(reference, "order-api", "1"), reference)

    def test_a_container_that_cannot_be_started_has_ended(self):
        self.assertTrue(ended({"terminated": {"reason": "StartError"}}))
        self.assertTrue(ended({"waiting": {"reason": "CreateContainerError"}}))
        self.assertFalse(ended({"waiting": {"reason": "ContainerCreating"}}))
        self.assertFalse(ended({"running": {}}))


class Ends(unittest.TestCase):
    def test_the_end_of_a_container_is_known_while_it_waits_to_be_started_again_and_after(self):
        end = {"terminated": {"exitCode": 64, "message": "one setting is wrong"}}
        waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": end}
        for status in ({"state": end}, waiting, {"state": {"running": {}}, "lastState": end}):
            self.assertEqual(last_end({"status": {"containerStatuses": [status]}}), end["terminated"], status)
        for status in ({"state": {"running": {}}, "lastState": {}}, {"state": {"waiting": {"reason": "ContainerCreating"}}}):
            self.assertIsNone(last_end({"status": {"containerStatuses": [status]}}), status)
        self.assertIsNone(last_end({"status": {}}))


class Texts(unittest.TestCase):
    def test_the_port_of_a_port_forward_is_read(self):
        self.assertEqual(READY.search("Forwarding from 127.0.0.1:41235 -> 8080\n")[1], "41235")

    def test_the_experiments_are_blocks_that_bash_can_read(self):
        with open(ROOT + "/docs/experiments.md", encoding="utf-8") as file:
            found = blocks(file.read())
        self.assertGreaterEqual(len(found), checks.experiments.LEAST_BLOCKS)
        for block in found:
            done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), block.text)

    def test_the_experiments_keep_what_their_reader_has_chosen_and_put_it_back(self):
        with open(ROOT + "/docs/experiments.md", encoding="utf-8") as file:
            lines = "".join(block.text for block in blocks(file.read())).splitlines()
        helm = [line for line in lines if line.startswith(("helm get values", "helm upgrade"))]
        kept = helm[0].partition(">")[2]
        self.assertTrue(kept, helm[0])
        for line in helm[1:-1]:
            self.assertIn(" --reuse-values ", line)
        self.assertEqual(helm[-1], "helm upgrade fleet deploy/helm --reset-values --values " + kept)

    def test_the_appversion_is_found(self):
        self.assertRegex(cli.app_version(), r"^\d+\.\d+\.\d+")

    def test_a_command_that_fails_shows_what_it_said(self):
        with self.assertRaisesRegex(Failure, "(?s)ended with 3:.*bad luck"):
            run(["sh", "-c", "echo bad luck >&2; exit 3"])
        with self.assertRaisesRegex(Failure, "cannot be run"):
            run(["no-such-command"])


if __name__ == "__main__":
    unittest.main()
