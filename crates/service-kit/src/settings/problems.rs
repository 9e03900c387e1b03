//! What is wrong with the settings, all of it.

use std::fmt;

/// One wrong or unknown setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// The setting's name, or where else the mistake is.
    pub name: String,
    /// The value as given, `***` for a secret; nothing when none was given.
    pub value: Option<String>,
    /// What is allowed instead.
    pub allowed: String,
}

/// Everything that is wrong with the settings; displayed as a list, one problem after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<SettingProblem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("one setting is wrong:")?,
            n => write!(f, "{n} settings are wrong:")?,
        }
        for problem in &self.0 {
            match &problem.value {
                Some(value) => write!(f, "\n  {} = {value:?}", problem.name)?,
                None => write!(f, "\n  {} is not set", problem.name)?,
            }
            write!(f, "\n      allowed: {}", problem.allowed)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
