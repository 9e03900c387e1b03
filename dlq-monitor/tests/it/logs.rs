//! What a monitor logs.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

/// What is logged on this thread while this exists; a test's tasks run on one thread.
pub(crate) struct Logs {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Logs {
    pub(crate) fn capture() -> Self {
        struct Into(Arc<Mutex<Vec<u8>>>);
        impl Write for Into {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || Into(into.clone()))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The fields of every line that tells of a dead letter.
    pub(crate) fn dead_letters(&self) -> Vec<serde_json::Value> {
        self.telling("manual action is needed")
    }

    /// The fields of every line whose message contains this.
    pub(crate) fn telling(&self, what: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).expect("logs are UTF-8");
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
            .map(|line| line["fields"].clone())
            .filter(|fields| fields["message"].as_str().is_some_and(|m| m.contains(what)))
            .collect()
    }
}
