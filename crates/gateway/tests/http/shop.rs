//! The shop page, as far as it shows without a browser.

use crate::support::{Gateway, nobody};

#[tokio::test]
async fn the_page_and_its_files_are_there_and_untraced() {
    let gateway = Gateway::between(nobody().await, nobody().await).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, content_type, expected) in [
        (
            "/",
            "text/html; charset=utf-8",
            "data-trace-url=\"http://viewer.test/trace/\"",
        ),
        ("/shop.css", "text/css; charset=utf-8", "color-scheme"),
        (
            "/shop.js",
            "text/javascript; charset=utf-8",
            "idempotency-key",
        ),
    ] {
        let answer = client
            .get(format!("http://{}{path}", gateway.address))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], content_type, "{path}");
        let policy = answer.headers().get("content-security-policy").cloned();
        assert_eq!(policy.is_some(), path == "/", "{path}");
        assert!(answer.text().await.unwrap().contains(expected), "{path}");
    }
    // The next span that ends is the first there is.
    gateway.get("/nothing").await;
    let [span] = gateway.ended().await;
    assert_eq!(span.name, "GET");
}

#[tokio::test]
async fn a_foreign_page_does_not_get_it() {
    let gateway = Gateway::between(nobody().await, nobody().await).await;
    let answer = gateway.send("GET /", &[("Host", "evil.example")], "").await;
    assert_eq!(answer.status, 421);
}

/// A list is the heaviest request there is; the page asks for its own pending orders.
#[test]
fn the_page_asks_for_no_list() {
    let script = include_str!("../../src/shop/shop.js");
    let requests: Vec<_> = script
        .lines()
        .filter(|line| line.contains("fetch("))
        .collect();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(
        requests[0].contains(r#"fetch("/orders", {"#),
        "{requests:#?}"
    );
    assert!(requests[1].contains("fetch(`/orders/${"), "{requests:#?}");
    assert!(!script.contains("limit="));
}
