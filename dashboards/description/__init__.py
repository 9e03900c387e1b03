"""What the dashboards show; `../generate` makes Grafana's JSON of it."""

from . import autoscaling, delivery_workers, dlq, fifo_groups, order_api, overview
from .grafana import linked

DASHBOARDS = linked(
    [
        overview.DASHBOARD,
        order_api.DASHBOARD,
        delivery_workers.DASHBOARD,
        autoscaling.DASHBOARD,
        dlq.DASHBOARD,
        fifo_groups.DASHBOARD,
    ]
)
