"""What the checks in operations.py are made of: how they are collected and run, and their words."""

import argparse
import concurrent.futures
import contextlib
import hashlib
import re
import struct
import time
import traceback
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# Seconds that anything which has to happen may take. Far more than it takes, as machines can be
# busy, and well below the 20 s of the longest poll.
PATIENCE = 12

# A run's queues share a prefix, so that they can be removed whatever became of their check.
RUN = f"boto3-{uuid.uuid4().hex[:8]}-"

PROTOCOLS = {"json": "application/x-amz-json-1.0", "query": "text/xml"}

# The errors of SQS: name in the API's model, code of the Query protocol, HTTP status. boto3 tells
# the code in both protocols, as the JSON protocol carries it in the header x-amzn-query-error.
# ReceiptHandleIsInvalid is documented with status 400, but AWS has always answered it with 404.
ERRORS = {
    "BatchEntryIdsNotDistinct": ("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400),
    "BatchRequestTooLong": ("AWS.SimpleQueueService.BatchRequestTooLong", 400),
    "EmptyBatchRequest": ("AWS.SimpleQueueService.EmptyBatchRequest", 400),
    "InvalidAddress": ("InvalidAddress", 404),
    "InvalidAttributeName": ("InvalidAttributeName", 400),
    "InvalidAttributeValue": ("InvalidAttributeValue", 400),
    "InvalidBatchEntryId": ("AWS.SimpleQueueService.InvalidBatchEntryId", 400),
    "InvalidMessageContents": ("InvalidMessageContents", 400),
    "InvalidParameterValueException": ("InvalidParameterValue", 400),
    "MissingRequiredParameterException": ("MissingParameter", 400),
    "OverLimit": ("OverLimit", 403),
    "PurgeQueueInProgress": ("AWS.SimpleQueueService.PurgeQueueInProgress", 403),
    "QueueDeletedRecently": ("AWS.SimpleQueueService.QueueDeletedRecently", 400),
    "QueueDoesNotExist": ("AWS.SimpleQueueService.NonExistentQueue", 400),
    "QueueNameExists": ("QueueAlreadyExists", 400),
    "ReceiptHandleIsInvalid": ("ReceiptHandleIsInvalid", 404),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "TooManyEntriesInBatchRequest": ("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400),
}
INVALID_VALUE = "InvalidParameterValueException"
MISSING = "MissingRequiredParameterException"

# Text that every encoding on the way has to carry as it is.
STRANGE_TEXT = (
    "Grüße, 世界 🎈 é e\u0301 שלום\u200f\ttab\nline\r\nline\rend "
    "& <b>\"'</b> ]]> %20+ \\u0041 \u00a0 "
)

# Message attributes of every type, with and without a label of their own.
OF_EVERY_TYPE = {
    "text": {"DataType": "String", "StringValue": STRANGE_TEXT},
    "text.url": {"DataType": "String.url", "StringValue": "https://example.com/?a=b&c=d"},
    "number": {"DataType": "Number", "StringValue": "-12345678901234567890.5"},
    "number.int": {"DataType": "Number.int", "StringValue": "0042"},
    "bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
    "bytes.png": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG\r\n"},
}

CHECKS = []


def check(function):
    """Collects a check. Its name is the sentence that it proves."""
    CHECKS.append(function)
    return function


class Journal:
    """Watches every request and answer for what has to hold for all of them."""

    def __init__(self):
        self.protocol = "json"
        self.requests = 0
        self.succeeded = set()
        # What was wrong, each with the first piece of evidence.
        self.wrong_requests = {}
        self.wrong_answers = {}

    def watch(self, sqs):
        sqs.meta.events.register("before-send.sqs", self.note_request)
        sqs.meta.events.register("after-call.sqs", self.note_answer)

    def note_request(self, request, event_name, **_):
        operation = event_name.rsplit(".", 1)[-1]
        target, body = text(request.headers.get("X-Amz-Target", "")), text(request.body or "")
        spoken = {
            "json": target == f"AmazonSQS.{operation}" and body.startswith("{"),
            "query": not target and f"Action={operation}" in body.split("&"),
        }
        self.requests += 1
        if not spoken[self.protocol]:
            wrong = f"{operation} was not sent in the {self.protocol} protocol"
            self.wrong_requests.setdefault(wrong, body[:200])

    def note_answer(self, http_response, parsed, model, **_):
        metadata, body = parsed["ResponseMetadata"], http_response.content
        kind = http_response.headers.get("Content-Type", "").split(";")[0]
        succeeded = metadata["HTTPStatusCode"] == 200
        if succeeded:
            self.succeeded.add(model.name)
        silent = succeeded and self.protocol == "json" and not model.output_shape
        wrong = {
            "without a request id": not metadata.get("RequestId"),
            f"as {kind!r}": body and kind != PROTOCOLS[self.protocol],
            "with a body, though it has no output": body and silent,
        }
        for how, is_so in wrong.items():
            if is_so:
                self.wrong_answers.setdefault(f"{model.name} was answered {how}", body[:200])


journal = Journal()


def run():
    """Runs all checks against the endpoint that the command line names. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Checks an SQS server through every operation.")
    parser.add_argument("endpoint", help="for example http://127.0.0.1:9324")
    parser.add_argument(
        "--protocol", choices=sorted(PROTOCOLS), default="json", help="what this botocore speaks"
    )
    options = parser.parse_args()
    journal.protocol = options.protocol
    sqs = boto3.client(
        "sqs",
        endpoint_url=options.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        # A retry would hide an error that a server answered with once.
        config=Config(retries={"total_max_attempts": 1}, read_timeout=40, max_pool_connections=20),
    )
    journal.watch(sqs)
    failed = 0
    for function in CHECKS:
        sentence = function.__name__.replace("_", " ")
        try:
            function(sqs)
            print(f"ok   {sentence}", flush=True)
        except Exception:  # Whatever it is, the other checks still have something to tell.
            failed += 1
            print(f"FAIL {sentence}\n{traceback.format_exc(chain=False)}", flush=True)
    # A server that cannot even do this was told about above.
    with contextlib.suppress(Exception):
        for url in list_queues(sqs, QueueNamePrefix=RUN):
            sqs.delete_queue(QueueUrl=url)
    print(f"{len(CHECKS) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def same(got, wanted, about=""):
    assert got == wanted, f"{about}\n   got {got!r}\nwanted {wanted!r}"


def text(value):
    return value.decode() if isinstance(value, (bytes, bytearray)) else value


def fields(answer):
    """An answer without what boto3 adds to it."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def succeeds(answer):
    """Holds for an operation without output."""
    same(fields(answer), {})
    same(answer["ResponseMetadata"]["HTTPStatusCode"], 200)


@contextlib.contextmanager
def refused(sqs, name, wording="", what="the call"):
    """Holds when what is done inside is refused with this error, told as boto3 tells it."""
    error = None
    try:
        yield
    except ClientError as raised:
        error = raised
    assert error, f"{what} succeeded, but {name} was expected"
    told, metadata = error.response["Error"], error.response["ResponseMetadata"]
    message = told.get("Message", "")
    about = f"{what}: {message}"
    same((told["Code"], metadata["HTTPStatusCode"]), ERRORS[name], about)
    # What the installed botocore does not model is a plain ClientError.
    same(type(error), getattr(sqs.exceptions, name, ClientError), about)
    same(told.get("Type"), "Sender", about)
    if journal.protocol == "json":
        same(told.get("QueryErrorCode"), name, about)
    assert message and wording in message, f"{what}: {message!r} does not say {wording!r}"


def eventually(probe, wanted):
    """Asks again until the answer is as wanted, for as long as there is patience."""
    deadline = time.monotonic() + PATIENCE
    while (got := probe()) != wanted:
        assert time.monotonic() < deadline, f"\nstill {got!r}\nwanted {wanted!r}"
        time.sleep(0.05)


def new_name(suffix=""):
    return f"{RUN}{uuid.uuid4().hex[:16]}{suffix}"


def new_queue(sqs, **attributes):
    """A new standard queue's URL."""
    attributes = {name: str(value) for name, value in attributes.items()}
    return sqs.create_queue(QueueName=new_name(), Attributes=attributes)["QueueUrl"]


def new_fifo(sqs, **attributes):
    """A new FIFO queue's URL."""
    attributes = {"FifoQueue": "true", **attributes}
    return sqs.create_queue(QueueName=new_name(".fifo"), Attributes=attributes)["QueueUrl"]


def name_of(url):
    return url.rsplit("/", 1)[-1]


def attributes_of(sqs, url, *names):
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names or ["All"]))
    return fields(answer).get("Attributes", {})


def arn_of(sqs, url):
    return attributes_of(sqs, url, "QueueArn")["QueueArn"]


def counts(sqs, url):
    """How many messages are visible, in flight, and delayed."""
    kinds = ["", "NotVisible", "Delayed"]
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    attributes = attributes_of(sqs, url, *names)
    return tuple(int(attributes[name]) for name in names)


def list_queues(sqs, **request):
    pages = sqs.get_paginator("list_queues").paginate(**request)
    return [url for page in pages for url in page.get("QueueUrls", [])]


def send(sqs, url, body, **more):
    return fields(sqs.send_message(QueueUrl=url, MessageBody=body, **more))


def send_to_group(sqs, url, group, *bodies):
    """Sends to a group of a FIFO queue. Returns the answers."""
    ids = (f"{group}-{uuid.uuid4()}" for _ in bodies)
    return [
        send(sqs, url, body, MessageGroupId=group, MessageDeduplicationId=next(ids))
        for body in bodies
    ]


def receive(sqs, url, most=1, wait=0, **more):
    """One receive's messages."""
    request = {"MaxNumberOfMessages": most, "WaitTimeSeconds": wait, **more}
    return sqs.receive_message(QueueUrl=url, **request).get("Messages", [])


def take(sqs, url, count=1, **more):
    """Receives, by polls that wait, until there are so many messages."""
    messages, deadline = [], time.monotonic() + PATIENCE
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} came: {messages}"
        messages += receive(sqs, url, most=min(10, count - len(messages)), wait=2, **more)
    same(len({message["ReceiptHandle"] for message in messages}), count)
    return messages


def take_one(sqs, url, **more):
    return take(sqs, url, 1, **more)[0]


def in_background(pool, *receives):
    """Starts receives that wait, and sees that they do wait."""
    waiting = [pool.submit(receive, sqs, url, wait=20) for sqs, url in receives]
    done, _ = concurrent.futures.wait(waiting, timeout=1)
    assert not done, f"a long poll of an empty queue came back: {[one.result() for one in done]}"
    return waiting


def bodies(messages):
    return [message["Body"] for message in messages]


def handle(message):
    return message["ReceiptHandle"]


def system_attributes(sqs, *names):
    """Asks a receive for system attributes, in the newest way that the client knows."""
    shape = sqs.meta.service_model.operation_model("ReceiveMessage").input_shape
    newer, older = "MessageSystemAttributeNames", "AttributeNames"
    return {newer if newer in shape.members else older: list(names or ["All"])}


def md5(body):
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes):
    """The digest of message attributes, as AWS's developer guide says to calculate it.

    In the order of their names: name, type, and value, each after its length in four bytes, and one
    byte before the value that says whether it is text or binary.
    """
    digest = hashlib.md5(usedforsecurity=False)

    def add(part):
        digest.update(struct.pack(">I", len(part)) + part)

    for name in sorted(attributes):
        attribute = attributes[name]
        binary = attribute["DataType"].split(".")[0] == "Binary"
        add(name.encode())
        add(attribute["DataType"].encode())
        digest.update(b"\x02" if binary else b"\x01")
        add(attribute["BinaryValue"] if binary else attribute["StringValue"].encode())
    return digest.hexdigest()


def is_id(value):
    """Whether a message id is a UUID, as AWS's are."""
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value))
