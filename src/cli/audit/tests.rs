//! The commands on real folders.

use clap::Parser as _;

use super::*;
use crate::audit::AuditLog;
use crate::audit::tests::{Bench, fill};
use crate::audit::tile::{TileKind, TilePath, available};
use crate::cli::OutputFormat;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

async fn run(args: &[&str]) -> anyhow::Result<bool> {
    let cli = Cli::try_parse_from([&["audit"], args].concat())?;
    let code = cli.command.run(&Output::new(OutputFormat::Text)).await?;
    Ok(code == ExitCode::SUCCESS)
}

/// A mirror of a log of so many entries.
async fn mirror(bench: &Bench, entries: u64, name: &str) -> String {
    let log = bench.log().await;
    fill(&log, entries).await;
    let mirror = mirror_of(&log, bench.folder.path(), name).await;
    log.drain().await;
    mirror
}

/// A mirror as the log's own endpoints would give it.
pub(in crate::cli) async fn mirror_of(log: &AuditLog, parent: &Path, name: &str) -> String {
    let folder = parent.join(name);
    for kind in [TileKind::Entries, TileKind::Hashes(0), TileKind::Hashes(1)] {
        for path in (0..).map_while(|n| TilePath::newest(kind, n, available(kind, log.size()))) {
            let bytes = log.tile(&path).await.unwrap().unwrap();
            export::write_atomically(&folder.join(path.to_string()), &bytes).unwrap();
        }
    }
    export::write_atomically(&folder.join("checkpoint"), log.checkpoint().await.unwrap().as_bytes()).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_truncated_source_is_refused_by_verify_and_does_not_harm_a_mirror() {
    let bench = Bench::new();
    let path = |name: &str| bench.folder.path().join(name).to_str().unwrap().to_owned();
    let key = bench.key().to_string();
    let small = mirror(&bench, 90, "small").await;
    let large = mirror(&bench, 300, "large").await;
    let (saved, copy) = (path("saved"), path("copy"));
    assert!(run(&["verify", &large, "--key", &key, "--save", &saved]).await.unwrap());
    assert!(run(&["export", &large, "--to", &copy]).await.unwrap());
    assert!(!run(&["verify", &small, "--key", &key, "--checkpoint", &saved]).await.unwrap());
    assert!(
        run(&["export", &small, "--to", &copy]).await.unwrap_err().to_string().contains("does not continue")
    );
    assert!(run(&["verify", &copy, "--key", &key, "--checkpoint", &saved]).await.unwrap());
}

#[tokio::test]
async fn an_export_goes_on_where_it_stopped_and_verifies() {
    let bench = Bench::new();
    let key = bench.key().to_string();
    let copy = bench.folder.path().join("copy");
    let copy = copy.to_str().unwrap();
    let first = mirror(&bench, 90, "first").await;
    assert!(run(&["export", &first, "--to", copy]).await.unwrap());
    let second = mirror(&bench, 600, "second").await;
    assert!(run(&["export", &second, "--to", copy]).await.unwrap());
    assert!(run(&["verify", copy, "--key", &key]).await.unwrap());
    assert!(!Path::new(copy).join("tile/entries/000.p").exists());
    std::fs::remove_file(Path::new(copy).join("tile/0/001")).unwrap();
    assert!(!run(&["verify", copy, "--key", &key]).await.unwrap());
    assert!(run(&["export", &second, "--to", copy]).await.unwrap());
    assert!(run(&["verify", copy, "--key", &key]).await.unwrap());
    assert!(run(&["tail", copy, "-n", "3"]).await.unwrap());
}

#[tokio::test]
async fn a_receipt_is_refused_for_another_entry_and_holds_for_its_own() {
    let bench = Bench::new();
    let path = |name: &str| bench.folder.path().join(name).to_str().unwrap().to_owned();
    let source = mirror(&bench, 300, "log").await;
    let (key, proof, entry) = (path("log.vkey"), path("1.tlog-proof"), path("1.json"));
    std::fs::write(&key, format!("{}\n", bench.key())).unwrap();
    let made = ["prove", &source, "--index", "17", "--key", &key, "--out", &proof, "--entry-out", &entry];
    assert!(run(&made).await.unwrap());
    let check = ["prove", "--check", &proof, "--entry", &entry, "--key", &key];
    assert!(run(&check).await.unwrap());
    std::fs::write(&entry, "{}").unwrap();
    assert!(!run(&check).await.unwrap());
    assert!(run(&["prove", &source, "--index", "300", "--key", &key]).await.is_err());
}

#[tokio::test]
async fn a_log_behind_a_url_verifies_and_redirects_are_not_followed() {
    let bench = Bench::new();
    let key = bench.key().to_string();
    let folder = PathBuf::from(mirror(&bench, 300, "log").await);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let elsewhere = axum::response::Redirect::temporary(&format!("{url}/log/checkpoint"));
    let file = async move |axum::extract::Path(path): axum::extract::Path<String>| {
        std::fs::read(folder.join(path)).map_err(|_| axum::http::StatusCode::NOT_FOUND)
    };
    let routes = axum::Router::new()
        .route("/log/{*path}", axum::routing::get(file))
        .route("/moved/checkpoint", axum::routing::get(async || elsewhere));
    tokio::spawn(async { axum::serve(listener, routes).await });
    assert!(run(&["verify", &format!("{url}/log/"), "--key", &key]).await.unwrap());
    let refusal = run(&["verify", &format!("{url}/moved"), "--key", &key]).await.unwrap_err();
    assert!(refusal.to_string().contains("307"), "{refusal}");
    let refusal = run(&["verify", &format!("{url}/nowhere"), "--key", &key]).await.unwrap_err();
    assert!(refusal.to_string().contains("no file `checkpoint`"), "{refusal}");
}

#[tokio::test]
async fn usage_errors_name_what_is_missing() {
    for bad in [
        &["verify", "x"][..],
        &["prove", "--key", "k"],
        &["prove", "--check", "f", "--key", "k"],
        &["prove", "x", "--check", "f", "--entry", "e", "--key", "k"],
        &["export", "x"],
    ] {
        assert!(Cli::try_parse_from([&["audit"], bad].concat()).is_err(), "{bad:?}");
    }
    let refusal = run(&["verify", "/nowhere", "--key", "a+b+c"]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "`/nowhere` is neither a folder nor an https URL");
    let refusal = run(&["verify", "/", "--key", "a+b+c"]).await.unwrap_err();
    assert!(refusal.to_string().starts_with("`a+b+c` is neither a verifier key"));
}
