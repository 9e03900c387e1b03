//! Reading JSON: objects, and nothing that only looks like one.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::Value;

/// Reads a request. A field that is null is as good as absent, which only few clients need.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body).or_else(|error| {
        let mut value: Value = serde_json::from_slice(body)?;
        // Without nulls the first error is the one that tells something.
        if !drop_nulls(&mut value) {
            return Err(error);
        }
        serde_json::from_value(value)
    })
}

/// Takes null fields out of objects, and tells whether there were any.
fn drop_nulls(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|_, field| !field.is_null());
            let dropped = fields.len() != before;
            fields.values_mut().fold(dropped, |dropped, field| drop_nulls(field) | dropped)
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |dropped, item| drop_nulls(item) | dropped)
        }
        _ => false,
    }
}

/// Types that are read from JSON objects and from nothing else. What serde derives would take an array
/// of the fields' values too.
pub(super) trait FromObject: Sized {
    fn from_object<'de, A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error>;
}

pub(super) fn read_object<'de, T: FromObject, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: FromObject> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
            T::from_object(fields)
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// Reads a type by what serde derives under `remote = "Self"`, from an object only.
macro_rules! read_from_objects {
    ($($name:ident),* $(,)?) => {$(
        impl FromObject for $name {
            fn from_object<'de, A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error> {
                Self::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read_object(deserializer)
            }
        }
    )*};
}

pub(super) use read_from_objects;
