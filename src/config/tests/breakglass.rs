//! `[breakglass]`, `[[notify]]`, `[clock]`, and ending sessions in `[aws]`.

use super::*;
use crate::notify::Format;

fn breakglass(lines: &str) -> String {
    format!("{GOOD}\n[breakglass]\n{lines}")
}

fn notify(lines: &str) -> String {
    format!("{GOOD}\n[[notify]]\n{lines}")
}

#[test]
fn requests_have_bounds() {
    refuses(&[
        (breakglass("request_ttl = 60"), "breakglass.request_ttl: a bare number", ""),
        (breakglass("request_ttl = \"8d\""), "breakglass.request_ttl: longer than 7d", "7d"),
        (breakglass("schedule_ahead = \"91d\""), "breakglass.schedule_ahead: longer than 90d", "90d"),
        (breakglass("min_reason = 0"), "breakglass.min_reason: out of range", "from 1 to 500"),
        (breakglass("min_reason = 501"), "breakglass.min_reason: out of range", ""),
        (breakglass("max_open_per_person = 0"), "breakglass.max_open_per_person: out of range", "from 1"),
        (
            breakglass("max_open_per_grant = \"5\""),
            "breakglass.max_open_per_grant: expected a whole number",
            "",
        ),
        (
            breakglass("request_tll = \"1h\""),
            "breakglass.request_tll: unknown key",
            "did you mean `request_ttl`?",
        ),
        (breakglass("max_step_back = \"1s\""), "unknown key", "`max_step_back` belongs in [clock]"),
    ]);
    let usual = settings(GOOD).breakglass;
    assert_eq!((usual.rules.request_ttl, usual.rules.min_reason), (Duration::from_hours(1), 10));
    let lines = "request_ttl = \"2h\"\nmin_reason = 20\nschedule_ahead = \"1d\"";
    let read = settings(&breakglass(&format!("{lines}\nmax_open_per_person = 2\nmax_open_per_grant = 3")))
        .breakglass;
    assert_eq!((read.rules.request_ttl, read.rules.min_reason), (Duration::from_hours(2), 20));
    assert_eq!((read.open_per_person, read.open_per_grant), (2, 3));
    assert_eq!(read.rules.horizon, Duration::from_hours(24));
}

#[test]
fn a_pattern_for_tickets_is_one_and_asks_for_something() {
    let pattern = |text: &str| breakglass(&format!("ticket_pattern = '{text}'"));
    let example = "[A-Z]+-[0-9]+";
    refuses(&[
        (pattern("[A-Z"), "breakglass.ticket_pattern: no regular expression: unclosed character", example),
        (pattern("OPS-\\y"), "no regular expression: unrecognized escape sequence", example),
        (pattern(".*"), "also fits an empty ticket", example),
        (pattern(""), "also fits an empty ticket", example),
        (breakglass("ticket_pattern = 5"), "breakglass.ticket_pattern: expected a string", ""),
    ]);
    let read = settings(&pattern("OPS-[0-9]+|INC-[0-9]+")).breakglass.rules.ticket.unwrap();
    assert!(read.matches("OPS-17") && read.matches("INC-1"));
    for bad in ["", "OPS-", "OPS-17 and more", "xINC-1", "OPS-1\n"] {
        assert!(!read.matches(bad), "{bad:?}");
    }
}

#[test]
fn a_clock_may_step_back_a_little() {
    let clock = |step: &str| format!("{GOOD}\n[clock]\nmax_step_back = {step}");
    refuses(&[
        (clock("30"), "clock.max_step_back: a bare number", ""),
        (clock("\"401d\""), "clock.max_step_back: `401d` is no duration", ""),
        (clock("\"0s\""), "is no duration", ""),
    ]);
    assert_eq!(settings(GOOD).clock.max_step_back, Duration::from_secs(30));
    assert_eq!(settings(&clock("\"1m\"")).clock.max_step_back, Duration::from_mins(1));
}

#[test]
fn sessions_are_ended_only_when_the_operator_says_so() {
    let aws = |lines: &str| with("region =", &format!("{lines}\nregion ="));
    refuses(&[
        (aws("end_sessions = \"yes\"\n"), "aws.end_sessions: expected true or false", ""),
        (
            aws("iam_endpoint = \"https://iam.example\""),
            "aws.iam_endpoint: IAM is called only",
            "end_sessions = true",
        ),
        (
            aws("end_sessions = true\niam_endpoint = \"http://iam.example\""),
            "aws.iam_endpoint: `http://iam.example` is plain http",
            "https",
        ),
    ]);
    assert!(!settings(GOOD).aws.unwrap().end_sessions);
    let read = settings(&aws("end_sessions = true\niam_endpoint = \"http://127.0.0.1:5000\"")).aws.unwrap();
    assert!(read.end_sessions && read.iam_endpoint.unwrap().port() == Some(5000));
}

#[test]
fn notifications_are_signed() {
    refuses(&[
        (notify("secret_file = \"hook.secret\""), "notify[0].url: missing", ""),
        (notify("url = \"https://hooks.example\""), "notify[0].secret_file: missing", "openssl rand"),
        (
            notify("url = \"http://hooks.example\"\nsecret_file = \"hook.secret\""),
            "notify[0].url: not a URL",
            "https",
        ),
        (notify("url = \"https://h.example\"\nsecret = \"short\""), "notify[0].secret: shorter than 32", ""),
        (
            notify("url = \"https://h.example\"\nsecret_file = \"short.secret\""),
            "notify[0].secret_file: shorter than 32 characters",
            "openssl rand",
        ),
        (
            notify("url = \"https://h.example\"\nsecret_file = \"hook.secret\"\nformat = \"teams\""),
            "notify[0].format: unknown format `teams`",
            "one of: json, slack",
        ),
        (
            notify("url = \"https://h.example\"\nsecret_file = \"hook.secret\"\nca_file = \"no.pem\""),
            "notify[0].ca_file",
            "folder of the configuration file",
        ),
    ]);
    let kept = settings(&notify(
        "url = \"https://h.example\"\nsecret_file = \"hook.secret\"\nformat = \"slack\"\nca_file = \"ca.crt\"",
    ));
    let [hook] = kept.notify.as_slice() else { panic!("one receiver") };
    assert_eq!(hook.secret.expose(), "a secret of thirty-two characters", "without its line end");
    assert_eq!((hook.format, hook.ca_file.is_some()), (Format::Slack, true));
}

fn hook(url: &str) -> String {
    format!("[[notify]]\nurl = \"{url}\"\nsecret_file = \"hook.secret\"\n")
}

#[test]
fn two_receivers_never_share_a_url() {
    let two = |one: &str, other: &str| format!("{GOOD}\n{}{}", hook(one), hook(other));
    refuses(&[
        (
            two("https://h.example/a", "https://h.example/a"),
            "notify[1].url: two receivers have this URL",
            "keep one",
        ),
        (two("https://h.example", "https://H.example:443/"), "notify[1].url: two receivers", ""),
    ]);
    settings(&two("https://h.example/a", "https://h.example/b"));
}

#[test]
fn whoever_reads_a_fault_cannot_write_into_the_chat() {
    let chat = hook("https://hooks.example/T0KEN");
    for text in [
        notify("url = \"ftp://hooks.example/T0KEN\"\nsecret_file = \"hook.secret\""),
        notify("url = \"https://me:T0KEN@hooks.example\"\nsecret_file = \"hook.secret\""),
        notify("url = \"https://hooks.example/T0KEN\nsecret_file = \"hook.secret\""),
        notify("url = \"https://hooks.example/T0KEN\"\nsecret = \"T0KEN\""),
        format!("{GOOD}\n{chat}{chat}"),
    ] {
        let faults = read(&text).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains("T0KEN"), "{faults:?}");
    }
    let good = settings(&format!("{GOOD}\n{chat}"));
    assert!(!format!("{good:?}").contains("T0KEN"));
}
