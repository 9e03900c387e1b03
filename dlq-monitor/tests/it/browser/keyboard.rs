//! Without a mouse.

use serde_json::Value;

use super::{
    page::Key,
    stage::{CHOSEN, Stage},
};
use crate::support::STANDARD_DLQ;

/// Tabs that reach any element of these pages.
const MOST_TABS: usize = 200;
/// What has the focus: whether it is seen, and which one it is.
const FOCUSED: &str = "(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    const box = element.getBoundingClientRect();
    return {
        html: element.outerHTML.slice(0, 200),
        place: [...document.querySelectorAll('*')].indexOf(element),
        visible: (outlined || style.boxShadow !== 'none') && box.width > 1 && box.height > 1
            && box.right > 0 && box.left < innerWidth,
    };
})()";

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_tab_key_reaches_everything_in_its_order_and_is_seen_where_it_is() {
    let stage = Stage::open().await;
    stage.dead(2, "carrier_unavailable").await;
    stage.dead_in_group("customer-1", 1).await;
    let page = &stage.page;
    for path in ["/", "/messages", &format!("/redrive?queue={STANDARD_DLQ}"), "/jobs", "/audit"] {
        page.go(path).await;
        let mut places = Vec::new();
        for _ in 0..MOST_TABS {
            page.press(Key::Tab).await;
            let focused = page.evaluate(FOCUSED).await;
            let place = focused["place"].as_u64();
            // Behind the last one is the browser itself, or the first one again.
            if place.is_none() || (places.len() > 1 && place == places.first().copied()) {
                break;
            }
            assert_eq!(focused["visible"], true, "{path}: {}", focused["html"]);
            places.extend(place);
        }
        assert!(places.len() < MOST_TABS && places.is_sorted(), "{path}: {places:?}");
        places.dedup();
        let reachable = "[...document.querySelectorAll(
            'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]')]
            .filter(it => it.checkVisibility() && !it.disabled && !it.closest('[inert]')).length";
        // Of radio buttons the group is one stop; the console has none.
        assert_eq!(page.evaluate(reachable).await, places.len() as u64, "{path}");
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_first_tab_leads_past_the_navigation() {
    let stage = Stage::open().await;
    let page = &stage.page;
    page.go("/").await;
    page.press(Key::Tab).await;
    assert_eq!(page.evaluate("document.activeElement.hash").await, "#main");
    page.press(Key::Enter).await;
    page.until("location.hash === '#main'").await;
    page.press(Key::Tab).await;
    let within = "document.activeElement === document.body
        || !!document.activeElement.closest('#main, footer')";
    assert_eq!(page.evaluate(within).await, true, "{}", page.evaluate(FOCUSED).await);
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn dead_letters_are_redriven_with_the_keyboard_alone() {
    let stage = Stage::open().await;
    stage.dead(2, "carrier_unavailable").await;
    let page = &stage.page;
    page.go("/").await;
    tab_to(&stage, "nav a[href='/messages']").await;
    page.follow_by_key(Key::Enter).await;
    for _ in 0..2 {
        tab_to(&stage, "[name=ids]:not(:checked)").await;
        page.press(Key::Space).await;
    }
    assert_eq!(page.count("[name=ids]:checked").await, 2);
    tab_to(&stage, CHOSEN).await;
    page.follow_by_key(Key::Enter).await;
    tab_to(&stage, "#redrive-form [name=reason]").await;
    page.write("by keyboard").await;
    tab_to(&stage, "#redrive-form button[type=submit]").await;
    page.follow_by_key(Key::Enter).await;
    tab_to(&stage, "#redrive-form [name=count]").await;
    page.write("7").await;
    page.follow_by_key(Key::Enter).await;
    let focused = "document.activeElement.closest('[role=alert]') !== null
        || document.activeElement.name === 'count'";
    assert_eq!(page.evaluate(focused).await, true, "the focus is where the mistake is");
    tab_to(&stage, "#redrive-form [name=count]").await;
    page.evaluate("void document.activeElement.select()").await;
    page.write("2").await;
    page.follow_by_key(Key::Enter).await;
    stage.until_job("completed").await;
    assert_eq!(stage.standard(), (2, 0));
    stage.end().await;
}

/// Presses the tab key until such an element has the focus.
async fn tab_to(stage: &Stage, selector: &str) {
    let is_there = format!("!!document.activeElement?.matches({})", Value::from(selector));
    for _ in 0..MOST_TABS {
        if stage.page.evaluate(&is_there).await == true {
            return;
        }
        stage.page.press(Key::Tab).await;
    }
    panic!("the tab key does not lead to {selector} at {}", stage.page.place().await);
}
