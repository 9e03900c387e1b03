//! Redriving, discarding, jobs, and who asked for them.

use order_store::{JobKind, JobMethod, JobState};
use service_kit::docs::schemas::{formatted, named, object, text};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type};

use super::{
    super::{
        asked::limits,
        examples::{discard_example, dry_run_example, job_example, redrive_example},
        query,
    },
    FILTER, LETTER_IN_LIST, count, count_or_null, flag, of_type, reason, some_object, text_or_null,
    time, word,
};

pub(super) fn filter() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Which dead letters are meant; at least one of these."))
        .property("reason", reason("Why they died."))
        .property(
            "customerId",
            text("Whose orders they are.")
                .min_length(Some(1))
                .max_length(Some(query::LONGEST_CUSTOMER)),
        )
        .property(
            "text",
            text("Somewhere in their texts.")
                .min_length(Some(1))
                .max_length(Some(query::LONGEST_TEXT)),
        )
        .property("from", time("First met at this time or later."))
        .property("to", time("First met before this time."))
}

fn at_most(most: u32, about: &str) -> ObjectBuilder {
    of_type(Type::Integer, about).minimum(Some(1)).maximum(Some(most as usize))
}

/// What redriving and discarding have in common.
fn act(about: &str) -> ObjectBuilder {
    let id = text("A message id.").min_length(Some(1)).max_length(Some(limits::ID));
    let ids = ArrayBuilder::new().items(id).min_items(Some(1)).max_items(Some(limits::IDS));
    object(about, [("queue", text("The dead-letter queue's name."))])
        .property("all", flag("The whole queue. One of this, `ids` and `filter` is needed."))
        .property("ids", ids.description(Some("These messages.")))
        .property("filter", RefOr::<Schema>::from(named(FILTER)))
        .property("rate", at_most(limits::RATE, "Messages per second, at most."))
        .property("dryRun", flag("Whether it is only thought through."))
        .property(
            "expectedCount",
            count(
                "How many messages must be meant. It is about those in sight: what goes along with them, \
                 behind them in their groups or moved by SQS, it does not bound.",
            ),
        )
        .property("by", text("Who asks.").max_length(Some(limits::WHO)))
}

pub(super) fn redrive() -> ObjectBuilder {
    act("A redrive.")
        .property("reason", text("Why, for the audit log.").max_length(Some(limits::WHY)))
        .property(
            "canary",
            at_most(
                limits::CANARY,
                "So many messages go first; the others when all of these are delivered.",
            ),
        )
        .property(
            "allowReorder",
            flag("Whether messages of a FIFO group may go back behind newer ones; those are refused otherwise, as far as newer ones are known."),
        )
        .property("method", word("How; `auto` is what fits.", ["auto", "messages", "moveTask"]))
        .examples([redrive_example()])
}

pub(super) fn discard() -> ObjectBuilder {
    act("A discard.")
        .property("reason", text("Why, for the audit log.").max_length(Some(limits::WHY)))
        .required("reason")
        .examples([discard_example()])
}

pub(super) fn cancel() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Why a job is ended, and by whom."))
        .property("reason", text("Why, for the audit log.").max_length(Some(limits::WHY)))
        .property("by", text("Who asks.").max_length(Some(limits::WHO)))
}

fn kind() -> ObjectBuilder {
    word("What it does.", JobKind::ALL.iter().map(|kind| kind.as_str()))
}

fn method() -> ObjectBuilder {
    let methods = JobMethod::ALL.iter().map(|method| method.as_str());
    word("Message by message, or by SQS itself.", methods)
}

pub(super) fn dry_run() -> ObjectBuilder {
    object(
        "What a job would do.",
        [
            ("kind", kind()),
            ("method", method()),
            ("queue", text("The dead-letter queue's name.")),
            ("source", text_or_null("Where its messages would go back to.")),
            ("selected", count("How many messages in sight are meant.")),
            (
                "unseen",
                count_or_null(
                    "About how many more messages the dead-letter queue has that the monitor has not met; \
                     null: SQS does not tell. Where SQS moves the queue (`method` is `move_task`) it takes them \
                     along, but for those that somebody has received. With `all` those of a FIFO queue that \
                     died before the job is asked for are part of it, as they come into sight. Otherwise they \
                     stay.",
                ),
            ),
            (
                "undeleted",
                count(
                    "How many more messages of the queue were redriven or discarded before and are still to be \
                     deleted: SQS does not move a queue with such ones as a whole.",
                ),
            ),
            ("lookedAt", count("How many of these were looked at one by one.")),
            ("byReason", some_object("How many of those died for each reason.")),
            ("wouldRefuse", count("How many of those would be left since the order of their FIFO groups would break.")),
            ("refusals", refusals()),
            (
                "unseenInSource",
                count_or_null(
                    "Of a FIFO redrive that keeps order: about how many messages are in the source queue. \
                     Newer ones of the same groups among them that no worker has attempted yet nobody can \
                     see: they are delivered first, and nothing is refused for them. null: it is no such \
                     redrive, or the queue cannot be looked at.",
                ),
            ),
            (
                "deliveriesKnown",
                flag(
                    "Whether the monitor's database has deliveries. Without them nothing is known of newer \
                     orders, and there is no canary.",
                ),
            ),
            ("secondsAtLeast", count_or_null("How long it takes at the rate that was asked for.")),
        ],
    )
    .property("messages", ArrayBuilder::new().items(named(LETTER_IN_LIST)))
    .required("messages")
    .examples([dry_run_example()])
}

fn refusals() -> ObjectBuilder {
    object(
        "The same by why.",
        [
            ("newerDelivered", count("A newer message of their group is delivered.")),
            (
                "newerOnTheWay",
                count("A newer one is known to be in the source queue or being delivered."),
            ),
            ("newerAhead", count("A newer one is dead before them, and goes first.")),
            ("earlierStays", count("An earlier dead letter of their group stays.")),
        ],
    )
}

pub(super) fn job() -> ObjectBuilder {
    object(
        "A redrive or a discard.",
        [
            ("id", formatted("uuid", "Its id.")),
            ("kind", kind()),
            ("method", method()),
            ("queue", text("The dead-letter queue's name.")),
            (
                "state",
                word(
                    "How far it is. `canary`: it waits until the first messages are delivered.",
                    JobState::ALL.iter().map(|state| state.as_str()),
                ),
            ),
            ("request", some_object("What exactly was asked for.")),
            ("requestedBy", text("Who asked.")),
            ("why", text("Why.")),
            ("cancelledBy", text_or_null("Who asked for it to be ended early.")),
            (
                "selected",
                count(
                    "How many messages in sight were part of it at first. Of the whole of a FIFO queue those \
                     behind them in their groups are part of it too.",
                ),
            ),
            (
                "done",
                count(
                    "How many are redriven, or discarded. Where SQS moves a whole queue, what arrived \
                     meanwhile is among these: there may be more than were selected.",
                ),
            ),
            ("refused", count("How many stay dead by a rule of order.")),
            ("failed", count("How many stay dead since SQS does not take them.")),
            (
                "notFound",
                count(
                    "How many were not met any more. Where SQS moved a part of them, this is reckoned from \
                     SQS's approximate counts.",
                ),
            ),
            (
                "undeleted",
                count(
                    "Of what is done: how many were not known to be deleted from the dead-letter queue when \
                     the job ended, and no more than SQS counted there if it did. The monitor deletes them \
                     when it meets them; they are never sent again.",
                ),
            ),
            ("canaryPassed", flag("Whether its first messages are known to be delivered.")),
            (
                "note",
                text_or_null(
                    "What holds it up, or why it ended as it did; before that what its counts do not say: \
                     how much of it SQS moved, or that messages were in the source queue whose groups \
                     nobody can see.",
                ),
            ),
            ("createdAt", time("When it was asked for.")),
            ("startedAt", text_or_null("When it was begun.")),
            ("updatedAt", time("When it was last written.")),
            ("finishedAt", text_or_null("When it ended.")),
        ],
    )
    .examples([job_example()])
}

pub(super) fn audit_entry() -> ObjectBuilder {
    object(
        "Who did what and why.",
        [
            ("at", time("When.")),
            ("requestedBy", text("Who.")),
            ("action", word("What.", ["redrive", "discard", "cancel"])),
            ("queue", text("The dead-letter queue's name.")),
            ("jobId", formatted("uuid", "The job.")),
            ("why", text("Why.")),
            ("request", some_object("What exactly was asked for.")),
            (
                "selected",
                count_or_null(
                    "How many messages in sight were part of the job, as its own `selected` says.",
                ),
            ),
        ],
    )
}
