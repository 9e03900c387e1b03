"""Which SQS operations a service calls, read off its Rust sources.

A call is an operation's builder of the SDK, `.receive_message()`. A service makes some itself and some
through `sqs_consumer::Queue`, whose methods are looked up in the library's AWS adapter; one that runs a
`Consumer` makes those that the consumer makes as well.
"""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ADAPTER = ROOT / "crates" / "sqs-consumer" / "src" / "aws"
CONSUMER = ROOT / "crates" / "sqs-consumer" / "src" / "consumer"
# The methods of the trait `Queue` that speak with SQS, and those that the adapter has beside it.
QUEUE_METHODS = ("attributes", "receive", "delete", "change_visibility", "dead_letter")
ADAPTER_METHODS = ("send_batch",)
OPERATIONS = (
    "add_permission", "cancel_message_move_task", "change_message_visibility",
    "change_message_visibility_batch", "create_queue", "delete_message", "delete_message_batch",
    "delete_queue", "get_queue_attributes", "get_queue_url", "list_dead_letter_source_queues",
    "list_message_move_tasks", "list_queue_tags", "list_queues", "purge_queue", "receive_message",
    "remove_permission", "send_message", "send_message_batch", "set_queue_attributes",
    "start_message_move_task", "tag_queue", "untag_queue",
)
BUILDER = re.compile(r"\.\s*(%s)\(\s*\)" % "|".join(OPERATIONS))
# Comments, texts and characters: what is in them is no code, braces least of all.
NO_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|r#\".*?\"#|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'", re.S)


def action(operation):
    """The IAM action that allows an operation; a batch needs that of its single form."""
    name = "".join(part.title() for part in operation.removesuffix("_batch").split("_"))
    return "sqs:" + name


def code(text):
    """A source without comments and texts, and without its tests, which come last."""
    return NO_CODE.sub(" ", text.split("#[cfg(test)]\nmod tests {")[0])


def sources(folder):
    """The code of a folder's modules, but for modules of tests."""
    files = sorted(path for path in folder.rglob("*.rs") if "tests" not in path.parts)
    texts = [code(path.read_text(encoding="utf-8")) for path in files if path.name != "tests.rs"]
    if not texts:
        raise ValueError("%s has no Rust sources" % folder)
    return "\n".join(texts)


def functions(text):
    """The bodies of the functions in some code, by name; equal names are taken together."""
    bodies = {}
    for found in re.finditer(r"\bfn\s+(\w+)", text):
        begin = text.find("{", found.end())
        end = text.find(";", found.end())
        if begin < 0 or 0 <= end < begin:
            continue
        depth, position = 0, begin
        while position < len(text):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
            if depth == 0:
                break
        bodies[found.group(1)] = bodies.get(found.group(1), "") + text[begin:position]
    return bodies


def reached(bodies, start):
    """A function's operations and those of the functions that it calls."""
    found, seen, waiting = set(), set(), [start]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in bodies:
            continue
        seen.add(name)
        found |= set(BUILDER.findall(bodies[name]))
        waiting += re.findall(r"\b(\w+)\(", bodies[name])
    return found


def methods_used(text):
    return {name for name in (*QUEUE_METHODS, *ADAPTER_METHODS) if re.search(r"\.\s*%s\(" % name, text)}


def operations_of(service, adapter=ADAPTER, consumer=CONSUMER):
    """The operations that a service's sources call."""
    text = sources(service)
    bodies = functions(sources(adapter))
    used = methods_used(text)
    if "Consumer::new(" in text:
        used |= methods_used(sources(consumer))
    found = set(BUILDER.findall(text))
    for method in used:
        found |= reached(bodies, method)
    return found
