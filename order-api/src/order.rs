//! What a client may order. Every invalid part is found, not only the first.

use order_events::{Decimal, DecimalError, Object, OrderItem, parse_decimal};
use serde::Deserialize;
use serde_json::value::RawValue;
use service_kit::{FieldError, FieldErrors};
use std::borrow::Cow;

/// The bounds of an order.
pub mod limits {
    use order_events::Decimal;

    /// The longest customer id, product id, in characters.
    pub const ID_LENGTH: usize = 256;
    /// The longest product name, in characters.
    pub const NAME_LENGTH: usize = 1024;
    /// The most items of one order.
    pub const ITEMS: usize = 1000;
    /// The most pieces of one item.
    pub const QUANTITY: u32 = 1_000_000;
    /// The highest price of a piece: 10^12. With the other bounds every total is exact.
    pub const PRICE: Decimal = Decimal::from_parts(3_567_587_328, 232, 0, false, 0);
    /// The most decimal places of a price.
    pub const PRICE_SCALE: u32 = 4;
    /// The longest `Idempotency-Key`, in bytes.
    pub const KEY_LENGTH: usize = 255;
    /// The most invalid parts of a request that its answer lists one by one.
    pub const ERRORS: usize = service_kit::FieldErrors::LISTED;
}

/// A valid order, as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) customer_id: String,
    pub(crate) items: Vec<OrderItem>,
}

/// Why a body is not an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// Not JSON in UTF-8.
    Malformed(FieldError),
    /// JSON with these invalid parts.
    Invalid(FieldErrors),
}

/// An order as it usually comes. The numbers keep their text: a price is exact only as long as nobody
/// makes a float of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usual<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    items: Vec<Object<UsualItem<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsualItem<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    product_name: Cow<'a, str>,
    #[serde(borrow)]
    quantity: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
}

/// An order of which anything may be wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder<'a> {
    #[serde(borrow)]
    customer_id: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawItem<'a> {
    #[serde(borrow)]
    product_id: Option<&'a RawValue>,
    #[serde(borrow)]
    product_name: Option<&'a RawValue>,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
}

impl Order {
    /// Reads a body. Fields that nobody knows are ignored.
    pub(crate) fn from_json(body: &[u8]) -> Result<Self, OrderError> {
        let malformed = |detail: String| OrderError::Malformed(FieldError::new("#", detail));
        let text = std::str::from_utf8(body)
            .map_err(|error| malformed(format!("not UTF-8 after byte {}", error.valid_up_to())))?;
        if let Some(order) = Self::usual(text) {
            return Ok(order);
        }
        let json: &RawValue =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let mut errors = Errors::default();
        let order = errors.order(json);
        match order {
            Some(order) if errors.0.is_empty() => Ok(order),
            _ => Err(OrderError::Invalid(errors.0)),
        }
    }

    /// Reads a valid body in one go. Of any other it does not say what is wrong.
    fn usual(text: &str) -> Option<Self> {
        let Object(order) = serde_json::from_str::<Object<Usual<'_>>>(text).ok()?;
        if order.items.is_empty() || order.items.len() > limits::ITEMS {
            return None;
        }
        let text = |text: Cow<'_, str>, longest| {
            check_text(&text, longest).is_ok().then(|| text.into_owned())
        };
        let item = |Object(item): Object<UsualItem<'_>>| {
            Some(OrderItem {
                product_id: text(item.product_id, limits::ID_LENGTH)?,
                product_name: text(item.product_name, limits::NAME_LENGTH)?,
                quantity: quantity(item.quantity.get()).ok()?,
                price: price(item.price.get()).ok()?,
            })
        };
        Some(Self {
            customer_id: text(order.customer_id, limits::ID_LENGTH).filter(|id| is_kept(id))?,
            items: order.items.into_iter().map(item).collect::<Option<_>>()?,
        })
    }
}

/// What is wrong with a value.
type Wrong = Cow<'static, str>;

fn check_text(text: &str, longest: usize) -> Result<(), Wrong> {
    if text.chars().all(is_white_space) {
        return Err("must not be empty".into());
    }
    // Bytes first: counting the characters of a megabyte is not needed to refuse it.
    if text.len() > longest && text.chars().count() > longest {
        return Err(format!("must have at most {longest} characters").into());
    }
    Ok(())
}

/// Whether a customer's id can be kept with a delivery as it is: PostgreSQL takes no text with
/// U+0000.
fn is_kept(customer_id: &str) -> bool {
    !customer_id.contains('\0')
}

fn quantity(json: &str) -> Result<u32, Wrong> {
    // A number without fraction is an integer however it is written, 1.0 too (JSON Schema, 6.1.1).
    let whole = || parse_decimal(json).ok().filter(Decimal::is_integer);
    let quantity = json.parse().ok().or_else(|| u32::try_from(whole()?).ok());
    quantity
        .filter(|quantity| (1..=limits::QUANTITY).contains(quantity))
        .ok_or_else(|| format!("must be a whole number from 1 to {}", limits::QUANTITY).into())
}

fn price(json: &str) -> Result<Decimal, Wrong> {
    match parse_decimal(json) {
        Err(DecimalError::NotANumber) => Err("must be a number".into()),
        Err(DecimalError::TooManyDigits) => Err("has too many digits".into()),
        Ok(price) if price < Decimal::ZERO => Err("must not be negative".into()),
        Ok(price) if price > limits::PRICE => {
            Err(format!("must be at most {}", limits::PRICE).into())
        }
        Ok(price)
            if price.scale() > limits::PRICE_SCALE
                && price.normalize().scale() > limits::PRICE_SCALE =>
        {
            Err(format!("must have at most {} decimal places", limits::PRICE_SCALE).into())
        }
        Ok(mut price) => {
            // -0 is a number in JSON and 0 to everybody.
            price.set_sign_positive(true);
            Ok(price)
        }
    }
}

/// Collects what is wrong; each reader gives a value or has noted why not.
#[derive(Default)]
struct Errors(FieldErrors);

impl Errors {
    fn order(&mut self, json: &RawValue) -> Option<Order> {
        let raw: RawOrder<'_> = self.object("#", json)?;
        let pointer = "#/customerId";
        let customer_id = match self.text(pointer, raw.customer_id, limits::ID_LENGTH) {
            Some(id) if !is_kept(&id) => self.refuse(pointer, "must not contain U+0000"),
            id => id,
        };
        let items = self.items(raw.items);
        Some(Order { customer_id: customer_id?, items: items? })
    }

    fn items(&mut self, raw: Option<&RawValue>) -> Option<Vec<OrderItem>> {
        let pointer = "#/items";
        let raw = self.required(pointer, raw)?;
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return self.refuse(pointer, "must be a list of items");
        };
        if items.is_empty() {
            return self.refuse(pointer, "must have at least one item");
        }
        if items.len() > limits::ITEMS {
            return self.refuse(pointer, format!("must have at most {} items", limits::ITEMS));
        }
        let read: Vec<_> =
            items.iter().enumerate().map(|(index, item)| self.item(index, item)).collect();
        read.into_iter().collect()
    }

    fn item(&mut self, index: usize, json: &RawValue) -> Option<OrderItem> {
        let pointer = format!("#/items/{index}");
        let raw: RawItem<'_> = self.object(&pointer, json)?;
        let field = |name: &str| format!("{pointer}/{name}");
        let product_id = self.text(&field("productId"), raw.product_id, limits::ID_LENGTH);
        let product_name = self.text(&field("productName"), raw.product_name, limits::NAME_LENGTH);
        let quantity = self.value(&field("quantity"), raw.quantity, quantity);
        let price = self.value(&field("price"), raw.price, price);
        Some(OrderItem {
            product_id: product_id?,
            product_name: product_name?,
            quantity: quantity?,
            price: price?,
        })
    }

    fn text(&mut self, pointer: &str, raw: Option<&RawValue>, longest: usize) -> Option<String> {
        self.value(pointer, raw, |json| {
            let text: String = serde_json::from_str(json).map_err(|_| "must be a text")?;
            check_text(&text, longest)?;
            Ok(text)
        })
    }

    /// The value of a field that is required.
    fn value<T>(
        &mut self,
        pointer: &str,
        raw: Option<&RawValue>,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match read(self.required(pointer, raw)?.get()) {
            Ok(value) => Some(value),
            Err(wrong) => self.refuse(pointer, wrong),
        }
    }

    fn object<'a, T: Deserialize<'a>>(&mut self, pointer: &str, json: &'a RawValue) -> Option<T> {
        // Serde would take a list for a struct, field by field.
        if !json.get().starts_with('{') {
            return self.refuse(pointer, "must be an object");
        }
        match serde_json::from_str(json.get()) {
            Ok(object) => Some(object),
            Err(error) => {
                let text = error.to_string();
                let detail = text.split(" at line").next().unwrap_or(&text);
                self.refuse(pointer, detail)
            }
        }
    }

    /// A field that is there and not null.
    fn required<'a>(&mut self, pointer: &str, raw: Option<&'a RawValue>) -> Option<&'a RawValue> {
        if raw.is_none() {
            self.0.note(pointer, "is missing");
        }
        raw
    }

    fn refuse<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.0.note(pointer, detail);
        None
    }
}

/// Unicode's white space and the byte order mark: what ECMAScript's `\s` means, in which the document
/// says the same, and U+0085.
fn is_white_space(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    const ORDER: &str = r#"{"customerId":"c","items":[{"productId":"p","productName":"\u00e9\n",
        "quantity":1,"price":0.50,"more":[{}]},{"price":1e2,"quantity":2.0,"productName":"n","productId":"q"}]}"#;
    const PIECES: [&str; 25] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u0000",
        " ",
        "\t",
        "null",
        "true",
        "0",
        "-",
        "-0",
        "1",
        ".5",
        "e3",
        "99999999999999999999999999999999",
        "customerId",
        "items",
        "price",
        "\"\"",
        "상",
    ];

    /// What the slow way says.
    fn in_pieces(text: &str) -> Option<Order> {
        let mut errors = Errors::default();
        let order = errors.order(serde_json::from_str(text).ok()?);
        order.filter(|_| errors.0.is_empty())
    }

    #[test]
    fn what_is_read_in_one_go_is_what_is_read_in_pieces() {
        assert_eq!(Order::usual(ORDER), in_pieces(ORDER));
        assert!(Order::usual(ORDER).is_some());
        let (mut orders, mut others) = (0, 0);
        for seed in 0..50_000 {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut text = ORDER.to_owned();
            for _ in 0..random.random_range(1..4) {
                let mut place = || {
                    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                    places[random.random_range(0..places.len())]
                };
                let (from, until) = (place(), place());
                let until = until.clamp(from, (from + 12).min(text.len()));
                let until = (until..=text.len()).find(|at| text.is_char_boundary(*at));
                let piece = PIECES[random.random_range(0..PIECES.len())];
                text.replace_range(from..until.expect("the end is one"), piece);
            }
            let usual = Order::usual(&text);
            assert_eq!(usual, in_pieces(&text), "seed {seed}: {text}");
            if usual.is_some() { orders += 1 } else { others += 1 }
        }
        assert!(orders > 100 && others > 100, "{orders} orders and {others} others");
    }
}
