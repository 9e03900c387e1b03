"""The checks, in the order in which they run: those that do not share an installation, then those that do."""
from . import (
    backoff, experiments, fifo, flood, images, install, observability, orders, policies, render, rollout, scale_in, values,
)


class Check:
    """A named check: what it shows, and the function that shows it to a report."""

    def __init__(self, name, about, function):
        self.name = name
        self.about = about
        self.function = function


ALL = [
    Check("values", "wrong values are refused, by the chart or by the program, and the message says what to change", values.check),
    Check("render", "KEDA x monitoring x AWS or local: rendered, linted, accepted by the API server", render.check),
    Check("images", "each at most 40 MB compressed, as pulled from a registry, and without a shell", images.check),
    Check("install", "an empty restricted namespace is green in 2 minutes, tested, and empty again", install.check),
    Check("orders", "the README's orders: delivered, dead-lettered, counted, redriven", orders.check),
    Check("observability", "the demonstration's Prometheus scrapes every pod, and a failing order fires an alert", observability.check),
    Check("flood", "5000 orders: KEDA goes to the maximum and back, nothing lost, no receive burnt", flood.check),
    Check("backoff", "5000 orders that wait for their next attempt add no pod", backoff.check),
    Check("fifo", "3 groups get the pods that 3 groups need and no more; order holds while pods are killed", fifo.check),
    Check("scale-in", "kubectl scale sticks while KEDA is paused; scaling in under load strands nothing", scale_in.check),
    Check("rollout", "helm upgrade and restarts under load: no failed request, nothing lost or stranded", rollout.check),
    Check("policies", "pods reach what they must, and a pod without labels nothing", policies.check),
    Check("experiments", "every command of docs/experiments.md does what it says", experiments.check),
]
