"""The operations of SQS that the checks need, in AWS JSON 1.0 and without a signature: the bundled
local-sqs takes any credentials, and none."""
from .process import Failure

STANDARD = "order-queue-standard"
STANDARD_DLQ = "order-queue-standard-dlq"
FIFO = "order-queue.fifo"
FIFO_DLQ = "order-queue-dlq.fifo"
SOURCES = (STANDARD, FIFO)
ALL = (STANDARD, STANDARD_DLQ, FIFO, FIFO_DLQ)
COUNTS = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


class SqsError(Failure):
    """SQS has refused a call; `code` is its error's name."""

    def __init__(self, operation, code, message):
        super().__init__("SQS refused %s: %s: %s" % (operation, code, message))
        self.code = code


class Counts:
    """What is in a queue. Of local-sqs these are exact."""

    def __init__(self, visible, in_flight, delayed):
        self.visible = visible
        self.in_flight = in_flight
        self.delayed = delayed

    @property
    def total(self):
        return self.visible + self.in_flight + self.delayed

    def __str__(self):
        return "%d visible, %d in flight, %d delayed" % (self.visible, self.in_flight, self.delayed)


class Sqs:
    def __init__(self, client):
        self._client = client
        self._urls = {}

    def call(self, operation, **parameters):
        headers = {"x-amz-target": "AmazonSQS." + operation, "content-type": "application/x-amz-json-1.0"}
        answer = self._client.request("POST", "/", body=parameters, headers=headers)
        # An operation without output has an empty body.
        document = answer.json() if answer.body else {}
        if answer.status != 200:
            code = document.get("__type", "HTTP %d" % answer.status).rsplit("#", 1)[-1]
            raise SqsError(operation, code, document.get("message", ""))
        return document

    def url(self, queue):
        if queue not in self._urls:
            self._urls[queue] = self.call("GetQueueUrl", QueueName=queue)["QueueUrl"]
        return self._urls[queue]

    def attributes(self, queue, *names):
        answer = self.call("GetQueueAttributes", QueueUrl=self.url(queue), AttributeNames=list(names or ["All"]))
        return answer.get("Attributes", {})

    def counts(self, queue):
        found = self.attributes(queue, *COUNTS.values())
        return Counts(**{state: int(found[name]) for state, name in COUNTS.items()})

    def purge(self, queue):
        """Deletes what is in a queue, also what is in flight."""
        self.call("PurgeQueue", QueueUrl=self.url(queue))
