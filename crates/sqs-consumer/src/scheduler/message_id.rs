//! The identity of messages.

use std::sync::Arc;

use uuid::Uuid;

/// SQS's id of a message, to be compared with others. AWS's ids are UUIDs; as numbers they need no
/// memory of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(Form);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Of an id in the one form that a number is written in.
    Number(u128),
    Text(Arc<str>),
}

impl From<&str> for MessageId {
    fn from(id: &str) -> Self {
        let uuid = Uuid::try_parse(id).ok();
        let is_whole =
            |uuid: &Uuid| *id == *uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer());
        Self(match uuid.filter(is_whole) {
            Some(uuid) => Form::Number(uuid.as_u128()),
            None => Form::Text(id.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_if_and_only_if_their_texts_are() {
        let ids = [
            "5fea7756-0ea4-451a-a703-a558b933e274",
            "5FEA7756-0EA4-451A-A703-A558B933E274",
            "5fea77560ea4451aa703a558b933e274",
            "{5fea7756-0ea4-451a-a703-a558b933e274}",
            "5fea7756-0ea4-451a-a703-a558b933e275",
            "mail-1",
            "",
        ];
        for (n, one) in ids.iter().enumerate() {
            for (m, other) in ids.iter().enumerate() {
                assert_eq!(
                    MessageId::from(*one) == MessageId::from(*other),
                    n == m,
                    "{one} {other}"
                );
            }
        }
        assert!(matches!(MessageId::from(ids[0]).0, Form::Number(_)));
    }
}
