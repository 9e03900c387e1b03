//! Idempotency keys in PostgreSQL: kept once, and compared with what is kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::{PgConnection, Row as _};

use crate::{KeyedRequest, Remembered, request::Kept};

const SAVE_REQUESTS: &str = "
    INSERT INTO keyed_requests (identity, fingerprint, answer, at_ms)
    SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS saved (identity)
    ORDER BY saved.identity
    ON CONFLICT (identity) DO NOTHING
    RETURNING identity";

const FIND_REQUESTS: &str = "
    SELECT identity, fingerprint, answer, at_ms FROM keyed_requests WHERE identity = ANY($1::bytea[])";

/// Keeps these, and says of each what it was.
pub(super) async fn save_requests(
    connection: &mut PgConnection,
    requests: &[&KeyedRequest],
) -> Result<Vec<Remembered>, sqlx::Error> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let identities: Vec<[u8; 32]> = requests.iter().map(|request| request.identity()).collect();
    let mut firsts: BTreeMap<&[u8; 32], &KeyedRequest> = BTreeMap::new();
    for (identity, request) in identities.iter().zip(requests) {
        firsts.entry(identity).or_insert(request);
    }
    let saved = sqlx::query(SAVE_REQUESTS)
        .bind(firsts.keys().map(|identity| &identity[..]).collect::<Vec<_>>())
        .bind(firsts.values().map(|request| &request.fingerprint[..]).collect::<Vec<_>>())
        .bind(firsts.values().map(|request| request.answer.as_bytes()).collect::<Vec<_>>())
        .bind(firsts.values().map(|request| request.at.as_millisecond()).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut new = HashSet::new();
    for row in saved {
        new.insert(row.try_get::<Vec<u8>, _>("identity")?);
    }
    let known: Vec<&[u8]> = firsts
        .keys()
        .map(|identity| &identity[..])
        .filter(|identity| !new.contains(*identity))
        .collect();
    let kept = find_requests(connection, &known).await?;
    let mut remembered = Vec::with_capacity(requests.len());
    for (identity, &request) in identities.iter().zip(requests) {
        let first = firsts[identity];
        remembered.push(if !new.contains(&identity[..]) {
            // Forgotten between the two statements: the whole is tried again.
            let kept = kept.get(&identity[..]).ok_or(sqlx::Error::RowNotFound)?;
            kept.clone().compared(request)
        } else if std::ptr::eq(first, request) {
            Remembered::First
        } else {
            kept_of(&first.fingerprint, first.answer.clone(), first.at.as_millisecond())?
                .compared(request)
        });
    }
    Ok(remembered)
}

/// What is kept of these requests. A statement of its own, so that it sees what others have committed
/// while the one before waited for them.
async fn find_requests(
    connection: &mut PgConnection,
    identities: &[&[u8]],
) -> Result<HashMap<Vec<u8>, Kept>, sqlx::Error> {
    if identities.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(FIND_REQUESTS).bind(identities).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let answer = String::from_utf8(row.try_get("answer")?);
            let answer = answer.map_err(|error| sqlx::Error::Decode(error.into()))?;
            let kept = kept_of(row.try_get("fingerprint")?, answer, row.try_get("at_ms")?)?;
            Ok((row.try_get("identity")?, kept))
        })
        .collect()
}

fn kept_of(fingerprint: &[u8], answer: String, at_ms: i64) -> Result<Kept, sqlx::Error> {
    let at =
        Timestamp::from_millisecond(at_ms).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Kept { fingerprint: fingerprint.to_vec(), answer, at })
}
