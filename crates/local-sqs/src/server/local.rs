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
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::core::Shared;
use super::faults::{Faults, MOST_SKIPPED};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    skip_ms: u64,
}

/// Reads a JSON object. What serde derives would take an array of the fields' values too.
fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let object = serde_json::from_slice::<serde_json::Map<_, _>>(body);
    object
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|error| error.to_string())
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
            match read_object::<Faults>(body).and_then(|faults| faults.check().map(|()| faults)) {
                Ok(faults) => {
                    shared.faults.set(faults);
                    StatusCode::NO_CONTENT.into_response()
                }
                Err(problem) => refused(problem).into_response(),
            }
        }
        ("/_local/clock", "GET") => Json(json!({ "now_ms": shared.clock.now().0 })).into_response(),
        ("/_local/clock", "POST") => match read_object::<Skip>(body) {
            Ok(Skip { skip_ms }) if Duration::from_millis(skip_ms) <= MOST_SKIPPED => {
                shared.skip(Duration::from_millis(skip_ms));
                StatusCode::NO_CONTENT.into_response()
            }
            Ok(_) => {
                refused(format!("skip_ms is at most {}", MOST_SKIPPED.as_millis())).into_response()
            }
            Err(problem) => refused(problem).into_response(),
        },
        ("/_local/faults" | "/_local/clock", _) => {
            let allowed = [(header::ALLOW, "GET, POST, DELETE")];
            (StatusCode::METHOD_NOT_ALLOWED, allowed, "see the Allow header\n").into_response()
        }
        _ => {
            (StatusCode::NOT_FOUND, "there are /_local/faults and /_local/clock\n").into_response()
        }
    }
}
