//! Redriving and discarding: what is asked for becomes a job, or is only thought through.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use order_store::{
    DeadLetter, DeadLetterCount, DeadLetterFilter, DeadLetterState, Job, JobKind, JobMethod,
    NewJob, StoreError,
};
use serde::Serialize;
use service_kit::Problem;
use tracing::info;
use uuid::Uuid;

use super::{
    Api,
    asked::{Asked, Method},
    body, kinds,
    order::{self, Refusals, Refused},
    store_failed,
    views::{JobView, LetterView},
};
use crate::{access::Caller, queues::DeadLetterQueue};

/// Letters that a dry run looks at one by one, and those of them that it shows.
const LOOKED_AT: u32 = 1_000;
const SHOWN: usize = 20;
/// Ids that one question is about.
const ASKED_AT_ONCE: usize = 200;

/// Why there is no canary.
const BLIND: &str = "DATABASE_URL has no deliveries, so whether the first messages are delivered would never \
                     be known: it must be the workers' database";

/// `POST /api/dlq/redrive`.
pub(super) async fn redrive(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    act(&api, JobKind::Redrive, &caller, request).await
}

/// `POST /api/dlq/discard`.
pub(super) async fn discard(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    act(&api, JobKind::Discard, &caller, request).await
}

/// Who acts, for the audit log: as they say, and as the monitor knows them.
pub(super) fn requested_by(who: Option<&str>, caller: &Caller) -> String {
    match who {
        Some(who) => format!("{who} ({})", caller.as_str()),
        None => caller.as_str().to_owned(),
    }
}

async fn act(
    api: &Api,
    kind: JobKind,
    caller: &Caller,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::read(kind, body::object(request).await?)?;
    let only_thought_through = asked.dry_run;
    let meant = Meant::find(api, kind, asked).await?;
    if only_thought_through {
        return Ok(Json(meant.think(api).await?).into_response());
    }
    let job = meant.begin(api, caller, Uuid::now_v7()).await?;
    let location = [(header::LOCATION, format!("/api/dlq/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(JobView::from(job))).into_response())
}

/// What a request to act comes to, with what there is.
pub(crate) struct Meant<'a> {
    kind: JobKind,
    method: JobMethod,
    pub(crate) queue: &'a DeadLetterQueue,
    asked: Asked,
    count: DeadLetterCount,
    undeleted: u64,
    /// Whether the store has deliveries.
    knows_deliveries: bool,
}

impl<'a> Meant<'a> {
    pub(crate) async fn find(api: &'a Api, kind: JobKind, asked: Asked) -> Result<Self, Problem> {
        let queue = api.queue(&asked.request.queue)?;
        if kind == JobKind::Redrive && queue.source.is_none() {
            let detail = format!("{} is not set", queue.source_setting);
            return Err(kinds::SOURCE_NOT_SET_UP.problem().detail(detail));
        }
        let undeleted = api.store.undeleted(queue.name()).await;
        let undeleted = undeleted.map_err(|error| store_failed(&error))?.total();
        let method = method(kind, queue, &asked, undeleted)?;
        let knows_deliveries = api.store.knows_deliveries().await;
        let knows_deliveries = knows_deliveries.map_err(|error| store_failed(&error))?;
        if asked.request.canary.is_some() && !knows_deliveries {
            return Err(kinds::CANARY_BLIND.problem().detail(BLIND));
        }
        if let Some(ids) = &asked.request.ids {
            are_dead(api, queue, ids).await?;
        }
        let filter = asked.request.filter();
        let count = api.store.count_dead_letters(queue.name(), &filter).await;
        let count = count.map_err(|error| store_failed(&error))?;
        Ok(Self { kind, method, queue, asked, count, undeleted, knows_deliveries })
    }

    /// What a job would do.
    pub(crate) async fn think(&self, api: &Api) -> Result<DryRun, Problem> {
        self.dry_run(api).await.map_err(|error| store_failed(&error))
    }

    /// So many messages must be meant when it becomes a job.
    pub(crate) fn expect(&mut self, count: u64) {
        self.asked.expected = Some(count);
    }

    /// Makes it a job of this id, which will be done; where there is one already, that one is given.
    pub(crate) async fn begin(self, api: &Api, caller: &Caller, id: Uuid) -> Result<Job, Problem> {
        let Self { kind, method, queue, asked, count, undeleted, .. } = self;
        let expected = asked.expected.unwrap_or(count.letters);
        if count.letters == 0 || count.letters != expected {
            let detail = match count.letters {
                0 if undeleted > 0 => format!(
                    "no dead letter is meant; {undeleted} of the queue are redriven or discarded already, \
                     and are deleted when the monitor meets them"
                ),
                0 => "no dead letter is meant".to_owned(),
                letters => format!("{letters} messages are meant, and {expected} were expected"),
            };
            return Err(kinds::COUNT_DIFFERS.problem().detail(detail));
        }
        let job = NewJob {
            id,
            kind,
            method,
            queue: queue.name().to_owned(),
            request: asked.request.to_json(),
            through: count.through,
            requested_by: requested_by(asked.who.as_deref(), caller),
            why: asked.why,
            selected: count.letters,
            at: Timestamp::now(),
        };
        let kept = api.store.create_job(&job).await.map_err(|error| store_failed(&error))?;
        let (by, kind) = (&job.requested_by, kind.as_str());
        info!(job = %id, kind, queue = queue.name(), by, why = job.why, selected = job.selected, "asked for");
        queue.news.notify_one();
        Ok(kept)
    }
}

/// How a job is done: SQS itself moves a whole standard queue that nothing else is said of, unless some of
/// its messages are only to be deleted.
fn method(
    kind: JobKind,
    queue: &DeadLetterQueue,
    asked: &Asked,
    undeleted: u64,
) -> Result<JobMethod, Problem> {
    let fits = kind == JobKind::Redrive
        && !queue.fifo
        && asked.request.is_everything()
        && asked.request.canary.is_none();
    match asked.method {
        Method::Auto | Method::MoveTask if fits && undeleted > 0 => Ok(JobMethod::Messages),
        Method::Auto | Method::MoveTask if fits => Ok(JobMethod::MoveTask),
        Method::Auto | Method::Messages => Ok(JobMethod::Messages),
        Method::MoveTask => {
            let problem = kinds::INVALID_REQUEST.problem().detail("one field is invalid");
            let detail = "a move task would not keep the order of a FIFO queue's groups";
            Err(problem.field_error("#/method", detail))
        }
    }
}

/// Whether each of these is a dead letter of the queue now.
async fn are_dead(api: &Api, queue: &DeadLetterQueue, ids: &[String]) -> Result<(), Problem> {
    let mut states = HashMap::new();
    for ids in ids.chunks(ASKED_AT_ONCE) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let found = api.store.dead_letters_of(queue.name(), &ids).await;
        let found = found.map_err(|error| store_failed(&error))?;
        states.extend(found.into_iter().map(|letter| (letter.message_id, letter.state)));
    }
    let mut errors = service_kit::FieldErrors::default();
    for (position, id) in ids.iter().enumerate() {
        let why = match states.get(id) {
            Some(DeadLetterState::Dead) => continue,
            Some(state) if state.is_undeleted() => {
                "is redriven or discarded already, and is deleted when the monitor meets it"
            }
            _ => "is no dead letter of this queue now",
        };
        errors.note(format!("#/ids/{position}"), why);
    }
    if errors.is_empty() {
        return Ok(());
    }
    let detail = format!("{} of the ids are no dead letters of this queue now", errors.count());
    Err(errors.listed_in(kinds::COUNT_DIFFERS.problem().detail(detail)))
}

/// What a job would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DryRun {
    pub(crate) kind: &'static str,
    pub(crate) method: &'static str,
    pub(crate) queue: String,
    pub(crate) source: Option<String>,
    pub(crate) selected: u64,
    /// Of those that were looked at.
    pub(crate) by_reason: BTreeMap<String, u64>,
    pub(crate) looked_at: u64,
    /// Of these, how many a rule of order would leave where they are.
    pub(crate) would_refuse: u64,
    /// The same by why.
    pub(crate) refusals: Refusals,
    /// Whether messages that would break the order of their groups are refused.
    #[serde(skip)]
    pub(crate) keeps_order: bool,
    /// Of a FIFO queue's redrive that keeps order: about how many messages are in the source queue, of
    /// whatever groups. None: it is no such redrive, or the queue cannot be looked at.
    pub(crate) unseen_in_source: Option<u64>,
    /// About how many more messages the dead-letter queue has that nobody has met. None: SQS does not tell.
    pub(crate) unseen: Option<u64>,
    /// Whether those of them that died before the job is asked for go along.
    #[serde(skip)]
    pub(crate) goes_behind: bool,
    /// How many more messages of the queue are done with and still to be deleted.
    pub(crate) undeleted: u64,
    /// Whether the store has deliveries: without them nothing is known of newer orders.
    pub(crate) deliveries_known: bool,
    /// The first of those, for the console.
    #[serde(skip)]
    pub(crate) refused: Vec<LetterView>,
    /// The first of them.
    pub(crate) messages: Vec<LetterView>,
    /// At the rate that was asked for.
    pub(crate) seconds_at_least: Option<u64>,
}

impl Meant<'_> {
    async fn dry_run(&self, api: &Api) -> Result<DryRun, StoreError> {
        let Self { kind, method, queue, asked, count, undeleted, knows_deliveries } = self;
        let (kind, selected) = (*kind, count.letters);
        let letters = first_letters(api, queue, &asked.request.filter()).await?;
        let keeps_order = asked.request.terms(kind, queue.fifo).refuses_disorder();
        let mut by_reason = BTreeMap::new();
        for letter in &letters {
            *by_reason.entry(letter.reason.clone()).or_default() += 1;
        }
        let refused = if keeps_order {
            order::refused(&api.store, queue, &asked.request.filter(), &letters).await?
        } else {
            Refused::default()
        };
        let of_source = queue.source_name().filter(|_| keeps_order);
        Ok(DryRun {
            kind: kind.as_str(),
            method: method.as_str(),
            queue: queue.name().to_owned(),
            source: queue.source_name().filter(|_| kind == JobKind::Redrive).map(str::to_owned),
            selected,
            by_reason,
            looked_at: letters.len() as u64,
            would_refuse: refused.letters.len() as u64,
            refusals: refused.why,
            keeps_order,
            unseen_in_source: of_source.and_then(|source| api.counted(source)),
            unseen: self.unseen(api).await?,
            goes_behind: asked.request.goes_behind(queue.fifo),
            undeleted: *undeleted,
            deliveries_known: *knows_deliveries,
            refused: refused
                .letters
                .into_iter()
                .take(SHOWN)
                .map(|one| api.view(one.clone()))
                .collect(),
            messages: letters.into_iter().take(SHOWN).map(|letter| api.view(letter)).collect(),
            seconds_at_least: asked.request.rate.map(|rate| selected.div_ceil(u64::from(rate))),
        })
    }

    /// About how many messages the queue has that nobody has met. It is counted now: since the last look a
    /// job may have deleted some, which the store knows of.
    async fn unseen(&self, api: &Api) -> Result<Option<u64>, StoreError> {
        let Some(counted) = api.counted_now(self.queue).await else { return Ok(None) };
        let name = self.queue.name();
        let dead = api.store.count_dead_letters(name, &DeadLetterFilter::default()).await?;
        let undeleted = api.store.undeleted(name).await?.total();
        Ok(Some(counted.saturating_sub(dead.letters + undeleted)))
    }
}

/// The newest of the letters that are meant.
async fn first_letters(
    api: &Api,
    queue: &DeadLetterQueue,
    filter: &DeadLetterFilter,
) -> Result<Vec<DeadLetter>, StoreError> {
    let dead = DeadLetterState::Dead;
    let page = api.store.dead_letter_page(&[queue.name()], dead, filter, None, LOOKED_AT).await?;
    Ok(page.letters)
}
