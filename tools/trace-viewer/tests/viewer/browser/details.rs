//! What is said of one span, where its links lead, and what is said of spans that never came.

use serde_json::json;

use super::{DOWN, LEFT, NARROW, ONE_AT_A_TIME, Page, RIGHT, WIDE};
use crate::samples::Sample;

/// The id of the first span of that name.
fn span(sample: &Sample, name: &str) -> String {
    let resources = sample.traces["resourceSpans"].as_array().unwrap();
    let mut spans = resources
        .iter()
        .flat_map(|resource| resource["scopeSpans"][0]["spans"].as_array().unwrap());
    let found = spans.find(|span| span["name"] == name).unwrap();
    found["spanId"].as_str().unwrap().to_owned()
}

impl Page {
    /// The details of a span, all of them.
    async fn details(&self, sample: &str, name: &str) -> String {
        let sample = self.sample(sample);
        let span = span(sample, name);
        self.browser
            .go(&format!("/order/{}?span={span}", sample.order))
            .await;
        self.browser.text(".details").await
    }
}

#[tokio::test]
async fn a_span_tells_what_it_knows_in_groups() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for size in [WIDE, NARROW] {
        let Some(page) = Page::open(size).await else {
            return;
        };
        let message = page.details("confirmed", "process order.created").await;
        for part in ["In the queue\n29 ms", "Messaging", "1042", "(its parent)"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        page.browser.picture(&format!("details-{}", size.0)).await;

        let call = page.details("confirmed", "POST /send").await;
        assert!(call.contains("1 ms there, "), "{call}");
        let skewed = page
            .details("clock skew", "POST /stock/{item_id}/reserve")
            .await;
        assert!(skewed.contains("the clocks of the two differ"), "{skewed}");

        let statement = page.details("confirmed", "UPDATE email.mails").await;
        let lines = "UPDATE email.mails\nSET state = 'sent'\nWHERE order_id = $1\n  AND kind = $2";
        assert!(statement.contains(lines), "{statement}");

        let logged = page.details("confirmed", "POST /orders").await;
        assert!(
            !logged.contains("order created"),
            "of another span: {logged}"
        );
        let line = page.browser.text(".trace > .log").await;
        assert!(line.contains("Log, 2 lines"), "{line}");
        page.browser.assert_no_complaints().await;
    }
}

#[tokio::test]
async fn links_lead_to_their_spans_in_other_traces_too() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let first = page.sample("confirmed");
    let linked = span(first, "process order.created");
    let link = json!({"traceId": first.trace, "spanId": linked});
    let again = json!({"traceId": "000000000000000000000000000000aa", "spanId": "0000000000000001",
        "name": "POST /orders again", "startTimeUnixNano": "1", "endTimeUnixNano": "2", "links": [link]});
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [again]}]}]});
    page.send("/v1/traces", &request).await;

    page.browser.go("/trace/aa?span=0000000000000001").await;
    page.browser.click(".details li a").await;
    let title = "document.querySelector('.details h2')?.innerText";
    page.browser
        .until(&format!("{title}?.includes('process order.created')"))
        .await;
    let there = format!("location.pathname.endsWith('{}')", first.trace);
    page.browser.until(&there).await;
    // And from there back to where the link is.
    let back = page.browser.text(".meta a[href*=span]").await;
    assert!(back.contains("POST /orders again"), "{back}");
    page.browser.click(".meta a[href*=span]").await;
    page.browser
        .until(&format!("{title}?.includes('POST /orders again')"))
        .await;
    page.browser.back().await;
    page.browser.until(&there).await;
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn what_is_missing_or_doubtful_is_said() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    page.go_to_order("killed").await;
    let missing = page.browser.text(".row.missing").await;
    assert!(missing.contains("has not come"), "{missing}");
    let doubt = page.browser.text(".doubt").await;
    assert!(doubt.contains("A span has not come"), "{doubt}");
    page.go_to_order("clock skew").await;
    let doubt = page.browser.text(".doubt").await;
    assert!(
        doubt.contains("Clocks differ: inventory is at least 2") && doubt.contains("behind worker"),
        "{doubt}"
    );
    let foot = page.browser.text("#held").await;
    let held = page.samples.len();
    assert!(
        foot.contains(&format!("Holding {held} of {held} traces seen")),
        "{foot}"
    );
    page.browser.assert_no_complaints().await;
}

#[tokio::test]
async fn the_keyboard_goes_over_a_group_and_into_it() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(page) = Page::open(WIDE).await else {
        return;
    };
    let trace = &page.sample("n plus one").trace;
    page.browser.go(&format!("/trace/{trace}")).await;
    page.browser
        .until("document.querySelector('.row.group')")
        .await;
    let rows = "document.querySelector('[role=treegrid]').getAttribute('aria-rowcount')";
    let selected = "document.querySelector('.row.selected').getAttribute('aria-rowindex')";
    for (keys, shown, at) in [
        (&[DOWN; 7][..], 5, 5),
        (&[RIGHT], 105, 6),
        (&[DOWN, DOWN], 105, 8),
        (&[LEFT], 5, 5),
    ] {
        page.browser.press(keys).await;
        page.browser
            .until(&format!("{rows} == {shown} && {selected} == {at}"))
            .await;
    }
    page.browser.assert_no_complaints().await;
}
