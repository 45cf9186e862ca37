//! Who gets something from an agent, and what it leaves behind: its own token in a file for its owner alone, loopback only,
//! TLS to the broker, and nothing when it ends.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use crate::harness::agent::Agent;
use crate::harness::aws::Aws;
use crate::harness::broker::tidegate;
use crate::harness::{OidcProvider, Setup};

/// A broker that wants its client's certificate, as a policy can.
const WITH_A_CERTIFICATE: &str = r#"
@id("known-machine")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)
when { context has client_cert };
"#;

#[tokio::test]
async fn over_tls_with_a_client_certificate_and_for_nobody_who_does_not_have_the_agents_token() {
    let (issuer, aws) = (OidcProvider::start(), Aws::moto());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
        .sts(aws.endpoint(), aws.broker_env())
        .policy(WITH_A_CERTIFICATE)
        .tls()
        .start();
    let token = issuer.token("es256").await;
    let file = |name: &str| broker.folder().join(name).to_str().unwrap().to_owned();
    let path = "/aws/credentials/orders-read";

    let stranger = Agent::start(&broker, &token, &[]);
    let refused = stranger.get(path).await;
    assert_eq!((refused.status, refused.text("/code")), (503, "ServiceUnavailable"), "{refused:?}");
    assert!(refused.text("/message").contains("certificate"), "the system's authorities do not know it");
    let bare = Agent::start(&broker, &token, &["--ca-file", &file("ca.crt")]);
    assert_eq!(bare.get(path).await.status, 403, "policy wants a certificate");

    let identity = ["--client-cert-file", &file("client.crt"), "--client-key-file", &file("client.key")];
    let agent = Agent::start(&broker, &token, &[&["--ca-file", &file("ca.crt")], &identity[..]].concat());
    let given = agent.get(path).await.granted();
    assert!(!given.text("/SecretAccessKey").is_empty());

    let facts = fs::metadata(agent.bearer_file()).unwrap();
    assert_eq!(facts.mode() & 0o7777, 0o600);
    assert_eq!(facts.uid(), fs::metadata(format!("/proc/{}", agent.pid())).unwrap().uid());
    for wrong in [None, Some("x"), Some(token.as_str())] {
        let answer = agent.get_as(path, wrong).await;
        assert_eq!(answer.status, if wrong.is_none() { 401 } else { 403 });
        assert!(answer.body.is_string(), "in plain text: {answer:?}");
    }
    let secrets =
        [token, agent.bearer(), given.text("/SecretAccessKey").to_owned(), given.text("/Token").to_owned()];
    let said = agent.output() + &fs::read_to_string(format!("/proc/{}/cmdline", agent.pid())).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", agent.pid())).unwrap();
    let said = said + &String::from_utf8_lossy(&environment);
    assert!(secrets.iter().all(|secret| !said.contains(secret.as_str())), "{said}");

    let (status, folder) = agent.stop();
    assert!(status.success(), "{status}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["subject"], "its token is gone");
}

#[test]
fn what_would_be_unsafe_is_a_usage_error_or_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("subject"), "a.b.c").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = tidegate(folder.path());
        command.args(["agent", "--broker", "http://127.0.0.1:1"]).args(arguments);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for everywhere in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let (code, why) = run(&["--subject-token-file", "subject", "--listen", everywhere]);
        assert!(code == 2 && why.contains("is no loopback address"), "{code} {why}");
    }
    let (code, why) = run(&["--subject-token-file", "-"]);
    assert!(code == 2 && why.contains("cannot be read again"), "{code} {why}");
    let (code, why) = run(&["--subject-token-file", "subject", "--print-env"]);
    assert!(code == 2 && why.contains("--grant"), "{code} {why}");

    fs::write(folder.path().join("victim"), "precious").unwrap();
    symlink("victim", folder.path().join("link")).unwrap();
    let (code, why) = run(&["--subject-token-file", "subject", "--token-file", "link"]);
    assert!(code == 1 && why.contains("symbolic link"), "{code} {why}");
    assert_eq!(fs::read_to_string(folder.path().join("victim")).unwrap(), "precious");
}

#[tokio::test]
async fn two_variables_are_printed_that_suffice_and_the_status_tells_how_it_stands() {
    let (issuer, aws) = (OidcProvider::start(), Aws::moto());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("subject"), issuer.token("es256").await).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = tidegate(folder.path());
    let flags = ["--grant", "orders-read", "--print-env", "--subject-token-file", "subject"];
    command.args(["agent", "--broker", broker.url(), "--token-file", "bearer"]).args(flags);
    let agent = crate::harness::process::Running::start("agent", &mut command);
    let value = |name: &str| {
        let start = format!("export {name}=");
        agent.hear(|line| line.strip_prefix(&start).map(str::to_owned)).unwrap()
    };
    let uri = value("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let bearer = fs::read_to_string(value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")).unwrap();
    let request = crate::harness::http::client().get(&uri).header("authorization", &bearer);
    let given = crate::harness::http::Answer::to(request).await.unwrap().granted();

    let address = uri.trim_start_matches("http://").split('/').next().unwrap();
    let status = |more: &[&str]| {
        let mut command = tidegate(folder.path());
        let output = command.args(["agent", "status", "--listen", address]).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(status(&[]), (0, "ok\n".to_owned()));
    let (code, told) = status(&["--token-file", "bearer"]);
    assert!(code == 0 && told.contains("orders-read") && told.contains(given.text("/Expiration")), "{told}");
    assert_eq!(status(&["--token-file", "subject"]).0, 1, "that is another token");
    assert!(agent.stop().success());
    assert_eq!(status(&[]).0, 1);
}
