//! Who may ask, and what browsers are told.

use runnel::App;
use runnel::runs::{Status, Stores};

use crate::asking::{Shop, ask};

const TOKEN: &str = "canary-canary-canary";

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_only_who_brings_it_is_answered() {
    let shop = Shop::with(Stores::memory(), |app| app.setting("http_token", TOKEN)).await;
    let bearer = format!("Bearer {TOKEN}");
    for (said, status) in [
        (bearer.as_str(), 200),
        ("bearer canary-canary-canary", 200),
        ("Bearer canary-canary-canarx", 401),
        ("Bearer canary-canary-canary2", 401),
        ("Bearer ", 401),
        ("Basic canary-canary-canary", 401),
    ] {
        let answer = shop.get_with("/api/job_runs", &[("Authorization", said)]).await;
        assert_eq!(answer.status, status, "{said}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    }
    let without = shop.get("/api/job_runs").await;
    assert_eq!((without.status, without.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(shop.get("/healthz").await.status, 200);
    // Under whatever name a proxy is known: the token decides.
    let proxied = [("Host", "shop.example"), ("Authorization", bearer.as_str())];
    assert_eq!(shop.get_with("/api/job_runs", &proxied).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_are_refused() {
    let shop = Shop::open().await;
    for headers in [
        [("Host", "evil.example"), ("Accept", "*/*")],
        [("Host", "127.0.0.1.evil.example:80"), ("Accept", "*/*")],
        [("Host", "127.0.0.1:1"), ("Origin", "http://evil.example")],
        [("Host", "127.0.0.1:1"), ("Origin", "null")],
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(shop.at, method, "/api/job_runs", &headers).await;
            assert_eq!(answer.status, 403, "{headers:?}");
        }
    }
    let own = format!("http://{}", shop.at);
    assert_eq!(shop.get_with("/api/job_runs", &[("Origin", &own)]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_can_be_taken_for_a_page() {
    let shop = Shop::open().await;
    shop.run("a1", Status::Success).await;
    shop.print("a1", &["<script>alert(1)</script>"]).await;
    for path in ["/api/job_runs", "/api/job_runs/a1/logs/stdout", "/nowhere", "/healthz", "/api/job_runs/%3Cb%3E"] {
        let answer = shop.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!answer.header("content-type").contains("html"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_are_not_answered_without_a_token() {
    let refused = App::bare("shop").redis("memory://").http("0.0.0.0:0").connect().await.unwrap_err().to_string();
    assert!(refused.contains("RUNNEL_HTTP_TOKEN"), "{refused}");
}
