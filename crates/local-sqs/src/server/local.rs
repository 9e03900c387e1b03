//! What AWS does not have: the routes that steer the server itself, below `/_local/`.
//!
//! | route | does |
//! |---|---|
//! | `GET`, `POST`, `DELETE /_local/faults` | tells, replaces, ends the [`Faults`](super::Faults) |
//! | `GET /_local/clock` | tells the model's time |
//! | `POST /_local/clock` with `{"skip_ms": n}` | turns the clock forward |

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::core::Shared;
use super::faults::Faults;

/// Fourteen days and one, after which nothing of a queue's content is left.
const MOST_SKIPPED: Duration = Duration::from_hours(15 * 24);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    skip_ms: u64,
}

pub(super) fn answer(
    shared: &Arc<Shared>,
    method: &Method,
    path: &str,
    body: &[u8],
) -> HttpResponse {
    let refused = |problem: String| (StatusCode::BAD_REQUEST, format!("{problem}\n"));
    match (path, method.as_str()) {
        ("/_local/faults", "GET") => Json(shared.faults.get()).into_response(),
        ("/_local/faults", "DELETE") => {
            shared.faults.set(Faults::default());
            StatusCode::NO_CONTENT.into_response()
        }
        ("/_local/faults", "POST" | "PUT") => {
            let faults = serde_json::from_slice::<Faults>(body).map_err(|error| error.to_string());
            match faults.and_then(|faults| faults.check().map(|()| faults)) {
                Ok(faults) => {
                    shared.faults.set(faults);
                    StatusCode::NO_CONTENT.into_response()
                }
                Err(problem) => refused(problem).into_response(),
            }
        }
        ("/_local/clock", "GET") => Json(json!({ "now_ms": shared.clock.now().0 })).into_response(),
        ("/_local/clock", "POST") => match serde_json::from_slice::<Skip>(body) {
            Ok(Skip { skip_ms }) if Duration::from_millis(skip_ms) <= MOST_SKIPPED => {
                shared.skip(Duration::from_millis(skip_ms));
                StatusCode::NO_CONTENT.into_response()
            }
            Ok(_) => {
                refused(format!("skip_ms is at most {}", MOST_SKIPPED.as_millis())).into_response()
            }
            Err(error) => refused(error.to_string()).into_response(),
        },
        ("/_local/faults" | "/_local/clock", _) => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => {
            (StatusCode::NOT_FOUND, "there are /_local/faults and /_local/clock\n").into_response()
        }
    }
}
