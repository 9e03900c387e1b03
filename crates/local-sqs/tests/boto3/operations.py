"""Drives an SQS server with boto3 through every operation of its API.

    python3 operations.py ENDPOINT [--protocol json|query]

The current boto3 speaks the JSON protocol, botocore up to 1.31.80 the older Query protocol; the
run proves that it spoke the one that it was told. What is expected is what AWS documents, and where
that is silent, or AWS was seen to answer otherwise, what it was seen to answer.
"""

import json
import re
import sys
import time
from urllib.parse import urlsplit

# Importing the two collects their checks.
import fifo_and_dead_letters  # noqa: F401
import messages  # noqa: F401
from harness import (
    INVALID_VALUE,
    arn_of,
    attributes_of,
    check,
    counts,
    eventually,
    fields,
    journal,
    list_queues,
    name_of,
    new_fifo,
    new_name,
    new_queue,
    receive,
    refused,
    run,
    same,
    send,
    succeeds,
    take_one,
)


@check
def a_standard_queue_is_made_with_the_documented_defaults(sqs):
    name = new_name()
    answer = fields(sqs.create_queue(QueueName=name))
    same(set(answer), {"QueueUrl"})
    url = answer["QueueUrl"]
    attributes = attributes_of(sqs, url)
    created = int(attributes.pop("CreatedTimestamp"))
    assert created <= int(attributes.pop("LastModifiedTimestamp")), attributes
    assert abs(time.time() - created) < 3600, created
    arn = re.fullmatch(rf"arn:aws:sqs:[a-z0-9-]+:([0-9]{{12}}):{name}", attributes["QueueArn"])
    assert arn, attributes["QueueArn"]
    same(urlsplit(url).path, f"/{arn[1]}/{name}")
    same(urlsplit(url).netloc, urlsplit(sqs.meta.endpoint_url).netloc)
    same(
        attributes,
        {
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesDelayed": "0",
            "ApproximateNumberOfMessagesNotVisible": "0",
            "DelaySeconds": "0",
            "MaximumMessageSize": "1048576",
            "MessageRetentionPeriod": "345600",
            "QueueArn": arn[0],
            "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true",
            "VisibilityTimeout": "30",
        },
    )


@check
def a_fifo_queue_tells_what_kind_it_is(sqs):
    url, standard = new_fifo(sqs), new_queue(sqs)
    more = set(attributes_of(sqs, url)) - set(attributes_of(sqs, standard))
    wanted = {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    same(more, set(wanted))
    same(attributes_of(sqs, url, *wanted), wanted)


@check
def making_a_queue_again_answers_its_url_unless_it_would_differ(sqs):
    request = {"QueueName": new_name(), "Attributes": {"DelaySeconds": "7"}}
    url = sqs.create_queue(**request)["QueueUrl"]
    same(sqs.create_queue(**request)["QueueUrl"], url)
    same(sqs.create_queue(QueueName=request["QueueName"])["QueueUrl"], url)
    wording = "already exists with the same name and a different value for attribute DelaySeconds"
    with refused(sqs, "QueueNameExists", wording):
        sqs.create_queue(**{**request, "Attributes": {"DelaySeconds": "8"}})
    same(attributes_of(sqs, url, "DelaySeconds"), {"DelaySeconds": "7"})


@check
def a_queue_without_a_proper_name_is_refused(sqs):
    for name in ["a b", "a.b", "ä", "x" * 81, new_name(".fifo")]:
        with refused(sqs, INVALID_VALUE, what=name):
            sqs.create_queue(QueueName=name)
    for name in [new_name(), "x" * 76 + ".fifo", ".fifo"]:
        with refused(sqs, INVALID_VALUE, what=name):
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})


@check
def values_that_an_attribute_cannot_have_are_refused(sqs):
    url = new_queue(sqs)
    wrong = {
        "VisibilityTimeout": ["-1", "43201", "ten"],
        "DelaySeconds": ["-1", "901"],
        "MaximumMessageSize": ["1023", "1048577"],
        "MessageRetentionPeriod": ["59", "1209601"],
        "ReceiveMessageWaitTimeSeconds": ["-1", "21"],
        "KmsDataKeyReusePeriodSeconds": ["59", "86401"],
        "SqsManagedSseEnabled": ["perhaps"],
        "Policy": ["no json"],
    }
    before = attributes_of(sqs, url)
    for name, values in wrong.items():
        for value in values:
            what, attributes = f"{name}={value}", {name: value}
            with refused(sqs, "InvalidAttributeValue", name, what):
                sqs.create_queue(QueueName=new_name(), Attributes=attributes)
            with refused(sqs, "InvalidAttributeValue", name, what):
                sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    same(attributes_of(sqs, url), before)


@check
def attributes_that_a_queue_does_not_have_are_refused(sqs):
    url = new_queue(sqs)
    for name in ["Nonsense", "FifoQueue", "ContentBasedDeduplication"]:
        with refused(sqs, "InvalidAttributeName", f"Unknown Attribute {name}.", name):
            sqs.create_queue(QueueName=new_name(), Attributes={name: "false"})
        with refused(sqs, "InvalidAttributeName", f"Unknown Attribute {name}.", name):
            sqs.set_queue_attributes(QueueUrl=url, Attributes={name: "false"})
    for name, value in [("DeduplicationScope", "queue"), ("FifoThroughputLimit", "perQueue")]:
        with refused(sqs, "InvalidAttributeName", f"{name} only when FifoQueue is set to true"):
            sqs.create_queue(QueueName=new_name(), Attributes={name: value})
    with refused(sqs, "InvalidAttributeName", "Nonsense"):
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Nonsense"])


@check
def a_queue_stays_of_the_kind_that_it_was_made(sqs):
    with refused(sqs, "InvalidAttributeValue", "Modifying queue type is not supported"):
        sqs.set_queue_attributes(QueueUrl=new_fifo(sqs), Attributes={"FifoQueue": "false"})


@check
def a_queue_is_encrypted_with_one_kind_of_key(sqs):
    url = new_queue(sqs)
    both = {"KmsMasterKeyId": "some-key", "SqsManagedSseEnabled": "true"}
    with refused(sqs, "InvalidAttributeName", "You can use one type of server-side encryption"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes=both)
    key = {"KmsMasterKeyId": "some-key", "KmsDataKeyReusePeriodSeconds": "6000"}
    succeeds(sqs.set_queue_attributes(QueueUrl=url, Attributes=key))
    wanted = {**key, "SqsManagedSseEnabled": "false"}
    eventually(lambda: attributes_of(sqs, url, *wanted), wanted)


@check
def attributes_are_set_and_only_those_asked_for_are_told(sqs):
    url = new_queue(sqs)
    before = attributes_of(sqs, url)
    changed = {
        "DelaySeconds": "1",
        "MaximumMessageSize": "2048",
        "MessageRetentionPeriod": "600",
        "ReceiveMessageWaitTimeSeconds": "2",
        "VisibilityTimeout": "45",
        "KmsMasterKeyId": "some-key",
        "KmsDataKeyReusePeriodSeconds": "6000",
        "SqsManagedSseEnabled": "false",
    }
    succeeds(sqs.set_queue_attributes(QueueUrl=url, Attributes=changed))
    # AWS spreads a change over up to a minute.
    eventually(lambda: attributes_of(sqs, url, *changed), changed)
    after = attributes_of(sqs, url)
    assert int(after["LastModifiedTimestamp"]) >= int(before["LastModifiedTimestamp"]), after
    same({**after, "LastModifiedTimestamp": ""}, {**before, **changed, "LastModifiedTimestamp": ""})
    same(attributes_of(sqs, url, "Policy", "RedrivePolicy"), {})
    same(fields(sqs.get_queue_attributes(QueueUrl=url)), {})


@check
def tags_are_added_overwritten_listed_and_removed(sqs):
    name = new_name()
    url = sqs.create_queue(QueueName=name, tags={"made": "with the queue"})["QueueUrl"]
    untagged = new_queue(sqs)
    same(fields(sqs.list_queue_tags(QueueUrl=untagged)), {})
    tags = {"a": "1", "A": "2", "empty": "", "ключ": "мой: тег+-=._/@"}
    succeeds(sqs.tag_queue(QueueUrl=url, Tags=tags))
    succeeds(sqs.tag_queue(QueueUrl=url, Tags={"a": "3"}))
    tags.update({"made": "with the queue", "a": "3"})
    same(fields(sqs.list_queue_tags(QueueUrl=url)), {"Tags": tags})
    succeeds(sqs.untag_queue(QueueUrl=url, TagKeys=["A", "empty", "ключ", "not there"]))
    same(fields(sqs.list_queue_tags(QueueUrl=url)), {"Tags": {"made": "with the queue", "a": "3"}})
    succeeds(sqs.untag_queue(QueueUrl=url, TagKeys=["a", "made"]))
    same(fields(sqs.list_queue_tags(QueueUrl=url)), {})


@check
def a_queue_is_found_by_its_name(sqs):
    url = new_queue(sqs)
    account = urlsplit(url).path.split("/")[1]
    same(fields(sqs.get_queue_url(QueueName=name_of(url))), {"QueueUrl": url})
    owned = sqs.get_queue_url(QueueName=name_of(url), QueueOwnerAWSAccountId=account)
    same(fields(owned), {"QueueUrl": url})
    with refused(sqs, "QueueDoesNotExist", "The specified queue does not exist"):
        sqs.get_queue_url(QueueName=new_name())
    with refused(sqs, "QueueDoesNotExist", "The specified queue does not exist"):
        sqs.get_queue_url(QueueName=name_of(url).upper())
    with refused(sqs, "QueueDoesNotExist"):
        sqs.get_queue_url(QueueName=name_of(url), QueueOwnerAWSAccountId="999999999999")


@check
def queues_are_listed_by_prefix_and_in_pages(sqs):
    prefix = new_name("-")
    names = [f"{prefix}{number}" for number in range(5)]
    urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]
    new_queue(sqs)
    # AWS may take a moment to list a new queue.
    eventually(lambda: sorted(list_queues(sqs, QueueNamePrefix=prefix)), urls)
    same(set(fields(sqs.list_queues(QueueNamePrefix=prefix))), {"QueueUrls"})
    same(fields(sqs.list_queues(QueueNamePrefix=new_name())), {})
    paginator = sqs.get_paginator("list_queues")
    pages = list(paginator.paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2}))
    same([len(page["QueueUrls"]) for page in pages], [2, 2, 1])
    same(["NextToken" in page for page in pages], [True, True, False])
    same(sorted(url for page in pages for url in page["QueueUrls"]), urls)
    for most in [0, 1001]:
        with refused(sqs, INVALID_VALUE, "MaxResults"):
            sqs.list_queues(MaxResults=most)


def operations_on(sqs, url):
    """Every operation that names a queue by its URL, each with parameters that are in order."""
    receipt = {"ReceiptHandle": "handle"}
    change = {**receipt, "VisibilityTimeout": 1}
    permission = {"Label": "label", "AWSAccountIds": ["123456789012"], "Actions": ["SendMessage"]}
    requests = {
        "add_permission": permission,
        "change_message_visibility": change,
        "change_message_visibility_batch": {"Entries": [{"Id": "1", **change}]},
        "delete_message": receipt,
        "delete_message_batch": {"Entries": [{"Id": "1", **receipt}]},
        "delete_queue": {},
        "get_queue_attributes": {"AttributeNames": ["All"]},
        "list_dead_letter_source_queues": {},
        "list_queue_tags": {},
        "purge_queue": {},
        "receive_message": {},
        "remove_permission": {"Label": "label"},
        "send_message": {"MessageBody": "body"},
        "send_message_batch": {"Entries": [{"Id": "1", "MessageBody": "body"}]},
        "set_queue_attributes": {"Attributes": {"DelaySeconds": "1"}},
        "tag_queue": {"Tags": {"key": "value"}},
        "untag_queue": {"TagKeys": ["key"]},
    }
    for operation, parameters in requests.items():
        yield operation, lambda o=operation, p=parameters: getattr(sqs, o)(QueueUrl=url, **p)


@check
def a_deleted_queue_is_gone(sqs):
    url = new_queue(sqs)
    send(sqs, url, "lost")
    succeeds(sqs.delete_queue(QueueUrl=url))

    def is_there():
        try:
            return bool(sqs.get_queue_url(QueueName=name_of(url)))
        except sqs.exceptions.QueueDoesNotExist:
            return False

    # AWS may take up to a minute.
    eventually(is_there, False)
    eventually(lambda: list_queues(sqs, QueueNamePrefix=name_of(url)), [])
    for operation, call in operations_on(sqs, url):
        with refused(sqs, "QueueDoesNotExist", "The specified queue does not exist", operation):
            call()


@check
def the_name_of_a_deleted_queue_is_free_or_refused_for_a_while(sqs):
    url = new_queue(sqs)
    send(sqs, url, "lost")
    sqs.delete_queue(QueueUrl=url)
    # AWS keeps the name for a minute. A server that skips this has to give a new, empty queue.
    try:
        same(sqs.create_queue(QueueName=name_of(url))["QueueUrl"], url)
        same(counts(sqs, url), (0, 0, 0))
    except sqs.exceptions.QueueDeletedRecently:
        with refused(sqs, "QueueDeletedRecently", "60 seconds"):
            sqs.create_queue(QueueName=name_of(url))


@check
def a_queue_url_serves_every_kind_of_request(sqs):
    name = new_name()
    made = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    eventually(lambda: len(list_queues(sqs, QueueNamePrefix=name)), 1)
    (listed,) = list_queues(sqs, QueueNamePrefix=name)
    send(sqs, made, "by its url")
    same(take_one(sqs, found, VisibilityTimeout=0)["Body"], "by its url")
    same(take_one(sqs, listed, VisibilityTimeout=0)["Body"], "by its url")


@check
def an_address_that_cannot_be_a_queues_is_refused(sqs):
    with refused(sqs, "InvalidAddress", "is not valid for this endpoint"):
        receive(sqs, f"{sqs.meta.endpoint_url}/")


@check
def a_purge_takes_all_messages_and_is_allowed_once_in_a_minute(sqs):
    url, other = new_queue(sqs), new_queue(sqs)
    for queue in [url, other]:
        for delay in [0, 0, 900]:
            send(sqs, queue, "body", DelaySeconds=delay)
        take_one(sqs, queue)
        eventually(lambda queue=queue: counts(sqs, queue), (1, 1, 1))
    succeeds(sqs.purge_queue(QueueUrl=url))
    eventually(lambda: counts(sqs, url), (0, 0, 0))
    same(receive(sqs, url, most=10), [])
    wording = f"Only one PurgeQueue operation on {name_of(url)} is allowed every 60 seconds."
    with refused(sqs, "PurgeQueueInProgress", wording):
        sqs.purge_queue(QueueUrl=url)
    same(counts(sqs, other), (1, 1, 1))


def policy_of(sqs, url):
    policy = attributes_of(sqs, url, "Policy").get("Policy")
    return policy and json.loads(policy)


@check
def a_permission_becomes_a_statement_of_the_policy_until_it_is_removed(sqs):
    url = new_queue(sqs)
    arn, queue = arn_of(sqs, url), {"QueueUrl": url}

    def statement(label, principal, action):
        return {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": action,
            "Resource": arn,
        }

    def policy(*statements):
        identity = f"{arn}/SQSDefaultPolicy"
        return {"Version": "2008-10-17", "Id": identity, "Statement": list(statements)}

    one, two = "111122223333", "444455556666"
    root_of_one, root_of_two = f"arn:aws:iam::{one}:root", f"arn:aws:iam::{two}:root"
    single = {"AWSAccountIds": [one], "Actions": ["ReceiveMessage"]}
    succeeds(sqs.add_permission(**queue, Label="first", **single))
    first = statement("first", root_of_one, "SQS:ReceiveMessage")
    same(policy_of(sqs, url), policy(first))
    with refused(sqs, INVALID_VALUE, "Value first for parameter Label is invalid. Reason: Already"):
        sqs.add_permission(**queue, Label="first", AWSAccountIds=[two], Actions=["*"])
    several = {"AWSAccountIds": [one, two], "Actions": ["SendMessage", "GetQueueUrl"]}
    succeeds(sqs.add_permission(**queue, Label="second", **several))
    got = policy_of(sqs, url)
    # AWS keeps no order of the accounts.
    got["Statement"][1]["Principal"]["AWS"].sort()
    actions = ["SQS:SendMessage", "SQS:GetQueueUrl"]
    same(got, policy(first, statement("second", [root_of_one, root_of_two], actions)))
    succeeds(sqs.remove_permission(**queue, Label="second"))
    same(policy_of(sqs, url), policy(first))
    succeeds(sqs.add_permission(**queue, Label="third", AWSAccountIds=[two], Actions=["*"]))
    same(policy_of(sqs, url), policy(first, statement("third", root_of_two, "SQS:*")))
    for label in ["first", "third"]:
        succeeds(sqs.remove_permission(**queue, Label=label))
    same(policy_of(sqs, url), None)
    with refused(sqs, INVALID_VALUE, "Value first for parameter Label is invalid. Reason: can't"):
        sqs.remove_permission(**queue, Label="first")


@check
def a_permission_that_makes_no_sense_is_refused(sqs):
    queue, accounts = {"QueueUrl": new_queue(sqs)}, {"AWSAccountIds": ["111122223333"]}
    for label in ["with space", "x" * 81]:
        with refused(sqs, INVALID_VALUE, "Label", label):
            sqs.add_permission(**queue, **accounts, Label=label, Actions=["SendMessage"])
    with refused(sqs, INVALID_VALUE, "Action"):
        sqs.add_permission(**queue, **accounts, Label="label", Actions=["Nonsense"])
    eight = [
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    ]
    with refused(sqs, "OverLimit", "allowed is 7"):
        sqs.add_permission(**queue, **accounts, Label="label", Actions=eight)
    same(attributes_of(sqs, queue["QueueUrl"], "Policy"), {})


@check
def a_policy_of_ones_own_is_kept(sqs):
    url = new_queue(sqs)
    statement = {
        "Sid": "own",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": arn_of(sqs, url),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {"Version": "2012-10-17", "Id": "mine", "Statement": [statement]}
    attributes = {"Policy": json.dumps(policy)}
    succeeds(sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes))
    eventually(lambda: policy_of(sqs, url), policy)
    succeeds(sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""}))
    eventually(lambda: policy_of(sqs, url), None)


# These judge the whole run, so they come last.


@check
def every_operation_succeeded(sqs):
    same(set(sqs.meta.service_model.operation_names) - journal.succeeded, set())


@check
def every_request_spoke_the_protocol_that_was_asked_for(sqs):
    assert journal.requests > 0
    same(journal.wrong_requests, {})


@check
def every_answer_had_the_form_that_the_protocol_gives_it(sqs):
    same(journal.wrong_answers, {})


if __name__ == "__main__":
    sys.exit(run())
