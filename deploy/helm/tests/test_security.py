"""Every pod passes the restricted Pod Security Standard, and gets nothing that it does not need.

The rules are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/,
"Restricted", which holds "Baseline" as well.
"""
import copy
import unittest

import chart

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}
FORBIDDEN_IN_POD = {"hostNetwork", "hostPID", "hostIPC", "hostUsers"}
FORBIDDEN_IN_SECURITY = {
    "privileged", "procMount", "seLinuxOptions", "windowsOptions", "appArmorProfile", "sysctls", "supplementalGroups",
}


def violations(spec):
    """Why the restricted standard refuses a pod."""
    found = sorted(FORBIDDEN_IN_POD & set(spec))
    of_pod = spec.get("securityContext", {})
    found += sorted(FORBIDDEN_IN_SECURITY & set(of_pod))
    for volume in spec.get("volumes", []):
        found += ["volume of type %s" % kind for kind in sorted(set(volume) - {"name"} - VOLUMES)]
    containers = [each for of in ("containers", "initContainers", "ephemeralContainers") for each in spec.get(of, [])]
    for container in containers:
        security = container.get("securityContext", {})
        found += sorted(FORBIDDEN_IN_SECURITY & set(security))
        if security.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if security.get("capabilities") != {"drop": ["ALL"]}:
            found.append("capabilities")
        if security.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
            found.append("runAsNonRoot")
        if security.get("runAsUser", of_pod.get("runAsUser")) in (None, 0):
            found.append("runAsUser")
        profile = security.get("seccompProfile", of_pod.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append("hostPort")
    return found


class Security(unittest.TestCase):
    def test_every_pod_of_every_combination_is_restricted(self):
        for name, arguments in chart.combinations().items():
            for component, _, _, spec in chart.pods(chart.render(*arguments)):
                with self.subTest("%s: %s" % (name, component)):
                    self.assertEqual(violations(spec), [])

    def test_a_pod_that_breaks_a_rule_is_found(self):
        good = chart.pods(chart.render())[0][3]
        self.assertEqual(violations(good), [])

        def broken(change):
            spec = copy.deepcopy(good)
            change(spec, spec["containers"][0])
            return violations(spec)

        self.assertEqual(broken(lambda spec, _: spec.update(hostNetwork=True)), ["hostNetwork"])
        self.assertEqual(broken(lambda spec, _: spec["securityContext"].update(runAsUser=0)), ["runAsUser"])
        self.assertEqual(broken(lambda spec, _: spec["securityContext"].pop("seccompProfile")), ["seccompProfile"])
        self.assertEqual(broken(lambda spec, _: spec.update(volumes=[{"name": "h", "hostPath": {"path": "/"}}])), ["volume of type hostPath"])
        self.assertEqual(broken(lambda _, container: container["securityContext"].pop("capabilities")), ["capabilities"])
        self.assertEqual(broken(lambda _, container: container["securityContext"].update(privileged=True)), ["privileged"])
        self.assertEqual(broken(lambda _, container: container.pop("securityContext")), ["allowPrivilegeEscalation", "capabilities"])

    def test_no_root_file_system_can_be_written_and_no_pod_has_a_token(self):
        for name, arguments in chart.combinations().items():
            objects = chart.render(*arguments)
            for component, _, _, spec in chart.pods(objects):
                with self.subTest("%s: %s" % (name, component)):
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertIs(spec["enableServiceLinks"], False)
                    for container in spec["containers"]:
                        self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)
            for account in chart.of_kind(objects, "ServiceAccount"):
                self.assertIs(account["automountServiceAccountToken"], False)

    def test_each_component_has_the_service_account_of_its_service(self):
        objects = chart.render()
        accounts = {each["metadata"]["name"] for each in chart.of_kind(objects, "ServiceAccount")}
        used = {component: spec["serviceAccountName"] for component, _, _, spec in chart.pods(objects)}
        self.assertEqual(set(used.values()), accounts)
        self.assertEqual(used["worker-standard"], used["worker-fifo"])
        others = [name for component, name in used.items() if component != "worker-fifo"]
        self.assertEqual(len(others), len(set(others)))

    def test_service_accounts_take_a_name_and_annotations_and_can_be_somebody_elses(self):
        objects = chart.render(*chart.AWS)
        worker = chart.named(objects, "ServiceAccount", "worker")
        self.assertIn("eks.amazonaws.com/role-arn", worker["metadata"]["annotations"])
        given = chart.render("--set", "serviceAccounts.create=false,serviceAccounts.orderApi.name=api")
        self.assertEqual(chart.of_kind(given, "ServiceAccount"), [])
        self.assertEqual({c: s["serviceAccountName"] for c, _, _, s in chart.pods(given)}["order-api"], "api")

    def test_no_secret_is_written_into_a_pod(self):
        for name, arguments in chart.combinations().items():
            for component, _, _, spec in chart.pods(chart.render(*arguments)):
                for entry in spec["containers"][0].get("env", []):
                    if any(word in entry["name"] for word in ("PASSWORD", "SECRET", "TOKEN", "DATABASE_URL")):
                        with self.subTest("%s: %s %s" % (name, component, entry["name"])):
                            shown = entry.get("value", "")
                            self.assertTrue("valueFrom" in entry or shown.startswith("sqlite://"), entry)

    def test_what_a_program_says_at_its_end_is_shown_and_memory_is_limited(self):
        for component, _, _, spec in chart.pods(chart.render("--set", "observability.demo=true")):
            container = spec["containers"][0]
            with self.subTest(component):
                self.assertEqual(container["terminationMessagePolicy"], "FallbackToLogsOnError")
                self.assertIn("memory", container["resources"]["limits"])
                self.assertIn("cpu", container["resources"]["requests"])


if __name__ == "__main__":
    unittest.main()
