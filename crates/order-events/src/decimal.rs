//! Decimals as JSON numbers, digit for digit.
//!
//! serde_json would read a number with a fraction as `f64`. Its `arbitrary_precision` feature would
//! prevent that for every crate of the build at once, with changes in behaviour that none of them
//! asked for; a raw value keeps the exact text for these fields alone.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Why a JSON number is not a [`Decimal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The JSON value is of another type.
    #[error("expected a number")]
    NotANumber,
    /// The number has more digits than 96 bits or 28 decimal places hold.
    #[error("the number has too many digits to be kept exactly (at most 28 are)")]
    TooManyDigits,
}

/// Reads the text of a JSON value as an exact decimal; exponents are resolved (`1.5e3` is 1500).
pub fn parse_decimal(json: &str) -> Result<Decimal, DecimalError> {
    if !json.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return Err(DecimalError::NotANumber);
    }
    let (mantissa, exponent) = match json.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| DecimalError::TooManyDigits)?)
        }
        None => (json, 0),
    };
    let mantissa = Decimal::from_str_exact(mantissa).map_err(|_| DecimalError::TooManyDigits)?;
    shift(mantissa, exponent).ok_or(DecimalError::TooManyDigits)
}

/// `mantissa` x 10^`exponent`, or nothing when that is not exact.
fn shift(mantissa: Decimal, exponent: i32) -> Option<Decimal> {
    if mantissa.is_zero() {
        return Some(mantissa);
    }
    let scale = i32::try_from(mantissa.scale()).ok()?.checked_sub(exponent)?;
    if scale >= 0 {
        return Decimal::try_from_i128_with_scale(mantissa.mantissa(), u32::try_from(scale).ok()?)
            .ok();
    }
    let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
    Decimal::try_from_i128_with_scale(mantissa.mantissa().checked_mul(factor)?, 0).ok()
}

/// For `deserialize_with`: reads the digits as they are.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    parse_decimal(raw.get()).map_err(|error| {
        let mut shown = raw.get();
        let cut = shown.char_indices().nth(60).map_or(shown.len(), |(at, _)| at);
        shown = &shown[..cut];
        de::Error::custom(format_args!("{error}, got {shown}"))
    })
}
