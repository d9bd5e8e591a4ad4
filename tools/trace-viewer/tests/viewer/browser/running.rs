//! The page with what the real services send: PostgreSQL, a broker and five services run for it.

use std::net::SocketAddr;
use std::path::PathBuf;

use orderflow::process::free_port;
use orderflow::stack::{Stack, VIEWER};

use super::axe::assert_open_to_all;
use super::webdriver::Browser;
use super::{NARROW, ONE_AT_A_TIME, WIDE};

/// The way that most people will take first: order in the shop, follow the link, see where the time went.
#[tokio::test]
async fn from_the_shop_to_the_trace_of_an_order() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let viewer: SocketAddr = ([127, 0, 0, 1], free_port().unwrap()).into();
    let collector = format!("http://127.0.0.1:{}", free_port().unwrap());
    let stack = open(viewer, &collector).await;
    let shop = stack.gateway_url().replace("http://", "").parse().unwrap();

    for size in [WIDE, NARROW] {
        let Some(browser) = Browser::open(shop, size.0, size.1).await else {
            return;
        };
        browser.go("/").await;
        browser.click("button[value='20']").await;
        browser
            .until("document.querySelectorAll('.confirmed').length === 20")
            .await;
        assert_open_to_all(&browser, "the shop").await;
        browser.picture(&format!("shop-{}", size.0)).await;
        browser.assert_no_complaints().await;

        let link = browser.run("return document.querySelector('td a').href");
        let link = link.await.as_str().unwrap().to_owned();
        assert!(link.starts_with(&format!("http://localhost:{}/trace/", viewer.port())));
        browser.go_to(&link).await;
        browser
            .until("document.querySelector('.verdict h1')?.innerText.startsWith('Confirmed in')")
            .await;
        browser.until("document.querySelector('.bar.queue')").await;
        browser
            .until("document.querySelector('.meta').innerText.includes('5 services')")
            .await;
        browser.picture(&format!("running-{}", size.0)).await;
        assert_open_to_all(&browser, "the trace").await;

        // A line of its log is found at the span that wrote it.
        browser.click(".log summary").await;
        browser
            .until("document.querySelector('.log li')?.innerText.includes('order')")
            .await;
        browser.assert_no_complaints().await;
    }
}

async fn open(viewer: SocketAddr, collector: &str) -> Stack {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("running");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    let otlp: SocketAddr = collector.replace("http://", "").parse().unwrap();
    Stack::builder(directory)
        .memory_broker()
        .with_viewer()
        .ports(&[(VIEWER, viewer.port()), ("OTLP over gRPC", otlp.port())])
        .otlp(collector, "grpc")
        .env_everywhere("OTEL_LOGS_EXPORTER", "otlp")
        .env(
            "gateway",
            "TRACE_URL",
            format!("http://localhost:{}/trace/", viewer.port()),
        )
        .start()
        .await
        .unwrap()
}
