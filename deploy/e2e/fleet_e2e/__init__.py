"""The fleet on a real cluster: installed, loaded, scaled, broken, and audited.

| module | what |
|---|---|
| `cli` | arguments, the run, the summary |
| `checks` | one module a check |
| `installation` | the release that the checks share: its values, its addresses, its state between checks |
| `values` | what each check sets in the chart |
| `cluster`, `helm`, `forward` | kubectl, helm, port-forwards |
| `client`, `sqs`, `metrics` | HTTP on kept connections, SQS, Prometheus' text format |
| `load` | orders, in a burst or as a stream |
| `audit` | what became of the orders that were accepted |
| `sampler` | how many pods there were, over time |
| `commands` | the command blocks of a document |
| `process`, `waiting`, `report` | commands, conditions, figures |
"""
