//! What is sent and answered.

mod acts;

use order_events::DeliveryStatus;
use order_store::DeadLetterState;
use service_kit::docs::schemas::{formatted, named, object, shared, text};
use utoipa::openapi::{
    ArrayBuilder, Components, ComponentsBuilder, ObjectBuilder, Type,
    schema::SchemaType,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    examples::{
        audit_page_example, job_page_example, letter_example, letter_page_example, queues_example,
        session_example,
    },
    kinds,
};
use crate::letter::REASONS;

/// The names of the schemas.
pub(super) const QUEUES: &str = "Queues";
pub(super) const LETTER: &str = "DeadLetterDetail";
pub(super) const LETTER_PAGE: &str = "DeadLetterPage";
pub(super) const REDRIVE: &str = "RedriveRequest";
pub(super) const DISCARD: &str = "DiscardRequest";
pub(super) const CANCEL: &str = "CancelRequest";
pub(super) const DRY_RUN: &str = "DryRun";
pub(super) const JOB: &str = "Job";
pub(super) const JOB_PAGE: &str = "JobPage";
pub(super) const AUDIT_PAGE: &str = "AuditPage";
pub(super) const SESSION: &str = "Session";
pub(super) const LOGIN: &str = "Login";
const LETTER_IN_LIST: &str = "DeadLetter";
const AUDIT_ENTRY: &str = "AuditEntry";
const ATTEMPT: &str = "DeliveryAttempt";
const FILTER: &str = "Filter";

/// The name of the security scheme.
pub(super) const BEARER: &str = "token";

pub(super) fn components() -> Components {
    let components = ComponentsBuilder::new()
        .schema(QUEUES, queues())
        .schema(LETTER_IN_LIST, letter())
        .schema(LETTER, whole_letter())
        .schema(ATTEMPT, attempt())
        .schema(
            LETTER_PAGE,
            page("Dead letters.", LETTER_IN_LIST).examples([letter_page_example()]),
        )
        .schema(FILTER, acts::filter())
        .schema(REDRIVE, acts::redrive())
        .schema(DISCARD, acts::discard())
        .schema(CANCEL, acts::cancel())
        .schema(DRY_RUN, acts::dry_run())
        .schema(JOB, acts::job())
        .schema(JOB_PAGE, page("Jobs.", JOB).examples([job_page_example()]))
        .schema(AUDIT_ENTRY, acts::audit_entry())
        .schema(
            AUDIT_PAGE,
            page("Lines of the audit log.", AUDIT_ENTRY).examples([audit_page_example()]),
        )
        .schema(SESSION, session())
        .schema(LOGIN, object("The monitor's token.", [("token", text("The token."))]))
        .security_scheme(
            BEARER,
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
    shared(components, "dlq-monitor", &kinds::ALL, &kinds::INVALID_REQUEST).build()
}

fn of_type(of: Type, about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(of).description(Some(about))
}

fn or_null(of: Type, about: &str) -> ObjectBuilder {
    let types = SchemaType::from_iter([of, Type::Null]);
    ObjectBuilder::new().schema_type(types).description(Some(about))
}

fn text_or_null(about: &str) -> ObjectBuilder {
    or_null(Type::String, about)
}

fn count_or_null(about: &str) -> ObjectBuilder {
    or_null(Type::Integer, about).minimum(Some(0))
}

fn count(about: &str) -> ObjectBuilder {
    of_type(Type::Integer, about).minimum(Some(0))
}

fn flag(about: &str) -> ObjectBuilder {
    of_type(Type::Boolean, about)
}

fn some_object(about: &str) -> ObjectBuilder {
    of_type(Type::Object, about)
}

fn time(about: &str) -> ObjectBuilder {
    formatted("date-time", about)
}

fn word<'a>(about: &str, words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text(about).enum_values(Some(words.into_iter().map(str::to_owned)))
}

fn reason(about: &str) -> ObjectBuilder {
    word(about, REASONS)
}

fn page(about: &str, item: &str) -> ObjectBuilder {
    object(about, [("nextCursor", text_or_null("Brings the next page; null: this is the last."))])
        .property("items", ArrayBuilder::new().items(named(item)))
        .required("items")
}

fn queues() -> ObjectBuilder {
    let queue = object(
        "A queue; its numbers are null until it has been read.",
        [
            ("queue", text("Its name.")),
            ("role", word("Workers consume it, or dead letters end here.", ["source", "dlq"])),
            ("observedAt", text_or_null("When it was last read.")),
            ("visible", count_or_null("Messages that can be received.")),
            ("inFlight", count_or_null("Messages that somebody has received.")),
            ("delayed", count_or_null("Messages that are delayed.")),
            ("retentionSeconds", count_or_null("How long SQS keeps a message.")),
            ("error", text_or_null("Why it cannot be read now.")),
        ],
    )
    .property("deadLetters", dead_letters());
    object("The queues.", [("queues", ArrayBuilder::new().items(queue))])
        .examples([queues_example()])
}

fn dead_letters() -> ObjectBuilder {
    object(
        "Of a dead-letter queue: what is known of its messages.",
        [
            ("byReason", or_null(Type::Object, "How many are known, by reason.")),
            ("known", count_or_null("How many are known.")),
            (
                "undeleted",
                count_or_null(
                    "How many more are redriven or discarded already, and still to be deleted from the queue.",
                ),
            ),
            ("source", text_or_null("Where they go back to.")),
            (
                "scan",
                or_null(
                    Type::Object,
                    "When the last scan ended (`at`), how many messages it saw (`seen`), and whether these were all (`complete`).",
                ),
            ),
            ("oldestSentAt", text_or_null("When SQS took the oldest that was seen.")),
            ("nextExpiryAt", text_or_null("When SQS deletes it.")),
        ],
    )
}

fn letter_fields() -> Vec<(&'static str, ObjectBuilder)> {
    vec![
        ("messageId", text("SQS's id of the message.")),
        ("queue", text("The dead-letter queue's name.")),
        (
            "state",
            word(
                "Where it is: in the dead-letter queue (`dead`), back in its source (`sent` until its \
                 deletion is known, then `redriven`), in the archive (`archived`, then `discarded`), \
                 or `gone`: expired, or taken by others.",
                DeadLetterState::ALL.map(DeadLetterState::as_str),
            ),
        ),
        ("groupId", text_or_null("`MessageGroupId`.")),
        ("orderId", text_or_null("The order in it; null when the body is no order.")),
        ("customerId", text_or_null("The order's customer.")),
        ("reason", reason("Why it died.")),
        ("detail", text_or_null("Why it died, for people.")),
        ("attempts", count_or_null("How many attempts it had; null: unknown.")),
        ("sentAt", text_or_null("When SQS took it, from which its retention counts.")),
        ("expiresAt", text_or_null("When SQS deletes it.")),
        ("seenAt", time("When the monitor first met it.")),
        ("settledAt", text_or_null("When it came to its state; null while it is dead.")),
        (
            "job",
            or_null(
                Type::Object,
                "The last job that dealt with it: its `id`, the `outcome` (`redriven`, `discarded`, `refused` or `failed`) and a `detail`.",
            ),
        ),
    ]
}

fn letter() -> ObjectBuilder {
    object("A dead letter.", letter_fields()).examples([letter_page_example()["items"][0].clone()])
}

fn whole_letter() -> ObjectBuilder {
    use DeliveryStatus::{Delivered, Failed, InTransit, Pending};
    let statuses = [Pending, InTransit, Delivered, Failed].map(DeliveryStatus::as_str);
    let known = format!("What the deliveries store has of its order: {}.", statuses.join(", "));
    let more = [
        ("body", text("The body, as it was sent.")),
        ("bodyBytes", count("Its length.")),
        (
            "attributes",
            some_object(
                "Message attributes by name, each with its `type` and its `value`, or `base64` of its bytes.",
            ),
        ),
        ("deliveryStatus", text_or_null(&known)),
        ("attemptCount", count("How many attempts are kept, listed here or not.")),
        ("traceId", text_or_null("Its trace.")),
        ("traceUrl", text_or_null("Where its trace can be looked at.")),
    ];
    object(
        "A dead letter with everything that is known of it.",
        letter_fields().into_iter().chain(more),
    )
    .property("deliveryAttempts", ArrayBuilder::new().items(named(ATTEMPT)))
    .required("deliveryAttempts")
    .examples([letter_example()])
}

fn attempt() -> ObjectBuilder {
    object(
        "One attempt at delivering an order.",
        [
            ("attempt", count("Its number, from 1.")),
            ("messageId", text("SQS's id of the message in its source queue.")),
            ("queue", text("The queue by which it came.")),
            ("outcome", word("How it ended.", ["delivered", "failed", "rejected"])),
            ("reason", text_or_null("Why it failed.")),
            ("error", text_or_null("Why it failed, for people.")),
            ("worker", text("Which worker tried.")),
            ("startedAt", time("When it began.")),
            ("finishedAt", time("When it ended.")),
        ],
    )
}

fn session() -> ObjectBuilder {
    object(
        "What the caller may do.",
        [
            ("via", word("How the caller is known.", ["bearer token", "login", "no token"])),
            ("mayAct", flag("Whether redriving, discarding and cancelling are allowed.")),
            (
                "csrfToken",
                text_or_null("Of a login: goes with each request to act, as `X-CSRF-Token`."),
            ),
        ],
    )
    .examples([session_example()])
}
