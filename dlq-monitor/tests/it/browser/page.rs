//! A page, used as people use it: with the mouse, the keyboard and their eyes.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use serde_json::{Value, json};

use super::devtools::Browser;
use crate::support::eventually;

/// The width of a desktop's window and of a narrow telephone.
pub(super) const WIDE: u32 = 1280;
pub(super) const NARROW: u32 = 360;
const HEIGHT: u32 = 900;

/// A browser with one page.
pub(super) struct Page {
    browser: Browser,
    session: String,
    /// Of the server.
    origin: String,
}

impl Page {
    /// An empty page, from which this server's are reached.
    pub(super) async fn open(server: std::net::SocketAddr) -> Self {
        let browser = Browser::start();
        let target =
            browser.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call(None, "Target.attachToTarget", target).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Self { browser, session, origin: format!("http://{server}") };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        page.resize(WIDE).await;
        page
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters).await
    }

    pub(super) async fn resize(&self, width: u32) {
        let screen = json!({
            "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
    }

    pub(super) async fn prefer_scheme(&self, scheme: &str) {
        // A colour that is on its way to another would be taken for the one that people see.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// As a browser without scripts.
    pub(super) async fn disable_scripts(&self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// The value of an expression; none while the page is being left.
    async fn try_evaluate(&self, expression: &str) -> Option<Value> {
        let asked = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let evaluated =
            self.browser.try_call(Some(&self.session), "Runtime.evaluate", asked).await.ok()?;
        let thrown = &evaluated["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        Some(evaluated["result"]["value"].clone())
    }

    /// The value of an expression.
    pub(super) async fn evaluate(&self, expression: &str) -> Value {
        eventually(expression, || self.try_evaluate(expression)).await
    }

    /// Waits until an expression is true.
    pub(super) async fn until(&self, expression: &str) {
        let what = format!("{expression} at {}", self.place().await);
        eventually(&what, || async {
            (self.try_evaluate(expression).await? == true).then_some(())
        })
        .await;
    }

    /// Where the page is: path, query and fragment.
    pub(super) async fn place(&self) -> String {
        let place = self.evaluate("location.pathname + location.search + location.hash").await;
        place.as_str().expect("a text").to_owned()
    }

    /// Goes to a path of the server and waits until it is there, with its style.
    pub(super) async fn go(&self, path: &str) {
        self.go_to(&format!("{}{path}", self.origin)).await;
    }

    /// The same by a whole URL. Every host `monitor.example` is this machine.
    pub(super) async fn go_to(&self, url: &str) {
        self.leave(async {
            let gone = self.call("Page.navigate", json!({ "url": url })).await;
            assert!(gone["errorText"].is_null(), "{url}: {gone}");
        })
        .await;
    }

    /// Does what leads to another page, or to this one anew, and waits until it is there.
    async fn leave(&self, act: impl Future<Output = ()>) {
        self.evaluate("void (window.isLeft = true)").await;
        act.await;
        self.until("!window.isLeft && document.readyState === 'complete'").await;
        assert_eq!(
            self.evaluate("document.querySelectorAll('main#main h1').length").await,
            1,
            "{} has one heading of the page",
            self.place().await
        );
    }

    /// Clicks what leads to another page.
    pub(super) async fn follow(&self, selector: &str) {
        self.leave(self.click(selector)).await;
    }

    /// Presses a key that leads to another page.
    pub(super) async fn follow_by_key(&self, key: Key) {
        self.leave(self.press(key)).await;
    }

    /// Clicks in the middle of an element, which must be what is seen there.
    pub(super) async fn click(&self, selector: &str) {
        let point = self.press_mouse(selector).await;
        self.mouse("mouseReleased", &point).await;
    }

    /// Clicks what leads to another page, and takes the time of the waiting for it.
    pub(super) async fn follow_slowly(&self, selector: &str, waiting: impl Future<Output = ()>) {
        self.leave(async {
            let point = self.press_mouse(selector).await;
            waiting.await;
            self.mouse("mouseReleased", &point).await;
        })
        .await;
    }

    /// Presses the mouse where an element is; the place.
    async fn press_mouse(&self, selector: &str) -> [Value; 2] {
        let point = self.middle(selector).await;
        for kind in ["mouseMoved", "mousePressed"] {
            self.mouse(kind, &point).await;
        }
        point
    }

    async fn mouse(&self, kind: &str, [x, y]: &[Value; 2]) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let mouse = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", mouse).await;
    }

    /// The middle of an element, which must be what is seen there.
    async fn middle(&self, selector: &str) -> [Value; 2] {
        let place = self
            .evaluate(&format!(
                "(() => {{
                    const all = [...document.querySelectorAll({selector})];
                    const element = all.find(element => element.checkVisibility());
                    if (!element) return `there is no visible {plain}, of ${{all.length}}`;
                    element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                    const box = element.getClientRects()[0];
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const seen = document.elementFromPoint(x, y);
                    const is = element.contains(seen) || seen?.contains(element)
                        || [...(element.labels ?? [])].some(label => label.contains(seen));
                    return is ? [x, y] : `at {plain} there is ${{seen?.outerHTML}}`;
                }})()",
                selector = json!(selector),
                plain = selector.replace(['`', '$', '\\'], ""),
            ))
            .await;
        match place.as_array().map(Vec::as_slice) {
            Some([x, y]) => [x.clone(), y.clone()],
            _ => panic!("{place}"),
        }
    }

    /// Replaces what is in a field, as somebody who clicks into it and types.
    pub(super) async fn fill(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.evaluate("void document.activeElement.select?.()").await;
        self.call("Input.insertText", json!({ "text": text })).await;
        let value = self.evaluate("document.activeElement.value").await;
        assert_eq!(value, text, "{selector}");
    }

    /// Chooses an option by its value.
    pub(super) async fn choose(&self, selector: &str, value: &str) {
        let chosen = self
            .evaluate(&format!(
                "(() => {{
                    const field = document.querySelector({});
                    field.value = {};
                    field.dispatchEvent(new Event('change', {{ bubbles: true }}));
                    return field.value;
                }})()",
                json!(selector),
                json!(value)
            ))
            .await;
        assert_eq!(chosen, value, "{selector}");
    }

    pub(super) async fn press(&self, key: Key) {
        let (name, code, number, text) = key.parts();
        let mut pressed = json!({
            "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" },
            "key": name, "code": code, "windowsVirtualKeyCode": number,
            "modifiers": if key == Key::BackTab { 8 } else { 0 },
        });
        if !text.is_empty() {
            pressed["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", pressed.clone()).await;
        pressed["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", pressed).await;
    }

    /// Types into what has the focus.
    pub(super) async fn write(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// The text that is shown of the first such element.
    pub(super) async fn text(&self, selector: &str) -> String {
        let asked = format!("document.querySelector({})?.innerText ?? null", json!(selector));
        let text = self.evaluate(&asked).await;
        let text = text.as_str().map(str::to_owned);
        match text {
            Some(text) => text,
            None => panic!("there is no {selector} at {}", self.place().await),
        }
    }

    /// How many elements there are.
    pub(super) async fn count(&self, selector: &str) -> u64 {
        let asked = format!("document.querySelectorAll({}).length", json!(selector));
        self.evaluate(&asked).await.as_u64().expect("a number")
    }

    /// The status with which the page came.
    pub(super) async fn status(&self) -> u64 {
        let asked = "performance.getEntriesByType('navigation')[0].responseStatus";
        self.evaluate(asked).await.as_u64().expect("a status")
    }

    /// A picture of the whole page, as PNG.
    pub(super) async fn picture(&self) -> Vec<u8> {
        let metrics = self.call("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.call("Page.captureScreenshot", asked).await;
        BASE64.decode(taken["data"].as_str().expect("a picture")).expect("it is base64")
    }

    /// What the browser has complained of since it was started: errors and warnings of scripts and of the
    /// content security policy, dialogs, and what could not be loaded. The status of a page is none:
    /// tests ask for it.
    pub(super) fn complaints(&self) -> Vec<Value> {
        let is_bad = |level: &Value| level == "error" || level == "warning";
        let is_complaint = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Runtime.consoleAPICalled") => is_bad(&event["params"]["type"]),
            Some("Log.entryAdded") => {
                let entry = &event["params"]["entry"];
                is_bad(&entry["level"]) && !self.is_the_status_of_a_page(entry)
            }
            _ => false,
        };
        self.browser.events().into_iter().filter(is_complaint).collect()
    }

    /// That a page itself came with 401, for instance, is an error in the browser's log.
    fn is_the_status_of_a_page(&self, entry: &Value) -> bool {
        let url = entry["url"].as_str().unwrap_or_default();
        entry["source"] == "network"
            && entry["text"]
                .as_str()
                .is_some_and(|text| text.contains("responded with a status of"))
            && !url.starts_with(&format!("{}/assets/", self.origin))
    }
}

/// Keys that lead through a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Tab,
    BackTab,
    Enter,
    Space,
}

impl Key {
    /// Name, code, number and what it types.
    fn parts(self) -> (&'static str, &'static str, u32, &'static str) {
        match self {
            Self::Tab | Self::BackTab => ("Tab", "Tab", 9, ""),
            Self::Enter => ("Enter", "Enter", 13, "\r"),
            Self::Space => (" ", "Space", 32, " "),
        }
    }
}
