//! The page in a real browser, at both ends of the sizes that it is made for.
//!
//! One browser at a time: each test opens its own, and two cores do not carry ten of them.

mod axe;
mod details;
mod load;
mod running;
mod webdriver;

use std::time::{SystemTime, UNIX_EPOCH};

use axe::assert_open_to_all;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use webdriver::Browser;

use crate::samples::{self, Sample};
use crate::support::{Running, fixture, start};

const WIDE: (u32, u32) = (1600, 1000);
const NARROW: (u32, u32) = (800, 600);
const DOWN: &str = "\u{E015}";
const LEFT: &str = "\u{E012}";
const RIGHT: &str = "\u{E014}";
const ESCAPE: &str = "\u{E00C}";
const ENTER: &str = "\u{E007}";

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct Page {
    viewer: Running,
    browser: Browser,
    samples: Vec<Sample>,
}

impl Page {
    async fn open((width, height): (u32, u32)) -> Option<Self> {
        let viewer = start().await;
        let browser = Browser::open(viewer.page, width, height).await?;
        let mut page = Self {
            viewer,
            browser,
            samples: Vec::new(),
        };
        page.samples = samples::all(page.now());
        for sample in &page.samples {
            page.send("/v1/traces", &sample.traces).await;
            page.send("/v1/logs", &sample.logs).await;
        }
        Some(page)
    }

    fn now(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        u64::try_from(now).unwrap()
    }

    async fn send(&self, path: &str, request: &Value) {
        let answer = self.viewer.send_json(path, request.to_string()).await;
        assert_eq!(answer.text().await.unwrap(), "{}");
    }

    fn sample(&self, name: &str) -> &Sample {
        self.samples
            .iter()
            .find(|sample| sample.name == name)
            .unwrap()
    }

    async fn go_to_order(&self, name: &str) {
        self.browser
            .go(&format!("/order/{}", self.sample(name).order))
            .await;
        self.browser.until("document.querySelector('.row')").await;
    }
}

#[tokio::test]
async fn from_an_orders_id_to_the_span_that_failed_in_three_actions() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for size in [WIDE, NARROW] {
        let Some(page) = Page::open(size).await else {
            return;
        };
        let browser = &page.browser;
        browser.go("/").await;
        browser.until("document.querySelector('.traces tr')").await;
        // One: into the search box. Two: Enter. Three: show what failed.
        browser.click("#q").await;
        let order = page.sample("failed").order.clone();
        browser.press(&[&order]).await;
        browser.press(&[ENTER]).await;
        let verdict = browser.text(".verdict h1").await;
        assert!(
            verdict.starts_with("Confirmed, mail failed: email answered 500 five times"),
            "{verdict}"
        );
        browser.click("button.errors").await;
        let fault = browser.text(".details .fault").await;
        assert_eq!(
            fault,
            "Failed: mail server said: 451 4.3.0 temporary failure"
        );
        let address = browser
            .run("return location.pathname + location.search")
            .await;
        assert!(
            address
                .as_str()
                .unwrap()
                .starts_with(&format!("/order/{order}?span=")),
            "{address}"
        );
        browser.picture(&format!("failed-{}", size.0)).await;
        browser.assert_no_complaints().await;
    }
}

#[tokio::test]
async fn the_queue_has_a_bar_of_its_own_between_send_and_process() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for size in [WIDE, NARROW] {
        let Some(page) = Page::open(size).await else {
            return;
        };
        page.go_to_order("confirmed").await;
        let names = "return [...document.querySelectorAll('.row .names')].map(name => name.innerText.replace(/\\s+/g, ' ').trim())";
        let names = page.browser.run(names).await;
        let names: Vec<_> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let at = names
            .iter()
            .position(|name| name.ends_with("send order.created"))
            .unwrap();
        assert!(
            names[at + 1].contains("in the queue order.created"),
            "{names:?}"
        );
        assert!(
            names[at + 2].ends_with("process order.created"),
            "{names:?}"
        );
        assert_eq!(
            page.browser.text(".row.queue .time").await,
            "29 ms in the queue"
        );
        let ends_where_processing_starts = "(() => { const right = document.querySelector('.bar.queue').getBoundingClientRect().right; \
            const rows = [...document.querySelectorAll('.row')]; \
            const process = rows.find(row => row.innerText.includes('process order.created')).querySelector('.bar'); \
            return Math.abs(process.getBoundingClientRect().left - right) < 2; })()";
        page.browser.until(ends_where_processing_starts).await;
        page.browser.picture(&format!("confirmed-{}", size.0)).await;
        page.browser.dark().await;
        page.browser
            .picture(&format!("confirmed-dark-{}", size.0))
            .await;
        page.browser.assert_no_complaints().await;
    }
}

#[tokio::test]
async fn attempts_dead_letter_and_replay_are_one_story_on_one_screen() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.go_to_order("replayed").await;
    let badges =
        "return [...document.querySelectorAll('.badge:not(.error)')].map(badge => badge.innerText)";
    let badges = page.browser.run(badges).await;
    assert_eq!(
        badges,
        json!([
            "attempt 2",
            "attempt 3",
            "attempt 4",
            "attempt 5",
            "dead letter",
            "replay"
        ])
    );
    assert_eq!(
        page.browser
            .run("return document.querySelectorAll('.row.pause').length")
            .await,
        4
    );
    assert_eq!(
        page.browser.text(".row.shelf .time").await,
        "39.8 s in the dead letters"
    );
    page.browser.picture("replayed").await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn a_long_wait_does_not_flatten_the_rest_unless_asked() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.go_to_order("long queue").await;
    assert_eq!(
        page.browser.text(".axis .cut").await,
        "left out\n7 min 38 s"
    );
    let width = "document.querySelector('.bar').getBoundingClientRect().width";
    page.browser.until(&format!("{width} > 100")).await;
    page.browser.picture("long-queue").await;
    page.browser.click(".tools input").await;
    page.browser
        .until(&format!(
            "{width} < 5 && !document.querySelector('.axis .cut')"
        ))
        .await;
    page.browser
        .until("new URLSearchParams(location.search).has('true-scale')")
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn the_same_statement_a_hundred_times_is_one_row_until_it_is_opened() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.browser
        .go(&format!("/trace/{}", page.sample("n plus one").trace))
        .await;
    let row = page.browser.text(".row.group").await;
    assert!(
        row.contains("100 ×") && row.contains("SELECT orders.order_items"),
        "{row}"
    );
    page.browser.picture("n-plus-one").await;
    page.browser.click(".row.group").await;
    page.browser
        .until("document.querySelector('[role=treegrid]').getAttribute('aria-rowcount') == 105")
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn the_keyboard_moves_folds_and_closes() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.go_to_order("failed").await;
    let rows = "document.querySelector('[role=treegrid]').getAttribute('aria-rowcount')";
    page.browser.press(&[DOWN, DOWN, DOWN]).await;
    page.browser
        .until("document.querySelector('.details h2')?.innerText.includes('POST /orders')")
        .await;
    page.browser.press(&[LEFT]).await;
    page.browser.until(&format!("{rows} == 3")).await;
    page.browser.press(&["e"]).await;
    page.browser
        .until("document.querySelector('.row.failed.selected')")
        .await;
    page.browser.until(&format!("{rows} > 20")).await;
    page.browser.press(&[ESCAPE]).await;
    page.browser
        .until("document.querySelector('.details').hidden")
        .await;
    page.browser.press(&["/", "x"]).await;
    page.browser
        .until("document.activeElement.id === 'q'")
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn the_list_leads_there_and_back_and_is_narrowed_by_its_address() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for size in [WIDE, NARROW] {
        let Some(page) = Page::open(size).await else {
            return;
        };
        page.browser.go("/").await;
        page.browser
            .until(&format!(
                "document.querySelectorAll('tbody tr').length == {}",
                page.samples.len()
            ))
            .await;
        page.browser.picture(&format!("list-{}", size.0)).await;
        let sideways =
            "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(page.browser.run(&format!("return {sideways}")).await, false);
        page.browser.click("tbody tr a").await;
        page.browser
            .until("document.querySelector('.verdict')")
            .await;
        assert_eq!(page.browser.run(&format!("return {sideways}")).await, false);
        page.browser.back().await;
        page.browser
            .until("document.querySelector('.traces')")
            .await;
        page.browser.go("/search?status=error&service=email").await;
        page.browser
            .until("document.querySelectorAll('tbody tr').length == 3")
            .await;
        page.browser
            .until("document.querySelector('[name=service]').value == 'email'")
            .await;
        page.browser.assert_no_complaints().await;
    }
}

#[tokio::test]
async fn what_comes_appears_without_being_asked_for() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.browser.go("/").await;
    let rows = "document.querySelectorAll('tbody tr').length";
    page.browser
        .until(&format!("{rows} == {}", page.samples.len()))
        .await;
    let again = samples::all(page.now() + 1_000_000);
    page.send("/v1/traces", &again[0].traces).await;
    page.browser
        .until(&format!("{rows} == {}", page.samples.len() + 1))
        .await;
    // Not under a hand: then it says so and waits.
    page.browser
        .run("document.querySelector('tbody a').focus()")
        .await;
    page.send("/v1/traces", &again[1].traces).await;
    page.browser
        .until("!document.querySelector('.news').hidden")
        .await;
    page.browser
        .until(&format!("{rows} == {}", page.samples.len() + 1))
        .await;
    page.browser.click(".news").await;
    page.browser
        .until(&format!("{rows} == {}", page.samples.len() + 2))
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn an_order_is_watched_while_it_waits_until_it_is_done() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let mut all = samples::all(page.now() + 5_000_000);
    let whole = all.pop().unwrap();
    let mut parts = whole.traces["resourceSpans"].as_array().unwrap().clone();
    let service = |part: &Value| part["resource"]["attributes"].to_string();
    let placed: Vec<Value> = parts
        .extract_if(.., |part| service(part).contains("\"gateway\""))
        .collect();
    let mut orders: Vec<Value> = parts
        .extract_if(.., |part| service(part).contains("\"orders\""))
        .collect();
    let later = orders[0]["scopeSpans"][0]["spans"].as_array_mut().unwrap();
    let later: Vec<Value> = later
        .extract_if(.., |span| !span["name"].as_str().unwrap().contains("order"))
        .collect();
    page.browser.go(&format!("/order/{}", whole.order)).await;
    assert_eq!(
        page.browser.text(".verdict h1").await,
        "No trace of this order is held"
    );
    page.send(
        "/v1/traces",
        &json!({"resourceSpans": ([placed, orders].concat())}),
    )
    .await;
    page.browser
        .until("document.querySelector('.verdict.open, .verdict.good')")
        .await;
    let mut rest = json!({"resourceSpans": parts});
    rest["resourceSpans"]
        .as_array_mut()
        .unwrap()
        .push(json!({"scopeSpans": [{"spans": later}]}));
    page.send("/v1/traces", &rest).await;
    page.browser
        .until("document.querySelector('.verdict.good h1')?.innerText.startsWith('Confirmed in')")
        .await;
    page.browser
        .go(&format!("/order/{}", page.sample("waiting").order))
        .await;
    page.browser
        .until("document.querySelector('.bar.open')")
        .await;
    let waited = page.browser.text(".verdict h1").await;
    page.browser
        .until(&format!(
            "document.querySelector('.verdict h1').innerText != {}",
            json!(waited)
        ))
        .await;
    page.browser.picture("waiting").await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn what_a_span_says_is_text_and_nothing_else() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let evil =
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
    let attribute = json!({"key": evil, "value": {"stringValue": evil}});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": evil}}]});
    let span = json!({"traceId": "000000000000000000000000000000ee", "spanId": "0000000000000001", "name": evil,
        "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": [attribute],
        "status": {"code": 2, "message": evil}, "events": [{"name": evil, "attributes": [attribute]}],
        "links": [{"traceId": "000000000000000000000000000000ee", "spanId": "0000000000000001", "attributes": [attribute]}]});
    let request =
        json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
    page.send("/v1/traces", &request).await;
    page.browser.go("/trace/ee?span=0000000000000001").await;
    assert!(
        page.browser
            .text(".details h2")
            .await
            .contains("<img src=x onerror")
    );
    page.browser.picture("hostile").await;
    page.browser.go("/").await;
    page.browser
        .until("document.querySelector('.traces')?.innerText.includes('<script>')")
        .await;
    let elements = page
        .browser
        .run("return document.querySelectorAll('main script, main img').length")
        .await;
    assert_eq!(elements, 0);
    assert_ne!(page.browser.run("return document.title").await, "owned");
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn numbers_and_times_are_not_rounded() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.viewer
        .send_json("/v1/traces", fixture("otlp/input-a-all-types.otlp.json"))
        .await;
    page.browser
        .go("/trace/a1b2c3d4e5f60718293a4b5c6d7e8f90?span=0000000000000a01")
        .await;
    let details = page.browser.text(".details").await;
    for value in ["-9223372036854775808", "9007199254740993", "1e+21"] {
        assert!(details.contains(value), "{value} is not in {details}");
    }
    page.browser
        .until("document.querySelector('[title=\"2026-11-23T03:40:00.000000000Z\"]')")
        .await;
    page.browser.picture("all-types").await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn ten_thousand_spans_are_drawn_a_screen_at_a_time() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(NARROW).await else {
        return;
    };
    let span = |id: u64| {
        json!({"traceId": "000000000000000000000000000000bb", "spanId": format!("{id:016x}"),
        "parentSpanId": format!("{:016x}", id / 3), "name": format!("step {id}"),
        "startTimeUnixNano": (1_000_000 + id * 1_000).to_string(), "endTimeUnixNano": "20000000"})
    };
    let spans: Vec<Value> = (1..=10_000).map(span).collect();
    page.send(
        "/v1/traces",
        &json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}),
    )
    .await;
    page.browser.go("/trace/bb").await;
    page.browser
        .until("document.querySelectorAll('.row').length > 5")
        .await;
    let drawn = page
        .browser
        .run("return document.querySelectorAll('.row').length")
        .await;
    assert!(drawn.as_u64().unwrap() < 100, "{drawn} rows drawn");
    page.browser
        .run("scrollTo(0, document.body.scrollHeight)")
        .await;
    page.browser
        .until("document.querySelector('#row-9999')")
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn nobody_is_kept_out() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for (size, scheme) in [(WIDE, "light"), (NARROW, "dark")] {
        let Some(page) = Page::open(size).await else {
            return;
        };
        let browser = &page.browser;
        if scheme == "dark" {
            browser.dark().await;
        }
        browser.go("/").await;
        browser.until("document.querySelector('.traces tr')").await;
        assert_open_to_all(browser, &format!("the list, {scheme}")).await;
        page.go_to_order("replayed").await;
        assert_open_to_all(browser, &format!("a trace, {scheme}")).await;
        page.go_to_order("failed").await;
        browser.click("button.errors").await;
        browser
            .until("document.querySelector('.details .fault')")
            .await;
        assert_open_to_all(browser, &format!("details, {scheme}")).await;
        browser
            .go("/order/0190e6a0-7b1e-7000-8000-000000000001")
            .await;
        browser
            .until("document.querySelector('main').innerText")
            .await;
        assert_open_to_all(browser, &format!("an order without spans, {scheme}")).await;
    }
}
