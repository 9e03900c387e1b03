//! Every kind of problem that the API answers with, and what its page says of it. A closed list: the
//! document's enumeration and the pages below `/problems` are made from it.

use std::time::Duration;

use axum::http::StatusCode;
use service_kit::{BAD_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, Problem, ProblemKind, docs::Kind};

/// Every kind, by status.
pub(crate) const ALL: [&Kind; 24] = [
    &AMBIGUOUS,
    &MALFORMED,
    &INVALID_QUERY,
    &INVALID_REQUEST,
    &BODY_INCOMPLETE,
    &UNAUTHORIZED,
    &ACTING_NOT_ALLOWED,
    &FORGED,
    &NO_ROUTE,
    &UNKNOWN_QUEUE,
    &UNKNOWN_MESSAGE,
    &UNKNOWN_JOB,
    &LOGIN_NOT_SET_UP,
    &OTHER_METHOD,
    &BODY_TIMEOUT,
    &COUNT_DIFFERS,
    &SOURCE_NOT_SET_UP,
    &CANARY_BLIND,
    &JOB_ENDED,
    &TOO_LARGE,
    &MEDIA_TYPE,
    &MISDIRECTED,
    &TOO_MANY_LOGINS,
    &STORE_UNAVAILABLE,
];

/// What any request can meet, whatever it asks for.
pub(crate) const OF_ALL: &[&Kind] = &[&AMBIGUOUS];
/// What asking for a page can meet.
pub(crate) const OF_PAGES: &[&Kind] = &[&NO_ROUTE];
/// What logging in can meet.
pub(crate) const OF_LOGINS: &[&Kind] = &[
    &UNAUTHORIZED,
    &FORGED,
    &LOGIN_NOT_SET_UP,
    &TOO_LARGE,
    &BODY_INCOMPLETE,
    &BODY_TIMEOUT,
    &TOO_MANY_LOGINS,
];
/// What reading can meet.
pub(crate) const OF_READING: &[&Kind] = &[&UNAUTHORIZED, &MISDIRECTED];
/// What a list can meet.
pub(crate) const OF_LISTS: &[&Kind] =
    &[&UNAUTHORIZED, &INVALID_QUERY, &MISDIRECTED, &STORE_UNAVAILABLE];
/// What a list of dead letters can meet.
pub(crate) const OF_MESSAGES: &[&Kind] =
    &[&UNAUTHORIZED, &INVALID_QUERY, &UNKNOWN_QUEUE, &MISDIRECTED, &STORE_UNAVAILABLE];
/// What asking for a dead letter can meet.
pub(crate) const OF_MESSAGE: &[&Kind] =
    &[&UNAUTHORIZED, &UNKNOWN_QUEUE, &UNKNOWN_MESSAGE, &MISDIRECTED, &STORE_UNAVAILABLE];
/// What asking for a job can meet.
pub(crate) const OF_JOB: &[&Kind] =
    &[&UNAUTHORIZED, &UNKNOWN_JOB, &MISDIRECTED, &STORE_UNAVAILABLE];
/// What asking for a job's messages can meet.
pub(crate) const OF_JOB_MESSAGES: &[&Kind] =
    &[&UNAUTHORIZED, &INVALID_QUERY, &UNKNOWN_JOB, &MISDIRECTED, &STORE_UNAVAILABLE];
/// What redriving and discarding can meet.
pub(crate) const OF_ACTS: &[&Kind] = &[
    &MALFORMED,
    &INVALID_REQUEST,
    &BODY_INCOMPLETE,
    &UNAUTHORIZED,
    &ACTING_NOT_ALLOWED,
    &FORGED,
    &UNKNOWN_QUEUE,
    &BODY_TIMEOUT,
    &COUNT_DIFFERS,
    &SOURCE_NOT_SET_UP,
    &CANARY_BLIND,
    &TOO_LARGE,
    &MEDIA_TYPE,
    &STORE_UNAVAILABLE,
];
/// What ending a job can meet.
pub(crate) const OF_CANCELLING: &[&Kind] = &[
    &MALFORMED,
    &INVALID_REQUEST,
    &BODY_INCOMPLETE,
    &UNAUTHORIZED,
    &ACTING_NOT_ALLOWED,
    &FORGED,
    &UNKNOWN_JOB,
    &BODY_TIMEOUT,
    &JOB_ENDED,
    &TOO_LARGE,
    &MEDIA_TYPE,
    &STORE_UNAVAILABLE,
];
/// What logging out can meet.
pub(crate) const OF_LOGGING_OUT: &[&Kind] =
    &[&BODY_INCOMPLETE, &UNAUTHORIZED, &ACTING_NOT_ALLOWED, &FORGED, &BODY_TIMEOUT, &TOO_LARGE];

const fn kind(status: StatusCode, slug: &'static str, title: &'static str) -> ProblemKind {
    ProblemKind::new(status, slug, title)
}

pub(crate) const MALFORMED: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "malformed-json", "The body is not JSON"),
    means: "The request's body is not one JSON object in UTF-8. `errors` says where reading ended.",
    remedy: "Send what is asked for as one JSON object. The same request will fail again.",
    example: || super::body::malformed("#", "EOF while parsing an object at line 1 column 9"),
};

pub(crate) const INVALID_QUERY: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "invalid-query", "The query is invalid"),
    means: "Parameters of the query are unknown, wrong or repeated. `errors` lists them; of very many \
            it lists the first, and its last entry says how many it leaves out.",
    remedy: "Mend each parameter that is listed. The same request will fail again.",
    example: || {
        let problem = INVALID_QUERY.problem().detail("one field is invalid");
        problem.field_error("?limit", "must be a whole number from 1 to 200")
    },
};

pub(crate) const INVALID_REQUEST: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "invalid-request", "The request is invalid"),
    means: "The body is JSON, but parts of it are not what is needed to act. `errors` lists all of \
            them at once. Nothing was done.",
    remedy: "Mend each part that is listed. The same request will fail again.",
    example: || {
        let problem = INVALID_REQUEST.problem().detail("one field is invalid");
        problem.field_error("#/reason", "is missing: why are these messages discarded?")
    },
};

pub(crate) const BODY_INCOMPLETE: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "body-incomplete", "The body is incomplete"),
    means: "The body ended before the end that its header announced. Nothing was done.",
    remedy: "Send the whole request again.",
    example: || BODY_INCOMPLETE.problem().detail("the body ended before its announced end"),
};

pub(crate) const UNAUTHORIZED: Kind = Kind {
    base: kind(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
    means: "The monitor has a token, and the request shows neither it nor a login that holds.",
    remedy: "Send the header `Authorization: Bearer` with the token, or log in again. Whoever runs \
             the monitor has set it as MONITOR_TOKEN.",
    example: || UNAUTHORIZED.problem().detail("the token is wrong"),
};

pub(crate) const ACTING_NOT_ALLOWED: Kind = Kind {
    base: kind(StatusCode::FORBIDDEN, "acting-not-allowed", "Nobody may act here"),
    means: "The monitor has no token and can be reached from other machines, so it lets everybody \
            read and nobody redrive, discard or cancel.",
    remedy: "Whoever runs the monitor sets MONITOR_TOKEN, or LISTEN_ADDR to an address of loopback.",
    example: || ACTING_NOT_ALLOWED.problem().detail("no MONITOR_TOKEN is set"),
};

pub(crate) const FORGED: Kind = Kind {
    base: kind(StatusCode::FORBIDDEN, "forged-request", "The request may be forged"),
    means: "A browser may have sent the request by itself, for a page of somebody else. Nothing was \
            done.",
    remedy: "With a login send its `csrfToken` as `X-CSRF-Token`, from a page of this server. Without \
             a token ask 127.0.0.1 or localhost, in JSON.",
    example: || FORGED.problem().detail("send the header X-CSRF-Token with the login's csrfToken"),
};

pub(crate) const UNKNOWN_QUEUE: Kind = Kind {
    base: kind(StatusCode::NOT_FOUND, "unknown-queue", "Unknown dead-letter queue"),
    means: "The monitor watches no dead-letter queue of this name.",
    remedy: "Take a name of those that `detail` lists.",
    example: || UNKNOWN_QUEUE.problem().detail("there are: order-queue-standard-dlq"),
};

pub(crate) const UNKNOWN_MESSAGE: Kind = Kind {
    base: kind(StatusCode::NOT_FOUND, "unknown-message", "Unknown dead letter"),
    means: "The monitor has met no message with this id in this queue, or has forgotten it since it \
            was redriven or gone.",
    remedy: "Check the id. A message that died a moment ago is met at the next look at the queue.",
    example: || UNKNOWN_MESSAGE.problem().detail("the queue has no such dead letter"),
};

pub(crate) const UNKNOWN_JOB: Kind = Kind {
    base: kind(StatusCode::NOT_FOUND, "unknown-job", "Unknown job"),
    means: "There is no job with this id.",
    remedy: "Take the `id` of the answer that began the job, or of the list of jobs.",
    example: || UNKNOWN_JOB.problem().detail("the id is not a UUID"),
};

pub(crate) const LOGIN_NOT_SET_UP: Kind = Kind {
    base: kind(StatusCode::NOT_FOUND, "login-not-set-up", "There is nothing to log in with"),
    means: "The monitor has no token, so there are no logins.",
    remedy: "Go on without. Whoever runs the monitor may set MONITOR_TOKEN.",
    example: || LOGIN_NOT_SET_UP.problem().detail("no MONITOR_TOKEN is set"),
};

pub(crate) const BODY_TIMEOUT: Kind = Kind {
    base: kind(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body did not arrive"),
    means: "The body did not arrive in time. Nothing was done.",
    remedy: "Send the request again, on a better connection.",
    example: || BODY_TIMEOUT.problem().detail("the whole body must arrive within 10 seconds"),
};

pub(crate) const COUNT_DIFFERS: Kind = Kind {
    base: kind(StatusCode::CONFLICT, "count-differs", "Other messages than expected"),
    means: "What is meant are none, or not as many messages as `expectedCount` says, or some of the \
            ids are no dead letters of this queue now. Nothing was done.",
    remedy: "Look at the messages again, and repeat the request with what is there.",
    example: || COUNT_DIFFERS.problem().detail("3 messages are meant, and 2 were expected"),
};

pub(crate) const SOURCE_NOT_SET_UP: Kind = Kind {
    base: kind(StatusCode::CONFLICT, "source-not-set-up", "The source queue is not known"),
    means: "The monitor was not told which queue the messages of this dead-letter queue came from.",
    remedy: "Whoever runs the monitor sets the queue's URL, in the setting that `detail` names.",
    example: || SOURCE_NOT_SET_UP.problem().detail("SQS_QUEUE_URL_STANDARD is not set"),
};

pub(crate) const CANARY_BLIND: Kind = Kind {
    base: kind(StatusCode::CONFLICT, "canary-blind", "Nobody would know of the canary"),
    means: "A canary was asked for, and the monitor's database has no deliveries: either it is not the \
            workers', or they have never attempted an order. What becomes of the first messages would \
            never be known. Nothing was done.",
    remedy: "Redrive without a canary, or a few by their ids first. Whoever runs the monitor sets \
             DATABASE_URL to the workers' database.",
    example: || {
        let detail = "DATABASE_URL has no deliveries, so whether the first messages are delivered would \
                      never be known: it must be the workers' database";
        CANARY_BLIND.problem().detail(detail)
    },
};

pub(crate) const JOB_ENDED: Kind = Kind {
    base: kind(StatusCode::CONFLICT, "job-ended", "The job has ended"),
    means: "The job has ended already, so it cannot be cancelled.",
    remedy: "Look at what it has done.",
    example: || JOB_ENDED.problem().detail("the job is completed"),
};

pub(crate) const TOO_LARGE: Kind = Kind {
    base: kind(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
    means: "The body is larger than what the monitor takes.",
    remedy: "Name fewer messages at once, or use a filter.",
    example: || TOO_LARGE.problem().detail("at most 262144 bytes are taken"),
};

pub(crate) const MEDIA_TYPE: Kind = Kind {
    base: kind(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The content type is not supported",
    ),
    means: "The request's `Content-Type` is missing, is given twice or is not JSON.",
    remedy: "Send `Content-Type: application/json`.",
    example: || MEDIA_TYPE.problem().detail("send Content-Type: application/json"),
};

pub(crate) const MISDIRECTED: Kind = Kind {
    base: kind(StatusCode::MISDIRECTED_REQUEST, "misdirected", "This name does not lead here"),
    means: "The monitor has no token and listens on loopback, so it answers to this machine's own names \
            only: under another one a page of somebody else could read it (DNS rebinding).",
    remedy: "Ask 127.0.0.1 or localhost. Whoever wants to reach it by another name sets MONITOR_TOKEN.",
    example: || {
        let detail = "a monitor on loopback answers to 127.0.0.1 and localhost only";
        MISDIRECTED.problem().detail(detail)
    },
};

pub(crate) const TOO_MANY_LOGINS: Kind = Kind {
    base: kind(StatusCode::TOO_MANY_REQUESTS, "too-many-logins", "Too many logins failed"),
    means: "Too many logins with a wrong token came from this address of late, or from so many others \
            that none is tried of an address that has not logged in before.",
    remedy: "Wait for `Retry-After` seconds, or send the token as a bearer token.",
    example: || {
        let problem = TOO_MANY_LOGINS.problem().detail("too many logins were tried");
        problem.retry_after(Duration::from_secs(12))
    },
};

pub(crate) const STORE_UNAVAILABLE: Kind = Kind {
    base: kind(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store is unavailable"),
    means: "The database that keeps dead letters and jobs does not answer in time: it is down, or \
            what was asked for goes through too much. Jobs under way wait for it.",
    remedy: "Try again after `Retry-After` seconds, and narrow a list down. The monitor's log has the \
             database's own words.",
    example: || {
        let problem = STORE_UNAVAILABLE.problem();
        let detail = "the store does not answer in time; nothing was done";
        problem.detail(detail).retry_after(Duration::from_secs(5))
    },
};

const AMBIGUOUS: Kind = Kind {
    base: BAD_REQUEST,
    means: "The request's header could be read in two ways, so it is not answered.",
    remedy: "Send one `Host` header, and of transfer codings `chunked` alone or none.",
    example: || Problem::of(BAD_REQUEST).detail("Host is missing"),
};

pub(crate) const NO_ROUTE: Kind = Kind {
    base: NOT_FOUND,
    means: "The monitor has nothing at this path.",
    remedy: "Look at /docs for what the API has; the console begins at /.",
    example: || Problem::of(NOT_FOUND).detail("there is nothing at /api/dlq/message"),
};

pub(crate) const OTHER_METHOD: Kind = Kind {
    base: METHOD_NOT_ALLOWED,
    means: "There is something at this path, but it does not take the request's method.",
    remedy: "Use one of the methods that the `Allow` header lists.",
    example: || {
        let detail = "/api/dlq/redrive does not take GET; see the Allow header";
        Problem::of(METHOD_NOT_ALLOWED).detail(detail)
    },
};
