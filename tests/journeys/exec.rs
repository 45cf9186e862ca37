//! `tidegate exec` becomes the command: its environment has the credential and no other identity, its exit code and its
//! signals are its own, and no secret stands in arguments or in what is printed.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::aws::{Aws, Read};
use crate::harness::broker::{Broker, tidegate};
use crate::harness::process::Running;
use crate::harness::{OidcProvider, Setup};

struct World {
    broker: Broker,
    aws: Aws,
    token: String,
    _issuer: OidcProvider,
}

impl World {
    async fn new(aws: Aws) -> Self {
        let issuer = OidcProvider::start();
        let broker = Setup::new()
            .issuer("idp", issuer.url(), "replay = \"reusable\"")
            .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
            .jwt_grant("ledger")
            .sts(aws.endpoint(), aws.broker_env())
            .start();
        let token = issuer.token("es256").await;
        fs::write(broker.folder().join("subject"), &token).unwrap();
        Self { broker, aws, token, _issuer: issuer }
    }

    fn exec(&self, grant: &str, command: &[&str]) -> Command {
        let mut tidegate = tidegate(self.broker.folder());
        tidegate.env("TIDEGATE_URL", self.broker.url()).env("TIDEGATE_SUBJECT_TOKEN_FILE", "subject");
        tidegate.args(["exec", "--grant", grant, "--"]).args(command);
        tidegate
    }

    fn sh(&self, grant: &str, script: &str) -> Output {
        self.exec(grant, &["sh", "-c", script]).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complained(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn exit_codes_and_signals_are_the_commands_own_and_failures_are_as_in_a_shell() {
    let world = World::new(Aws::moto()).await;
    assert_eq!(world.sh("ledger", "exit 0").status.code(), Some(0));
    assert_eq!(world.sh("ledger", "exit 42").status.code(), Some(42));
    assert_eq!(world.sh("ledger", "kill -s TERM $$").status.signal(), Some(15));

    let missing = world.exec("ledger", &["no-such-program"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(complained(&missing).contains("`no-such-program`"));
    fs::write(world.broker.folder().join("text"), "no program").unwrap();
    assert_eq!(world.exec("ledger", &["./text"]).output().unwrap().status.code(), Some(126));

    let refused = world.sh("payroll", "echo must not run");
    assert_eq!((refused.status.code(), said(&refused).as_str()), (Some(1), ""));
    assert!(complained(&refused).contains("invalid_target"));
    let usage = tidegate(world.broker.folder()).args(["exec", "--grant", "ledger"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));

    // It is the same process: whoever started it and signals it reaches the command.
    let running = Running::start("exec", &mut world.exec("ledger", &["sh", "-c", "echo $$; exec sleep 60"]));
    let own = running.pid().to_string();
    running.hear(|line| (line == own).then_some(())).unwrap();
    running.signal("INT");
    assert_eq!(running.ended().signal(), Some(2));
}

#[tokio::test]
async fn the_command_has_the_credential_and_no_other_identity() {
    let world = World::new(Aws::ministack()).await;
    let print = r#"printf '{"AccessKeyId":"%s","SecretAccessKey":"%s","SessionToken":"%s","left":"%s%s%s"}' \
        "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN" \
        "$AWS_PROFILE" "$AWS_WEB_IDENTITY_TOKEN_FILE" "$AWS_SECURITY_TOKEN""#;
    let mut command = world.exec("orders-read", &["sh", "-c", print]);
    command.env("AWS_PROFILE", "production").env("AWS_WEB_IDENTITY_TOKEN_FILE", "/elsewhere");
    command.env("AWS_ACCESS_KEY_ID", "AKIAOLD").env("AWS_REGION", "eu-central-1");
    let output = command.output().unwrap();
    let given: serde_json::Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(given["left"], "");
    let denied = Read::Refused("AccessDenied".to_owned());
    assert_eq!(world.aws.read(&given, ["orders", "ledger"]), [Read::Got("hello".to_owned()), denied]);
    let told = complained(&output);
    let line = "tidegate: not handed on: AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_WEB_IDENTITY_TOKEN_FILE\n";
    assert_eq!(told, line, "which, and not their values");

    let jwt = world.sh("ledger", "printf %s \"$TIDEGATE_TOKEN\"");
    assert_eq!((said(&jwt).split('.').count(), complained(&jwt).as_str()), (3, ""));
}

#[tokio::test]
async fn no_secret_is_in_the_arguments_and_none_is_printed() {
    let mut world = World::new(Aws::moto()).await;
    let script =
        "tr '\\0' ' ' </proc/$$/cmdline; echo; printf %s \"$AWS_SECRET_ACCESS_KEY$AWS_SESSION_TOKEN\" >given";
    let output = world.sh("orders-read", script);
    let given = fs::read_to_string(world.broker.folder().join("given")).unwrap();
    assert!(output.status.success() && given.len() > 20);
    let told = said(&output) + &complained(&output) + &world.broker.stop();
    assert!(told.contains("sh -c tr"), "the command saw its own arguments: {told}");
    assert!(!told.contains(&given) && !told.contains(&world.token));
}

#[tokio::test]
async fn credential_process_is_what_boto3_reads_and_a_refusal_reaches_its_user() {
    let world = World::new(Aws::ministack()).await;
    let folder = world.broker.folder();
    let profile = |grant: &str| {
        let program = env!("CARGO_BIN_EXE_tidegate");
        let subject = folder.join("subject").display().to_string();
        let broker = world.broker.url();
        let flags = format!("--grant {grant} --subject-token-file {subject} --broker {broker}");
        format!(
            "[profile {grant}]\ncredential_process = {program} token --format credential-process {flags}\n"
        )
    };
    fs::write(folder.join("config"), profile("orders-read") + &profile("payroll")).unwrap();
    let variables = |name: &str| {
        let config = folder.join("config").display().to_string();
        [("AWS_CONFIG_FILE", config), ("AWS_PROFILE", name.to_owned())]
    };
    let boto3 = |name| crate::harness::agent::Boto3::start(world.aws.endpoint(), &variables(name), folder);
    let mut good = boto3("orders-read");
    assert_eq!(good.read("orders")["body"], json!("hello"));
    assert_eq!(good.read("ledger")["code"], json!("AccessDenied"));
    let refused = boto3("payroll").read("orders");
    assert!(refused["error"].as_str().unwrap().contains("invalid_target"), "{refused}");
}
