//! What can be said of any page: that it is accessible, fits its window, and pictures for people.

use std::path::PathBuf;

use serde_json::Value;

use super::page::{NARROW, Page, WIDE};

impl Page {
    /// What axe-core finds that keeps people from using the page: its serious and critical findings.
    async fn barriers(&self) -> Vec<String> {
        if self.evaluate("typeof window.axe").await == "undefined" {
            // The page's policy keeps no evaluation of the developer tools off.
            self.evaluate(&format!("{}; 0", axe())).await;
        }
        let found = self
            .evaluate(
                "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations
                    .filter(it => ['serious', 'critical'].includes(it.impact))
                    .map(it => `${it.id}: ${it.help}: ${it.nodes.map(node => node.html).join('; ')}`))",
            )
            .await;
        let found = found.as_array().expect("a list").iter().map(Value::to_string);
        found.collect()
    }

    /// Looks at the page in all ways: wide and narrow, light and dark. Each is kept as a picture of this
    /// name.
    pub(super) async fn inspect(&self, name: &str) {
        for (scheme, width) in
            [("light", WIDE), ("light", NARROW), ("dark", NARROW), ("dark", WIDE)]
        {
            let wide = if width == WIDE { "wide" } else { "narrow" };
            self.prefer_scheme(scheme).await;
            self.resize(width).await;
            keep(&format!("{name}-{wide}-{scheme}"), &self.picture().await);
            self.fits().await;
            assert_eq!(self.barriers().await, Vec::<String>::new(), "{name}, {wide}, {scheme}");
        }
        self.prefer_scheme("light").await;
        assert_eq!(self.complaints(), Vec::<Value>::new(), "{name}");
    }

    /// Nobody has to scroll sideways.
    pub(super) async fn fits(&self) {
        let [wanted, there] = ["scrollWidth", "clientWidth"].map(|name| async move {
            let width = self.evaluate(&format!("document.documentElement.{name}")).await;
            width.as_u64().expect("a number")
        });
        let (wanted, there) = (wanted.await, there.await);
        assert!(wanted <= there, "{}: {wanted} > {there}", self.place().await);
    }
}

/// The source of axe-core, which is installed for tests only.
fn axe() -> String {
    #[expect(clippy::disallowed_methods, reason = "where CI has put a tool, not a setting")]
    let path = std::env::var("AXE_CORE").expect("AXE_CORE names the axe.min.js of npm's axe-core");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Keeps a picture in the folder that BROWSER_PICTURES names.
fn keep(name: &str, png: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "where CI wants its output, not a setting")]
    let folder = std::env::var("BROWSER_PICTURES");
    let folder = folder.map_or_else(
        |_| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).expect("there is a place for pictures");
    std::fs::write(folder.join(format!("{name}.png")), png).expect("the picture is kept");
}
