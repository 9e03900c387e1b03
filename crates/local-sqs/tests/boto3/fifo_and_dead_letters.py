"""The checks of what FIFO queues, dead-letter queues and message move tasks add."""

import base64
import concurrent.futures
import hashlib
import json
import time
import uuid

from harness import (
    INVALID_VALUE,
    MISSING,
    OF_EVERY_TYPE,
    PATIENCE,
    STRANGE_TEXT,
    arn_of,
    attributes_of,
    bodies,
    check,
    counts,
    eventually,
    fields,
    handle,
    in_background,
    md5,
    md5_of_attributes,
    new_fifo,
    new_queue,
    receive,
    refused,
    same,
    send,
    send_to_group,
    succeeds,
    system_attributes,
    take,
    take_one,
)

# FIFO queues


@check
def a_group_is_received_in_the_order_it_was_sent(sqs):
    url = new_fifo(sqs)
    sent = send_to_group(sqs, url, "group", "1", "2", "3")
    same(set(sent[0]), {"MD5OfMessageBody", "MessageId", "SequenceNumber"})
    entries = [
        {"Id": n, "MessageBody": n, "MessageGroupId": "group", "MessageDeduplicationId": n}
        for n in ["4", "5", "6"]
    ]
    answer = fields(sqs.send_message_batch(QueueUrl=url, Entries=entries))
    same(set(answer), {"Successful"})
    same([entry["Id"] for entry in answer["Successful"]], ["4", "5", "6"])
    sent += answer["Successful"]
    numbers = [entry["SequenceNumber"] for entry in sent]
    assert all(number.isdigit() for number in numbers), numbers
    same(sorted(set(numbers), key=int), numbers)
    got = []
    while len(got) < 6:
        batch = receive(sqs, url, most=10, wait=2, **system_attributes(sqs))
        assert batch, f"only {bodies(got)} came"
        for message in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(message))
        got += batch
    same(bodies(got), ["1", "2", "3", "4", "5", "6"])
    told = [message["Attributes"] for message in got]
    same([one["SequenceNumber"] for one in told], numbers)
    same({one["MessageGroupId"] for one in told}, {"group"})
    same([one["MessageDeduplicationId"] for one in told][3:], ["4", "5", "6"])
    names = {"ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId"}
    names |= {"MessageDeduplicationId", "MessageGroupId", "SentTimestamp", "SequenceNumber"}
    same(set(told[0]), names)


@check
def a_group_in_flight_is_blocked_and_other_groups_are_not(sqs):
    url = new_fifo(sqs)
    send_to_group(sqs, url, "a", "a1", "a2")
    send_to_group(sqs, url, "b", "b1", "b2")
    first = take_one(sqs, url)
    same(first["Body"][1], "1")
    other = {"a": "b", "b": "a"}[first["Body"][0]]
    same(bodies(take(sqs, url, 2)), [f"{other}1", f"{other}2"])
    same(receive(sqs, url, most=10), [])
    # The head of the group comes again before what is behind it.
    change = {"QueueUrl": url, "ReceiptHandle": handle(first)}
    succeeds(sqs.change_message_visibility(**change, VisibilityTimeout=0))
    again = take_one(sqs, url)
    same(again["Body"], first["Body"])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        (waiting,) = in_background(pool, (sqs, url))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(again))
        same(bodies(waiting.result(PATIENCE)), [first["Body"][0] + "2"])


@check
def a_deduplication_id_is_accepted_again_but_delivered_once(sqs):
    url = new_fifo(sqs)
    once = {"MessageGroupId": "group", "MessageDeduplicationId": "!id-1~"}
    first = send(sqs, url, "first", **once)
    same(set(send(sqs, url, "second", **once)), set(first))
    same(set(send(sqs, url, "third", **{**once, "MessageGroupId": "other"})), set(first))
    message = take_one(sqs, url)
    same((message["MessageId"], message["Body"]), (first["MessageId"], "first"))
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(message))
    # It is remembered when the message is gone. What is sent after it shows that nothing came.
    send(sqs, url, "fourth", **once)
    send_to_group(sqs, url, "group", "last")
    same(bodies(take(sqs, url)), ["last"])
    eventually(lambda: counts(sqs, url), (0, 1, 0))


@check
def equal_content_is_delivered_once_where_the_queue_says_so(sqs):
    url = new_fifo(sqs, ContentBasedDeduplication="true")
    group = {"MessageGroupId": "group"}
    attributes = {"MessageAttributes": OF_EVERY_TYPE}
    send(sqs, url, STRANGE_TEXT, **group)
    send(sqs, url, STRANGE_TEXT, **group, **attributes)
    digest = hashlib.sha256(STRANGE_TEXT.encode()).hexdigest()
    send(sqs, url, "other content", **group, MessageDeduplicationId=digest)
    send(sqs, url, STRANGE_TEXT, **group, MessageDeduplicationId="an-id-of-its-own")
    got = take(sqs, url, 2, **system_attributes(sqs))
    same(bodies(got), [STRANGE_TEXT, STRANGE_TEXT])
    ids = [message["Attributes"]["MessageDeduplicationId"] for message in got]
    same(ids, [digest, "an-id-of-its-own"])
    eventually(lambda: counts(sqs, url), (0, 2, 0))


@check
def deduplication_within_groups_lets_an_id_through_once_in_each(sqs):
    url = new_fifo(sqs, DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in ["a", "b", "a"]:
        send(sqs, url, group, MessageGroupId=group, MessageDeduplicationId="id")
    same(sorted(bodies(take(sqs, url, 2))), ["a", "b"])
    eventually(lambda: counts(sqs, url), (0, 2, 0))


@check
def what_does_not_fit_the_kind_of_queue_is_refused(sqs):
    fifo, standard = new_fifo(sqs), new_queue(sqs)
    group, id = {"MessageGroupId": "group"}, {"MessageDeduplicationId": "id"}
    with refused(sqs, MISSING, "The request must contain the parameter MessageGroupId."):
        send(sqs, fifo, "body", **id)
    neither = "should either have ContentBasedDeduplication enabled or MessageDeduplicationId"
    with refused(sqs, INVALID_VALUE, neither):
        send(sqs, fifo, "body", **group)
    not_here = (
        "invalid. Reason: The request include parameter that is not valid for this queue type."
    )
    with refused(sqs, INVALID_VALUE, f"Value 2 for parameter DelaySeconds is {not_here}"):
        send(sqs, fifo, "body", **group, **id, DelaySeconds=2)
    with refused(sqs, INVALID_VALUE, "for parameter MessageDeduplicationId is invalid"):
        send(sqs, standard, "body", **id)
    for value in ["with space", "ä", "x" * 129]:
        for name in ["MessageGroupId", "MessageDeduplicationId"]:
            request = {**group, **id, name: value}
            with refused(sqs, INVALID_VALUE, f"{name} can only include alphanumeric", value):
                send(sqs, fifo, "body", **request)
    # In a batch the first lack of this kind refuses all of it.
    entry = {"MessageBody": "body", **group, **id}
    no_group = "The request must contain the parameter MessageGroupId."
    for lack, wording in [("MessageGroupId", no_group), ("MessageDeduplicationId", neither)]:
        bad = {name: value for name, value in entry.items() if name != lack}
        with refused(sqs, INVALID_VALUE, wording, lack):
            entries = [{"Id": "good", **entry}, {"Id": "bad", **bad}]
            sqs.send_message_batch(QueueUrl=fifo, Entries=entries)
    same(counts(sqs, fifo), (0, 0, 0))


@check
def a_receive_is_repeated_by_its_attempt_id_until_a_message_is_touched(sqs):
    url = new_fifo(sqs, VisibilityTimeout="600")
    send_to_group(sqs, url, "a", "1", "2")
    attempt = {"ReceiveRequestAttemptId": str(uuid.uuid4())}
    got = receive(sqs, url, most=10, wait=PATIENCE, **attempt)
    same(bodies(got), ["1", "2"])
    same(receive(sqs, url, most=10, **attempt), got)
    same(receive(sqs, url, most=10, ReceiveRequestAttemptId=str(uuid.uuid4())), [])
    same(receive(sqs, url, most=10), [])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(got[0]))
    with refused(sqs, INVALID_VALUE, "not valid anymore since the receive call is not retryable"):
        receive(sqs, url, most=10, **attempt)
    with refused(sqs, INVALID_VALUE, "ReceiveRequestAttemptId"):
        receive(sqs, url, ReceiveRequestAttemptId="with space")


@check
def a_handle_that_has_expired_deletes_nothing_in_a_fifo_queue(sqs):
    url = new_fifo(sqs)
    send_to_group(sqs, url, "group", "body")
    message = take_one(sqs, url, VisibilityTimeout=1)
    eventually(lambda: counts(sqs, url), (1, 0, 0))
    with refused(sqs, INVALID_VALUE, "Reason: The receipt handle has expired."):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(message))
    again = take_one(sqs, url)
    same(again["MessageId"], message["MessageId"])
    succeeds(sqs.delete_message(QueueUrl=url, ReceiptHandle=handle(again)))
    eventually(lambda: counts(sqs, url), (0, 0, 0))


# Dead-letter queues


def redrive(arn, times):
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": times})}


def with_dead_letters(sqs, times=1, new=new_queue):
    """A queue and its dead-letter queue, which gets what was received so many times."""
    target = new(sqs)
    return new(sqs, **redrive(arn_of(sqs, target), times)), target


def sources_of(sqs, url):
    return fields(sqs.list_dead_letter_source_queues(QueueUrl=url)).get("queueUrls", [])


def tasks_of(sqs, arn, **more):
    answer = fields(sqs.list_message_move_tasks(SourceArn=arn, **more))
    same(set(answer) - {"Results"}, set())
    return answer.get("Results", [])


def status_of(sqs, arn):
    return [task["Status"] for task in tasks_of(sqs, arn)]


@check
def a_redrive_policy_is_kept_and_its_queue_listed_as_a_source(sqs):
    target = new_queue(sqs)
    arn = arn_of(sqs, target)
    same(sources_of(sqs, target), [])
    sources = [new_queue(sqs, **redrive(arn, 3)) for _ in range(3)]
    eventually(lambda: len(sources_of(sqs, target)), 3)
    answer = fields(sqs.list_dead_letter_source_queues(QueueUrl=target))
    same(set(answer), {"queueUrls"})
    same(sorted(answer["queueUrls"]), sorted(sources))
    paginator = sqs.get_paginator("list_dead_letter_source_queues")
    pages = list(paginator.paginate(QueueUrl=target, PaginationConfig={"PageSize": 2}))
    same(["NextToken" in page for page in pages], [True, False])
    same(sorted(url for page in pages for url in page["queueUrls"]), sorted(sources))
    policy = json.loads(attributes_of(sqs, sources[0], "RedrivePolicy")["RedrivePolicy"])
    same(policy, {"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    for source in sources:
        sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": ""})
        same(attributes_of(sqs, source, "RedrivePolicy"), {})
    eventually(lambda: sources_of(sqs, target), [])


@check
def a_redrive_policy_that_makes_no_sense_is_refused(sqs):
    url = new_queue(sqs)
    arn = arn_of(sqs, url)
    closed = new_queue(sqs, RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"}))
    wrong = {
        "no such queue": redrive(f"{arn}-not-there", 1),
        "of another kind": redrive(arn_of(sqs, new_fifo(sqs)), 1),
        "not allowed": redrive(arn_of(sqs, closed), 1),
        "never": redrive(arn, 0),
        "too often": redrive(arn, 1001),
        "no number": redrive(arn, "many"),
        "no count": {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn})},
        "no target": {"RedrivePolicy": json.dumps({"maxReceiveCount": 1})},
    }
    source = new_queue(sqs)
    for what, attributes in wrong.items():
        with refused(sqs, INVALID_VALUE, "", what):
            new_queue(sqs, **attributes)
        with refused(sqs, INVALID_VALUE, "", what):
            sqs.set_queue_attributes(QueueUrl=source, Attributes=attributes)
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [arn_of(sqs, source)]}
    attributes = {"RedriveAllowPolicy": json.dumps(allowed)}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    told = attributes_of(sqs, url, "RedriveAllowPolicy")["RedriveAllowPolicy"]
    same(json.loads(told), allowed)
    succeeds(sqs.set_queue_attributes(QueueUrl=source, Attributes=redrive(arn, 1)))
    with refused(sqs, INVALID_VALUE):
        new_queue(sqs, **redrive(arn, 1))


@check
def a_message_that_was_received_too_often_goes_to_the_dead_letter_queue(sqs):
    source, target = with_dead_letters(sqs, times=2)
    sent = send(sqs, source, "dead", MessageAttributes=OF_EVERY_TYPE)
    asked = {"MessageAttributeNames": ["All"], **system_attributes(sqs)}
    take_one(sqs, source, VisibilityTimeout=0)
    alive = take_one(sqs, source, VisibilityTimeout=0, **asked)
    # The receive that would be one too many finds nothing.
    same(receive(sqs, source, wait=1), [])
    dead = take_one(sqs, target, **asked)
    told = dead.pop("Attributes")
    same(told.pop("DeadLetterQueueSourceArn"), arn_of(sqs, source))
    # Receives count across queues.
    same(told.pop("ApproximateReceiveCount"), "3")
    same(
        {name: told[name] for name in ["SenderId", "SentTimestamp"]},
        {name: alive["Attributes"][name] for name in ["SenderId", "SentTimestamp"]},
    )
    same(dead.pop("ReceiptHandle") == handle(alive), False)
    same(
        dead,
        {
            "Body": "dead",
            "MD5OfBody": md5("dead"),
            "MD5OfMessageAttributes": md5_of_attributes(OF_EVERY_TYPE),
            "MessageAttributes": OF_EVERY_TYPE,
            "MessageId": sent["MessageId"],
        },
    )
    eventually(lambda: (counts(sqs, source), counts(sqs, target)), ((0, 0, 0), (0, 1, 0)))


@check
def a_dead_head_of_a_group_makes_way_for_the_next(sqs):
    source, target = with_dead_letters(sqs, new=new_fifo)
    send_to_group(sqs, source, "group", "dead", "alive")
    same(take_one(sqs, source, VisibilityTimeout=0)["Body"], "dead")
    same(take_one(sqs, source)["Body"], "alive")
    dead = take_one(sqs, target, **system_attributes(sqs))
    same((dead["Body"], dead["Attributes"]["MessageGroupId"]), ("dead", "group"))
    same(dead["Attributes"]["DeadLetterQueueSourceArn"], arn_of(sqs, source))


@check
def a_move_task_brings_dead_letters_back_to_where_they_came_from(sqs):
    source, target = with_dead_letters(sqs)
    arn = arn_of(sqs, target)
    same(tasks_of(sqs, arn), [])
    sent = send(sqs, source, "dead", MessageAttributes=OF_EVERY_TYPE)
    take_one(sqs, source, VisibilityTimeout=0)
    same(receive(sqs, source, wait=1), [])
    eventually(lambda: counts(sqs, target), (1, 0, 0))
    started = fields(sqs.start_message_move_task(SourceArn=arn))
    same(set(started), {"TaskHandle"})
    # AWS documents no form of the handle, but clients were seen to take it apart.
    opened = json.loads(base64.b64decode(started["TaskHandle"]))
    same((set(opened), opened["sourceArn"]), ({"taskId", "sourceArn"}, arn))
    eventually(lambda: status_of(sqs, arn), ["COMPLETED"])
    (task,) = tasks_of(sqs, arn)
    assert abs(time.time() - task.pop("StartedTimestamp") / 1000) < 3600, task
    same(
        task,
        {
            "ApproximateNumberOfMessagesMoved": 1,
            "ApproximateNumberOfMessagesToMove": 1,
            "SourceArn": arn,
            "Status": "COMPLETED",
        },
    )
    back = take_one(sqs, source, MessageAttributeNames=["All"], **system_attributes(sqs))
    same((back["Body"], back["MessageAttributes"]), ("dead", OF_EVERY_TYPE))
    # It is documented to count as a new message.
    assert back["MessageId"] != sent["MessageId"], back
    same(back["Attributes"]["ApproximateReceiveCount"], "1")
    eventually(lambda: counts(sqs, target), (0, 0, 0))


@check
def a_running_move_task_is_told_and_can_be_cancelled(sqs):
    (_, target), elsewhere = with_dead_letters(sqs), new_queue(sqs)
    arn, destination = arn_of(sqs, target), arn_of(sqs, elsewhere)
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(10)]
    for _ in range(2):
        sqs.send_message_batch(QueueUrl=target, Entries=entries)
    eventually(lambda: counts(sqs, target), (20, 0, 0))
    request = {"SourceArn": arn, "DestinationArn": destination}
    task = sqs.start_message_move_task(**request, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    with refused(
        sqs,
        INVALID_VALUE,
        "There is already a task running. "
        "Only one active task is allowed for a source queue arn at a given time.",
    ):
        sqs.start_message_move_task(SourceArn=arn)
    eventually(lambda: counts(sqs, elsewhere)[0] > 0, True)
    (running,) = tasks_of(sqs, arn)
    assert running.pop("StartedTimestamp") > 0
    assert 0 <= running.pop("ApproximateNumberOfMessagesMoved") < 20
    told = {
        "ApproximateNumberOfMessagesToMove": 20,
        "DestinationArn": destination,
        "MaxNumberOfMessagesPerSecond": 1,
        "SourceArn": arn,
    }
    same(running, {**told, "Status": "RUNNING", "TaskHandle": task})
    cancelled = fields(sqs.cancel_message_move_task(TaskHandle=task))
    same(set(cancelled), {"ApproximateNumberOfMessagesMoved"})
    assert 0 <= cancelled["ApproximateNumberOfMessagesMoved"] < 20, cancelled
    eventually(lambda: status_of(sqs, arn), ["CANCELLED"])
    (ended,) = tasks_of(sqs, arn)
    moved = ended.pop("ApproximateNumberOfMessagesMoved")
    assert ended.pop("StartedTimestamp") > 0
    same(ended, {**told, "Status": "CANCELLED"})
    # What was moved stays moved, and what was not stays.
    eventually(lambda: (counts(sqs, target)[0], counts(sqs, elsewhere)[0]), (20 - moved, moved))
    sqs.start_message_move_task(**request)
    eventually(lambda: status_of(sqs, arn), ["COMPLETED"])
    eventually(lambda: counts(sqs, elsewhere), (20, 0, 0))
    # The newest comes first, and alone where no number is asked for.
    all_of_them = [task["Status"] for task in tasks_of(sqs, arn, MaxResults=10)]
    same(all_of_them, ["COMPLETED", "CANCELLED"])


@check
def a_move_task_that_cannot_be_is_refused(sqs):
    _, target = with_dead_letters(sqs)
    arn, plain = arn_of(sqs, target), arn_of(sqs, new_queue(sqs))
    nowhere = f"{arn}-not-there"
    wording = "The resource that you specified for the SourceArn parameter doesn't exist."
    with refused(sqs, "ResourceNotFoundException", wording):
        sqs.start_message_move_task(SourceArn=nowhere)
    with refused(sqs, "ResourceNotFoundException", wording):
        sqs.list_message_move_tasks(SourceArn=nowhere)
    with refused(sqs, "ResourceNotFoundException", wording.replace("Source", "Destination")):
        sqs.start_message_move_task(SourceArn=arn, DestinationArn=nowhere)
    wording = "Source queue must be configured as a Dead Letter Queue."
    with refused(sqs, INVALID_VALUE, wording):
        sqs.start_message_move_task(SourceArn=plain, DestinationArn=arn)
    for rate in [0, 501]:
        with refused(sqs, INVALID_VALUE, "MaxNumberOfMessagesPerSecond", f"a rate of {rate}"):
            sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=rate)
    for most in [0, 11]:
        with refused(sqs, INVALID_VALUE, "MaxResults", f"MaxResults={most}"):
            sqs.list_message_move_tasks(SourceArn=arn, MaxResults=most)
    with refused(sqs, INVALID_VALUE, "Value for parameter TaskHandle is invalid."):
        sqs.cancel_message_move_task(TaskHandle="garbage")
    unknown = json.dumps({"taskId": str(uuid.uuid4()), "sourceArn": arn})
    with refused(sqs, "ResourceNotFoundException", "Task does not exist."):
        sqs.cancel_message_move_task(TaskHandle=base64.b64encode(unknown.encode()).decode())
    same(tasks_of(sqs, arn, MaxResults=10), [])
