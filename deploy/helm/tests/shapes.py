"""What the fields of the rendered kinds are called and hold, from the Kubernetes 1.34 API, KEDA 2.21
and the Prometheus operator: those that the chart uses. A misspelt field is in no shape.

A shape is a name below, or one of: str, int, bool, number; intstr, a number or a text; map, texts
by texts; any, whatever is there; [shape], a list of it.
"""

SHAPES = {
    "meta": {"name": "str", "namespace": "str", "labels": "map", "annotations": "map"},
    "podMeta": {"labels": "map", "annotations": "map"},
    "selector": {"matchLabels": "map"},
    "local": {"name": "str"},
    # pods
    "template": {"metadata": "podMeta", "spec": "pod"},
    "pod": {
        "serviceAccountName": "str", "automountServiceAccountToken": "bool", "enableServiceLinks": "bool",
        "imagePullSecrets": ["local"], "securityContext": "podSecurity", "nodeSelector": "map",
        "tolerations": ["toleration"], "affinity": "affinity", "topologySpreadConstraints": ["spread"],
        "terminationGracePeriodSeconds": "int", "containers": ["container"], "volumes": ["volume"],
        "restartPolicy": "str",
    },
    "podSecurity": {
        "runAsNonRoot": "bool", "runAsUser": "int", "runAsGroup": "int", "fsGroup": "int", "seccompProfile": "seccomp",
    },
    "seccomp": {"type": "str"},
    "toleration": {
        "key": "str", "operator": "str", "value": "str", "effect": "str", "tolerationSeconds": "int",
    },
    "affinity": {"nodeAffinity": "any", "podAffinity": "any", "podAntiAffinity": "any"},
    "spread": {
        "topologyKey": "str", "maxSkew": "int", "whenUnsatisfiable": "str", "labelSelector": "selector",
        "matchLabelKeys": ["str"],
    },
    "container": {
        "name": "str", "image": "str", "imagePullPolicy": "str", "terminationMessagePolicy": "str",
        "securityContext": "security", "resources": "resources", "ports": ["port"], "env": ["env"],
        "args": ["str"], "startupProbe": "probe", "livenessProbe": "probe", "readinessProbe": "probe",
        "lifecycle": "lifecycle", "volumeMounts": ["mount"],
    },
    "security": {
        "allowPrivilegeEscalation": "bool", "readOnlyRootFilesystem": "bool", "capabilities": "capabilities",
    },
    "capabilities": {"drop": ["str"]},
    "resources": {"requests": "quantities", "limits": "quantities"},
    "quantities": {"cpu": "intstr", "memory": "intstr", "ephemeral-storage": "intstr"},
    "port": {"name": "str", "containerPort": "int"},
    "env": {"name": "str", "value": "str", "valueFrom": "valueFrom"},
    "valueFrom": {"secretKeyRef": "keyRef"},
    "keyRef": {"name": "str", "key": "str", "optional": "bool"},
    "probe": {
        "httpGet": "httpGet", "tcpSocket": "tcpSocket", "periodSeconds": "int", "timeoutSeconds": "int",
        "failureThreshold": "int", "initialDelaySeconds": "int",
    },
    "httpGet": {"path": "str", "port": "str"},
    "tcpSocket": {"port": "str"},
    "lifecycle": {"preStop": "handler"},
    "handler": {"sleep": "sleep"},
    "sleep": {"seconds": "int"},
    "mount": {"name": "str", "mountPath": "str", "readOnly": "bool", "subPath": "str"},
    "volume": {"name": "str", "configMap": "configMapVolume", "emptyDir": "nothing", "projected": "projected"},
    "configMapVolume": {"name": "str", "items": ["item"], "optional": "bool"},
    "item": {"key": "str", "path": "str"},
    "nothing": {},
    "projected": {"sources": ["projection"]},
    "projection": {"configMap": "local"},
    # workloads
    "Deployment": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "deployment"},
    "deployment": {
        "replicas": "int", "strategy": "strategy", "selector": "selector", "template": "template",
    },
    "strategy": {"type": "str", "rollingUpdate": "rolling"},
    "rolling": {"maxUnavailable": "intstr", "maxSurge": "intstr"},
    "Pod": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "pod"},
    # the rest of the core
    "Service": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "service"},
    "service": {
        "type": "str", "clusterIP": "str", "publishNotReadyAddresses": "bool", "selector": "map", "ports": ["servicePort"],
    },
    "servicePort": {"name": "str", "port": "int", "targetPort": "str"},
    "ServiceAccount": {
        "apiVersion": "str", "kind": "str", "metadata": "meta", "automountServiceAccountToken": "bool",
    },
    "ConfigMap": {"apiVersion": "str", "kind": "str", "metadata": "meta", "data": "map"},
    "Secret": {"apiVersion": "str", "kind": "str", "metadata": "meta", "stringData": "map"},
    "HorizontalPodAutoscaler": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "hpa"},
    "hpa": {"scaleTargetRef": "target", "minReplicas": "int", "maxReplicas": "int", "metrics": ["metric"]},
    "target": {"apiVersion": "str", "kind": "str", "name": "str"},
    "metric": {"type": "str", "resource": "resourceMetric"},
    "resourceMetric": {"name": "str", "target": "metricTarget"},
    "metricTarget": {"type": "str", "averageUtilization": "int"},
    "PodDisruptionBudget": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "pdb"},
    "pdb": {"maxUnavailable": "intstr", "unhealthyPodEvictionPolicy": "str", "selector": "selector"},
    "NetworkPolicy": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "policy"},
    "policy": {
        "podSelector": "selector", "policyTypes": ["str"], "ingress": ["ingress"], "egress": ["egress"],
    },
    "ingress": {"from": ["peer"], "ports": ["policyPort"]},
    "egress": {"to": ["peer"], "ports": ["policyPort"]},
    "peer": {"podSelector": "selector", "namespaceSelector": "selector", "ipBlock": "ipBlock"},
    "ipBlock": {"cidr": "str", "except": ["str"]},
    "policyPort": {"protocol": "str", "port": "int"},
    # KEDA
    "ScaledObject": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "scaled"},
    "scaled": {
        "scaleTargetRef": "target", "pollingInterval": "int", "cooldownPeriod": "int", "minReplicaCount": "int",
        "maxReplicaCount": "int", "fallback": "fallback", "advanced": "advanced", "triggers": ["trigger"],
    },
    "fallback": {"failureThreshold": "int", "replicas": "int", "behavior": "str"},
    "advanced": {"scalingModifiers": "modifiers", "horizontalPodAutoscalerConfig": "hpaConfig"},
    "modifiers": {"formula": "str", "target": "str", "metricType": "str"},
    "hpaConfig": {"behavior": "behavior"},
    "behavior": {"scaleUp": "scaling", "scaleDown": "scaling"},
    "scaling": {"stabilizationWindowSeconds": "int", "selectPolicy": "str", "policies": ["scalingPolicy"]},
    "scalingPolicy": {"type": "str", "value": "int", "periodSeconds": "int"},
    "trigger": {"type": "str", "name": "str", "authenticationRef": "local", "metadata": "map"},
    "TriggerAuthentication": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "authentication"},
    "authentication": {"secretTargetRef": ["parameter"], "podIdentity": "identity"},
    "parameter": {"parameter": "str", "name": "str", "key": "str"},
    "identity": {"provider": "str", "roleArn": "str", "identityOwner": "str"},
    # the Prometheus operator
    "PodMonitor": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "podMonitor"},
    "podMonitor": {"selector": "selector", "jobLabel": "str", "podTargetLabels": ["str"], "podMetricsEndpoints": ["endpoint"]},
    "endpoint": {"port": "str", "interval": "str"},
    "PrometheusRule": {"apiVersion": "str", "kind": "str", "metadata": "meta", "spec": "rules"},
    "rules": {"groups": ["group"]},
    "group": {"name": "str", "interval": "str", "rules": ["rule"], "labels": "map", "limit": "int"},
    "rule": {
        "alert": "str", "record": "str", "expr": "intstr", "for": "str", "keep_firing_for": "str",
        "labels": "map", "annotations": "map",
    },
}

VERSIONS = {
    "Deployment": "apps/v1", "Pod": "v1", "Service": "v1", "ServiceAccount": "v1", "ConfigMap": "v1", "Secret": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2", "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1", "ScaledObject": "keda.sh/v1alpha1",
    "TriggerAuthentication": "keda.sh/v1alpha1", "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}


def mistakes(value, shape, path=""):
    """What is wrong with a value of this shape, each with its path."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return ["%s is no list: %r" % (path, value)]
        return [each for i, item in enumerate(value) for each in mistakes(item, shape[0], "%s[%d]" % (path, i))]
    if shape == "any":
        return []
    if shape == "map":
        good = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
        return [] if good else ["%s is not texts by texts: %r" % (path, value)]
    if shape in ("str", "int", "bool", "number", "intstr"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        good = {
            "str": isinstance(value, str),
            "int": is_number and value == int(value),
            "bool": isinstance(value, bool),
            "number": is_number,
            "intstr": is_number or isinstance(value, str),
        }[shape]
        return [] if good else ["%s is no %s: %r" % (path, shape, value)]
    if not isinstance(value, dict):
        return ["%s is no object: %r" % (path, value)]
    fields = SHAPES[shape]
    unknown = ["%s.%s is no field of %s" % (path, name, shape) for name in value if name not in fields]
    known = [name for name in value if name in fields]
    return unknown + [each for name in known for each in mistakes(value[name], fields[name], "%s.%s" % (path, name))]


def of_object(each):
    """What is wrong with an object."""
    kind = each["kind"]
    if kind not in VERSIONS:
        return ["no shape for %s" % kind]
    wrong = [] if each["apiVersion"] == VERSIONS[kind] else ["%s of %s" % (each["apiVersion"], kind)]
    return wrong + mistakes(each, kind, "%s %s" % (kind, each["metadata"].get("name")))
