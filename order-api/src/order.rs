//! What a client may order. Every invalid part is found, not only the first.

use order_events::{Decimal, DecimalError, OrderItem, parse_decimal};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

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
}

/// One invalid part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// A JSON pointer into the body as a URI fragment, or the name of a parameter or header.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
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
    Invalid(Vec<FieldError>),
}

/// The fields keep their text: a price is exact only as long as nobody makes a float of it.
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
        let json: &RawValue =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let mut errors = Errors::default();
        let order = errors.order(json);
        match order {
            Some(order) if errors.0.is_empty() => Ok(order),
            _ => Err(OrderError::Invalid(errors.0)),
        }
    }
}

/// Collects what is wrong; each reader gives a value or has noted why not.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn order(&mut self, json: &RawValue) -> Option<Order> {
        let raw: RawOrder<'_> = self.object("#", json)?;
        let customer_id = self.text("#/customerId", raw.customer_id, limits::ID_LENGTH);
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
        let quantity = self.quantity(&field("quantity"), raw.quantity);
        let price = self.price(&field("price"), raw.price);
        Some(OrderItem {
            product_id: product_id?,
            product_name: product_name?,
            quantity: quantity?,
            price: price?,
        })
    }

    fn text(&mut self, pointer: &str, raw: Option<&RawValue>, longest: usize) -> Option<String> {
        let Some(text) = parse::<String>(self.required(pointer, raw)?) else {
            return self.refuse(pointer, "must be a text");
        };
        if text.chars().all(is_white_space) {
            return self.refuse(pointer, "must not be empty");
        }
        // Bytes first: counting the characters of a megabyte is not needed to refuse it.
        if text.len() > longest && text.chars().count() > longest {
            return self.refuse(pointer, format!("must have at most {longest} characters"));
        }
        Some(text)
    }

    fn quantity(&mut self, pointer: &str, raw: Option<&RawValue>) -> Option<u32> {
        let raw = self.required(pointer, raw)?;
        // A number without fraction is an integer however it is written, 1.0 too (JSON Schema, 6.1.1).
        let whole = parse_decimal(raw.get()).ok().filter(Decimal::is_integer);
        match whole.and_then(|number| u32::try_from(number).ok()) {
            Some(quantity) if (1..=limits::QUANTITY).contains(&quantity) => Some(quantity),
            _ => self
                .refuse(pointer, format!("must be a whole number from 1 to {}", limits::QUANTITY)),
        }
    }

    fn price(&mut self, pointer: &str, raw: Option<&RawValue>) -> Option<Decimal> {
        let raw = self.required(pointer, raw)?;
        match parse_decimal(raw.get()) {
            Err(DecimalError::NotANumber) => self.refuse(pointer, "must be a number"),
            Err(DecimalError::TooManyDigits) => self.refuse(pointer, "has too many digits"),
            Ok(price) if price < Decimal::ZERO => self.refuse(pointer, "must not be negative"),
            Ok(price) if price > limits::PRICE => {
                self.refuse(pointer, format!("must be at most {}", limits::PRICE))
            }
            Ok(price) if price.normalize().scale() > limits::PRICE_SCALE => self.refuse(
                pointer,
                format!("must have at most {} decimal places", limits::PRICE_SCALE),
            ),
            Ok(mut price) => {
                // -0 is a number in JSON and 0 to everybody.
                price.set_sign_positive(true);
                Some(price)
            }
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
            self.0.push(FieldError::new(pointer, "is missing"));
        }
        raw
    }

    fn refuse<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.0.push(FieldError::new(pointer, detail));
        None
    }
}

/// Unicode's white space and the byte order mark: what ECMAScript's `\s` means, in which the document
/// says the same, and U+0085.
fn is_white_space(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

fn parse<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}
