//! What the document says of each route.

use order_store::{DeadLetterState, JobState};
use serde_json::{Value, json};
use service_kit::docs::{
    header, in_json, location,
    operations::{self, operation, parameter, string},
    problems,
    schemas::{formatted, named, text},
};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, RefOr, Required, ResponseBuilder, Type,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
};

use super::{
    examples, kinds,
    openapi::{ACCESS, JOBS, LETTERS},
    query::{LONGEST_CUSTOMER, LONGEST_PAGE, LONGEST_TEXT},
    schemas::{self, AUDIT_PAGE, JOB, JOB_PAGE, LETTER, LETTER_PAGE, QUEUES, SESSION},
};
use crate::letter::REASONS;

fn in_query(name: &str, about: &str, schema: ObjectBuilder) -> ParameterBuilder {
    parameter(name, ParameterIn::Query, about, schema)
}

fn queue_in_query() -> ParameterBuilder {
    in_query("queue", "A dead-letter queue's name; all of them when not given.", string())
}

/// `limit` and `cursor`.
fn paged(operation: OperationBuilder) -> OperationBuilder {
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LONGEST_PAGE as usize))
        .default(Some(json!(50)));
    operation
        .parameter(in_query("limit", "Entries of a page, at most.", limit))
        .parameter(in_query("cursor", "The `nextCursor` of the page before, as it is.", string()))
}

fn time_in_query(name: &str, about: &str) -> ParameterBuilder {
    in_query(name, about, formatted("date-time", "A time with its zone."))
}

pub(super) fn list_queues() -> OperationBuilder {
    let found = in_json("The queues.", QUEUES, examples::queues_example());
    let operation = operation(
        "listQueues",
        LETTERS,
        "The queues, and what is dead",
        "Numbers of messages as SQS approximates them, and of each dead-letter queue how much of it \
         the last scan has seen, its age and when it expires.",
    )
    .response("200", found);
    problems(operation, kinds::OF_ALL, kinds::OF_READING)
}

pub(super) fn list_messages() -> OperationBuilder {
    let state = string()
        .enum_values(Some(DeadLetterState::ALL.map(DeadLetterState::as_str)))
        .default(Some(json!("dead")));
    let reason = string().enum_values(Some(REASONS));
    let customer = string().min_length(Some(1)).max_length(Some(LONGEST_CUSTOMER));
    let searched = string().min_length(Some(1)).max_length(Some(LONGEST_TEXT));
    let found = in_json("A page.", LETTER_PAGE, examples::letter_page_example());
    let operation = operation(
        "listMessages",
        LETTERS,
        "Dead letters, newest first",
        "Those that were met last come first. A search for a text goes through some thousand letters \
         for a page: it may find nothing there and still have a `nextCursor`.",
    )
    .parameter(queue_in_query())
    .parameter(in_query("state", "Where they are in their lives.", state))
    .parameter(in_query("reason", "Why they died.", reason))
    .parameter(in_query("customerId", "Whose orders they are.", customer))
    .parameter(in_query(
        "text",
        "Somewhere in the ids, the customer, the reason's detail or the first KiB of the body, in small \
         or capital letters.",
        searched,
    ))
    .parameter(time_in_query("from", "First met at this time or later."))
    .parameter(time_in_query("to", "First met before this time."))
    .response("200", found);
    problems(paged(operation), kinds::OF_ALL, kinds::OF_MESSAGES)
}

pub(super) fn get_message() -> OperationBuilder {
    let path = |name: &str, about: &str| parameter(name, ParameterIn::Path, about, string());
    let found = in_json("The dead letter.", LETTER, examples::letter_example());
    let operation = operation(
        "getMessage",
        LETTERS,
        "A dead letter with everything that is known of it",
        "Its body and attributes as they were sent, the attempts at it from the deliveries store, and \
         its trace. What was discarded comes from the archive.",
    )
    .parameter(path("queue", "The dead-letter queue's name."))
    .parameter(path("messageId", "SQS's id of the message."))
    .response("200", found);
    problems(operation, kinds::OF_ALL, kinds::OF_MESSAGE)
}

/// What is sent as JSON.
fn sent(about: &str, schema: &str, example: Value) -> RequestBodyBuilder {
    let content = ContentBuilder::new().schema(Some(named(schema))).example(Some(example)).build();
    RequestBodyBuilder::new()
        .description(Some(about))
        .required(Some(Required::True))
        .content("application/json", content)
}

fn begun(operation: OperationBuilder) -> OperationBuilder {
    let job = in_json("The job is kept, and will be done.", JOB, examples::job_example())
        .header("Location", location("Where its progress can be asked for."));
    let thought =
        in_json("With `dryRun`: what it would do.", schemas::DRY_RUN, examples::dry_run_example());
    let operation = operation.response("202", job).response("200", thought);
    problems(operation, kinds::OF_ALL, kinds::OF_ACTS)
}

pub(super) fn redrive() -> OperationBuilder {
    let body = sent("What goes back, and how.", schemas::REDRIVE, examples::redrive_example());
    begun(
        operation(
            "redrive",
            JOBS,
            "Send dead letters back to their source queue",
            "A whole standard queue without a canary is moved by SQS itself (`StartMessageMoveTask`), \
             with what arrives meanwhile; everything else goes message by message, and what arrives \
             later is not part of it. What its death has left on a message is taken off, and its \
             trace is kept. On a FIFO queue a message is refused, unless `allowReorder` is set, that \
             would come behind a newer one of its group that is known to be delivered or on its way, and \
             one behind a dead letter of its group that stays. Which groups the messages in the source \
             queue are of that no worker has attempted nobody can see: a dry run and the job's `note` \
             say about how many there are.",
        )
        .request_body(Some(body.build())),
    )
}

pub(super) fn discard() -> OperationBuilder {
    let body = sent("What is discarded, and why.", schemas::DISCARD, examples::discard_example());
    begun(
        operation(
            "discard",
            JOBS,
            "Discard dead letters",
            "Each message is in the archive before it is deleted, and can be read there.",
        )
        .request_body(Some(body.build())),
    )
}

pub(super) fn list_jobs() -> OperationBuilder {
    let states = JobState::ALL.iter().map(|state| state.as_str());
    let state = string().enum_values(Some(states.collect::<Vec<_>>()));
    let found = in_json("A page.", JOB_PAGE, examples::job_page_example());
    let operation = operation("listJobs", JOBS, "Jobs, newest first", "With their progress.")
        .parameter(in_query("queue", "A dead-letter queue's name.", string()))
        .parameter(in_query("state", "How far they are.", state))
        .response("200", found);
    problems(paged(operation), kinds::OF_ALL, kinds::OF_LISTS)
}

fn job_id() -> ParameterBuilder {
    parameter("jobId", ParameterIn::Path, "The job's id.", formatted("uuid", "An id."))
}

pub(super) fn get_job() -> OperationBuilder {
    let found = in_json("The job.", JOB, examples::job_example());
    let operation = operation("getJob", JOBS, "A job with its progress", "As it was last written.")
        .parameter(job_id())
        .response("200", found);
    problems(operation, kinds::OF_ALL, kinds::OF_JOB)
}

pub(super) fn list_job_messages() -> OperationBuilder {
    let found = in_json("A page.", LETTER_PAGE, examples::letter_page_example());
    let operation = operation(
        "listJobMessages",
        JOBS,
        "What a job came to at each message",
        "Those of which it was the last job, with the outcome. What SQS moved as a whole is listed when \
         it is done.",
    )
    .parameter(job_id())
    .response("200", found);
    problems(paged(operation), kinds::OF_ALL, kinds::OF_JOB_MESSAGES)
}

pub(super) fn cancel_job() -> OperationBuilder {
    let body = sent("Why, and by whom.", schemas::CANCEL, json!({ "reason": "the wrong queue" }));
    let found = in_json("It is told to end.", JOB, examples::job_example());
    let operation = operation(
        "cancelJob",
        JOBS,
        "End a job early",
        "What was begun is finished, and nothing more is begun: within some seconds, or as soon as the \
         job's turn comes.",
    )
    .parameter(job_id())
    .request_body(Some(body.build()))
    .response("200", found);
    problems(operation, kinds::OF_ALL, kinds::OF_CANCELLING)
}

pub(super) fn list_audit() -> OperationBuilder {
    let found = in_json("A page.", AUDIT_PAGE, examples::audit_page_example());
    let operation = operation(
        "listAudit",
        JOBS,
        "Who did what and why, newest first",
        "A line is written before anything is done, and never changed.",
    )
    .response("200", found);
    problems(paged(operation), kinds::OF_ALL, kinds::OF_LISTS)
}

pub(super) fn get_session() -> OperationBuilder {
    let found = in_json("What the caller may do.", SESSION, examples::session_example());
    let operation =
        operation("getSession", ACCESS, "What the caller may do", "And with which `csrfToken`.")
            .response("200", found);
    problems(operation, kinds::OF_ALL, kinds::OF_READING)
}

pub(super) fn log_in() -> OperationBuilder {
    let token = json!({ "token": "the monitor's token" });
    let content = |example: Value| {
        ContentBuilder::new().schema(Some(named(schemas::LOGIN))).example(Some(example)).build()
    };
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", content(token.clone()))
        .content("application/x-www-form-urlencoded", content(token));
    let cookie = || header(text("A cookie."), "The login, for eight hours.");
    let found =
        in_json("Logged in.", SESSION, examples::session_example()).header("Set-Cookie", cookie());
    let there = ResponseBuilder::new()
        .description("Logged in by a form.")
        .header("Location", location("The page that the form's `next` names, or the start page."))
        .header("Set-Cookie", cookie());
    let operation = operation(
        "logIn",
        ACCESS,
        "Log in with the token",
        "For browsers: the answer's cookie does instead of the token, and to act its `csrfToken` goes \
         with it as `X-CSRF-Token`. After some failures an address has to wait. What is sent by a form is \
         answered with pages.",
    )
    .request_body(Some(body.build()))
    .response("200", found)
    .response("303", there);
    or_as_pages(problems(operation, kinds::OF_ALL, kinds::OF_LOGINS))
}

pub(super) fn log_out() -> OperationBuilder {
    let ended = |about: &str| {
        let cookie = header(text("A cookie."), "An empty one.");
        ResponseBuilder::new().description(about).header("Set-Cookie", cookie)
    };
    let there = ended("The same, by a form.").header("Location", location("The login."));
    let operation = operation(
        "logOut",
        ACCESS,
        "Log out",
        "Ends a login in this browser. A form of a page carries its `csrfToken`, and is answered with \
         pages.",
    )
    .response("204", ended("The browser forgets the login."))
    .response("303", there);
    or_as_pages(problems(operation, kinds::OF_ALL, kinds::OF_LOGGING_OUT))
}

/// A kind of problem that there is not is a page for browsers, as everything is that they do not find.
pub(super) fn get_problem() -> OperationBuilder {
    or_as_pages(operations::get_problem(&kinds::ALL, kinds::OF_ALL, kinds::OF_PAGES))
}

/// Forms of people, and browsers, are answered with the same problems as pages.
fn or_as_pages(operation: OperationBuilder) -> OperationBuilder {
    let mut operation = operation.build();
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer
            && status.starts_with('4')
        {
            let content = ContentBuilder::new().schema(Some(string())).build();
            answer.content.insert("text/html".to_owned(), content.into());
        }
    }
    operation.into()
}
