//! What is typed, what is sent, and waiting until the end.

use clap::{CommandFactory as _, Parser as _};
use serde_json::json;

use super::super::OutputFormat;
use super::super::api::tests::{Reply, StandIn};
use super::super::failed;
use super::request::NotBefore;
use super::view::tests::{NOW, elevation};
use super::wait::Wait;
use super::watch::follow;
use super::*;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const ID: &str = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";

fn parse(args: &[&str]) -> Result<Command, clap::Error> {
    let line = [&["elevation"], args, &["--broker", "https://broker.example.com"]].concat();
    Cli::try_parse_from(line).map(|cli| cli.command)
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let request = ["request", "--grant", "prod", "--duration", "1h", "--reason", "why"];
    for bad in [
        &["request", "--grant", "prod", "--duration", "1h"][..],
        &["request", "--grant", "Prod", "--duration", "1h", "--reason", "why"],
        &["request", "--grant", "prod", "--duration", "60", "--reason", "why"],
        &["request", "--grant", "prod", "--duration", "1h", "--reason", "  "],
        &[&request[..], &["--not-before", "tomorrow"]].concat(),
        &[&request[..], &["--not-before", "+30"]].concat(),
        &[&request[..], &["--token", "h.p.s"]].concat(),
        &["list", "--state", "open"],
        &["list", "--all", "--state", "active"],
        &["list", "--limit", "0"],
        &["show"],
        &["show", "../locks"],
        &["approve", "elv-1"],
        &["deny", ID],
        &["revoke", ID, "--reason", ""],
        &["watch", ID, "--after", "-1"],
    ] {
        let error = parse(bad).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn a_request_is_sent_as_the_api_wants_it() {
    let args = ["request", "--grant", "prod", "--duration", "90m", "--reason", "disk\nfull"];
    let body = |more: &[&str]| match parse(&[&args[..], more].concat()).unwrap() {
        Command::Request(args) => args.body(NOW),
        other => panic!("{other:?}"),
    };
    assert_eq!(body(&[]), json!({ "grant": "prod", "duration": "1h30m", "reason": "disk\nfull" }));
    assert_eq!(
        body(&["--ticket", "OPS-1", "--not-before", "+30m", "--scope", "a b"]),
        json!({ "grant": "prod", "duration": "1h30m", "reason": "disk\nfull", "ticket": "OPS-1",
                "not_before": "2026-11-22T16:33:12Z", "scope": "a b" })
    );
    assert_eq!(body(&["--not-before", "2026-11-22T18:00:00+01:00"])["not_before"], "2026-11-22T17:00:00Z");
}

#[test]
fn an_approval_says_only_what_was_typed() {
    let body = |more: &[&str]| match parse(&[&["approve", ID], more].concat()).unwrap() {
        Command::Approve(args) => args.body(),
        other => panic!("{other:?}"),
    };
    assert_eq!(body(&[]), json!({}));
    assert_eq!(
        body(&["--comment", "go", "--duration", "30m", "--scope", "a"]),
        json!({ "comment": "go", "duration": "30m", "scope": "a" })
    );
}

#[test]
fn a_time_without_a_sign_is_a_time_and_with_one_a_span() {
    assert!(NotBefore::parse("30m").is_err());
    assert!(NotBefore::parse("2026-11-22").is_err());
    assert_eq!(NotBefore::parse("+90s"), Ok(NotBefore::In(Duration::from_secs(90))));
}

#[tokio::test]
async fn a_list_is_read_page_by_page_until_there_are_enough() {
    let page = |first: u64, cursor: Value| {
        Reply::Json(200, json!({ "elevations": [{ "n": first }, { "n": first + 1 }], "next_cursor": cursor }))
    };
    let stand_in = StandIn::start([page(1, json!("c 1")), page(3, json!("c2")), page(5, Value::Null)]).await;
    let folder = tempfile::tempdir().unwrap();
    let Command::List(args) = parse(&["list", "--grant", "prod", "--limit", "3"]).unwrap() else { panic!() };
    let found = args.pages(&stand_in.api(&folder)).await.unwrap();
    assert_eq!(found, [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })]);
    let lines: Vec<String> = stand_in.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/elevations?limit=3&state=requested%2Capproved%2Cactive&grant=prod",
            "GET /v1/elevations?limit=1&state=requested%2Capproved%2Cactive&grant=prod&cursor=c+1",
        ]
    );
    let Command::List(args) = parse(&["list", "--all"]).unwrap() else { panic!() };
    assert_eq!(args.states(), "");
}

/// Waits for an elevation that goes through `states`.
async fn wait(states: &[&str]) -> anyhow::Result<ExitCode> {
    let replies = states.iter().zip(2..).map(|(state, version)| Reply::Json(200, elevation(state, version)));
    let (stand_in, folder) = (StandIn::start(replies).await, tempfile::tempdir().unwrap());
    let (api, clock) = (stand_in.api(&folder), SystemClock::start());
    let output = Output::new(OutputFormat::Text);
    let wait = Wait::new(&api, &clock, &output).hasty();
    wait.until_the_end(elevation("requested", 1), std::future::pending()).await
}

#[tokio::test]
async fn a_wait_ends_with_what_became_of_it() {
    for refused in ["denied", "withdrawn", "lapsed"] {
        assert_eq!(wait(&["requested", refused]).await.unwrap(), failed(), "{refused}");
    }
    assert_eq!(wait(&["active", "revoked"]).await.unwrap(), failed());
    assert_eq!(wait(&["approved", "active", "active", "expired"]).await.unwrap(), ExitCode::SUCCESS);
    assert_eq!(wait(&["active", "ended"]).await.unwrap(), ExitCode::SUCCESS);
}

#[tokio::test]
async fn a_broker_that_is_away_for_a_while_ends_no_wait_and_a_refusal_does() {
    let away = || Reply::Json(503, json!({ "title": "Service Unavailable" }));
    let outage = std::iter::repeat_with(away).take(9);
    let script = outage.chain([Reply::HangUp, Reply::Json(200, elevation("ended", 5))]);
    let (stand_in, folder) = (StandIn::start(script).await, tempfile::tempdir().unwrap());
    let (api, clock) = (stand_in.api(&folder), SystemClock::start());
    let output = Output::new(OutputFormat::Text);
    let wait = Wait::new(&api, &clock, &output).hasty();
    let ended = wait.until_the_end(elevation("active", 4), std::future::pending()).await;
    assert_eq!(ended.unwrap(), ExitCode::SUCCESS);
    let stand_in = StandIn::start([Reply::Json(401, json!({ "title": "Unauthorized" }))]).await;
    let api = stand_in.api(&folder);
    let wait = Wait::new(&api, &clock, &output).hasty();
    let refusal = wait.until_the_end(elevation("active", 4), std::future::pending()).await.unwrap_err();
    assert!(refusal.to_string().contains("sign in again"), "{refusal}");
}

#[tokio::test]
async fn who_stops_waiting_changes_nothing_at_the_broker() {
    let (stand_in, folder) =
        (StandIn::start([Reply::Json(200, elevation("requested", 1))]).await, tempfile::tempdir().unwrap());
    let (api, clock) = (stand_in.api(&folder), SystemClock::start());
    let output = Output::new(OutputFormat::Text);
    for (state, code) in [("requested", failed()), ("active", ExitCode::SUCCESS)] {
        let wait = Wait::new(&api, &clock, &output);
        let stopped = wait.until_the_end(elevation(state, 1), std::future::ready(Ok(()))).await.unwrap();
        assert_eq!(stopped, code);
    }
    assert!(stand_in.asked().is_empty());
}

fn event(id: u64, elevation: &Value) -> String {
    format!("id: {id}\nevent: elevation.approved\ndata: {elevation}\n\n")
}

#[tokio::test]
async fn a_watch_of_one_ends_when_that_one_is_over() {
    let of = |id: &str, state: &str, version: u64| {
        let mut elevation = elevation(state, version);
        elevation["id"] = json!(id);
        elevation
    };
    let other = of("elv-01a204b4-7a5e-7994-8652-29cf5b8dd4cf", "expired", 9);
    let stream =
        [event(5, &other), "id: 6\nevent: news\ndata: {}\n\n".to_owned(), event(7, &of(ID, "active", 3))];
    let script = [
        Reply::Events(stream.concat()),
        Reply::Json(200, of(ID, "approved", 2)),
        Reply::Events(event(8, &of(ID, "expired", 4))),
    ];
    let (stand_in, folder) = (StandIn::start(script).await, tempfile::tempdir().unwrap());
    let output = Output::new(OutputFormat::Text);
    follow(&stand_in.api(&folder), Some(ID.parse().unwrap()), Some(4), &output).await.unwrap();
    let asked = stand_in.asked();
    let lines: Vec<(&str, &str)> =
        asked.iter().map(|asked| (asked.line.as_str(), asked.header("last-event-id"))).collect();
    let show = format!("GET /v1/elevations/{ID}");
    assert_eq!(lines, [("GET /v1/events", "4"), (show.as_str(), ""), ("GET /v1/events", "7")]);
}

#[tokio::test]
async fn a_watch_that_the_broker_refuses_ends_with_its_reason() {
    let stand_in = StandIn::start([Reply::Json(401, json!({ "title": "Unauthorized" }))]).await;
    let folder = tempfile::tempdir().unwrap();
    let output = Output::new(OutputFormat::Text);
    let refusal = follow(&stand_in.api(&folder), None, None, &output).await.unwrap_err();
    assert!(refusal.to_string().contains("sign in again"), "{refusal}");
}

#[test]
fn every_command_has_help_with_an_example() {
    let root = Cli::command();
    for command in root.get_subcommands() {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains("Example"), "{}", command.get_name());
    }
    let help = |name: &str| {
        let mut command = root.find_subcommand(name).unwrap().clone().term_width(100);
        command.render_help().to_string()
    };
    insta::assert_snapshot!("help_request", help("request"));
    insta::assert_snapshot!("help_approve", help("approve"));
}
