//! Many tabs, many traces, many spans; and what spans must not be able to break.

use serde_json::{Value, json};

use super::webdriver::Browser;
use super::{NARROW, ONE_AT_A_TIME, Page, WIDE};
use crate::samples;
use crate::support::start_with;

/// A browser opens six connections to a server: a tab must not keep one.
#[tokio::test]
async fn ten_tabs_stay_live() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let rows = "document.querySelectorAll('tbody tr').length";
    for _ in 0..9 {
        page.browser.go_in_a_new_tab("/").await;
        page.browser
            .until(&format!("{rows} == {}", page.samples.len()))
            .await;
    }
    page.browser.switch_to_tab(0).await;
    page.browser.go("/").await;
    let again = samples::all(page.now() + 1_000_000);
    page.send("/v1/traces", &again[0].traces).await;
    for tab in 0..10 {
        page.browser.switch_to_tab(tab).await;
        page.browser
            .until(&format!("{rows} == {}", page.samples.len() + 1))
            .await;
    }
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn the_second_page_of_the_list_is_one_click_away() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(NARROW).await else {
        return;
    };
    for id in 1..=101 - page.samples.len() {
        let span = json!({"traceId": format!("{id:032x}"), "spanId": "0000000000000001", "name": "n",
            "startTimeUnixNano": "1", "endTimeUnixNano": "2"});
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        page.send("/v1/traces", &request).await;
    }
    page.browser.go("/").await;
    let rows = "document.querySelectorAll('tbody tr').length";
    page.browser.until(&format!("{rows} == 100")).await;
    page.browser.click(".pages a").await;
    page.browser.until(&format!("{rows} == 1")).await;
    assert_eq!(page.browser.text(".pages").await, "Newest traces");
    page.browser.click(".pages a").await;
    page.browser.until(&format!("{rows} == 100")).await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn another_service_has_other_operations() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.browser
        .go("/search?service=gateway&operation=POST%20%2Forders")
        .await;
    page.browser
        .until("document.querySelector('[name=operation]')?.value == 'POST /orders'")
        .await;
    let choose = "const service = document.querySelector('[name=service]'); service.value = 'email'; \
                  service.dispatchEvent(new Event('change', {bubbles: true}))";
    page.browser.run(choose).await;
    page.browser
        .until("location.search == '?service=email' && document.querySelectorAll('tbody tr').length > 0")
        .await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn an_address_that_is_no_text_is_not_found() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    for path in ["/trace/%E0%A4", "/order/%E0%A4"] {
        page.browser.go(path).await;
        page.browser
            .until("document.querySelector('.verdict h1')?.innerText.endsWith('held')")
            .await;
    }
}

#[tokio::test]
async fn a_log_line_of_no_known_severity_is_shown() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let trace = &page.sample("confirmed").trace;
    let line = json!({"traceId": trace, "severityNumber": -5, "body": {"stringValue": "odd"}, "timeUnixNano": "1"});
    page.send(
        "/v1/logs",
        &json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [line]}]}]}),
    )
    .await;
    page.browser.go(&format!("/trace/{trace}")).await;
    page.browser.click(".log summary").await;
    let log = page.browser.text(".trace > .log").await;
    assert!(log.contains("TRACE odd"), "{log}");
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn an_id_is_copied_where_there_is_no_clipboard_api() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.go_to_order("confirmed").await;
    page.browser
        .run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        .await;
    page.browser.click(".meta .copy").await;
    page.browser
        .until("document.querySelector('.meta .copy.done')")
        .await;
    page.browser.assert_no_complaints().await;
}

/// JavaScript passes at most some 120,000 arguments to a function.
#[tokio::test]
async fn two_hundred_thousand_equal_calls_are_one_row() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.browser.go("/").await;
    let script = "return import('/page/rows.js').then(({rows}) => {
        const span = at => ({at, id: String(at), service: 's', name: 'n', kind: 'client', depth: 0, from: at, to: at + 1,
            took: 1, children: [], attribute: {}});
        const spans = Array.from({length: 200000}, (_, at) => span(at));
        const [row] = rows({spans}, new Set(), new Set(), null);
        return [row.type, row.spans.length, row.to];
    })";
    let row = page.browser.run(script).await;
    assert_eq!(row, json!(["group", 200_000, 200_000]));
}

#[tokio::test]
async fn each_order_of_a_trace_is_one_click_away() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let spans: Vec<Value> = (1..=2)
        .map(|id| {
            let order = json!({"key": "order.id", "value": {"stringValue": format!("o{id}")}});
            let status = json!({"key": "http.response.status_code", "value": {"intValue": 200}});
            json!({"traceId": "000000000000000000000000000000cc", "spanId": format!("{id:016x}"), "kind": 2,
                "name": "PATCH /orders/{id}/status", "attributes": [order, status],
                "startTimeUnixNano": "1000", "endTimeUnixNano": "2000"})
        })
        .collect();
    page.send(
        "/v1/traces",
        &json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}),
    )
    .await;
    page.browser.go("/trace/cc").await;
    let verdict = page.browser.text(".verdict h1").await;
    assert_eq!(verdict, "2 orders: Confirmed in 1 µs, Confirmed in 1 µs");
    page.browser.picture("two-orders").await;
    super::assert_open_to_all(&page.browser, "a trace of two orders").await;
    page.browser.click(".entities li:nth-child(2) a").await;
    page.browser.until("location.pathname == '/order/o2'").await;
    page.browser
        .until("document.querySelector('.verdict h1').innerText == 'Confirmed in 1 µs'")
        .await;
    let entity = page.browser.text(".entity").await;
    assert!(entity.to_lowercase().contains("order o2"), "{entity}");
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn a_trace_that_is_full_says_so() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let viewer = start_with(&["--memory-bytes", "400000"]).await;
    let Some(browser) = Browser::open(viewer.page, NARROW.0, NARROW.1).await else {
        return;
    };
    let spans: Vec<Value> = (1..=1_001)
        .map(|id| {
            json!({"traceId": "000000000000000000000000000000fc", "spanId": format!("{id:016x}"), "name": "step",
                "startTimeUnixNano": "1000", "endTimeUnixNano": "2000"})
        })
        .collect();
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    viewer.send_json("/v1/traces", request.to_string()).await;
    browser.go("/trace/fc").await;
    let full = browser.text(".doubt.full").await;
    assert!(full.starts_with("This trace is full: "), "{full}");
    browser.assert_no_complaints().await;
}
