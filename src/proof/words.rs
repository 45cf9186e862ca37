//! Cedar's extension values, as its JSON has them, read back into ours.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::formula::Doubt;
use crate::clock::Moment;

/// A function of an extension and its arguments.
fn call(value: &Value) -> Option<(&str, &[Value])> {
    let call = value.get("__extn")?;
    let arguments = match call.get("args") {
        Some(list) => list.as_array()?.as_slice(),
        None => std::slice::from_ref(call.get("arg")?),
    };
    Some((call.get("fn")?.as_str()?, arguments))
}

fn unread(value: &Value) -> Doubt {
    Doubt(format!("the example has a value that cannot be read: `{value}`"))
}

fn millis(value: &Value) -> Option<i64> {
    match call(value)? {
        ("duration", [Value::String(text)]) => text.strip_suffix("ms")?.parse().ok(),
        ("datetime", [Value::String(text)]) => {
            let at = format!("{text}T00:00:00Z");
            at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
        }
        ("offset", [start, span]) => millis(start)?.checked_add(millis(span)?),
        _ => None,
    }
}

/// `duration`
pub(super) fn duration(value: &Value) -> Result<Duration, Doubt> {
    let millis = millis(value).and_then(|millis| u64::try_from(millis).ok());
    millis.map(Duration::from_millis).ok_or_else(|| unread(value))
}

/// `datetime`, which the solver writes as so many milliseconds after 1970.
pub(super) fn moment(value: &Value) -> Result<Moment, Doubt> {
    millis(value).map(Moment::from_unix_millis).ok_or_else(|| unread(value))
}

/// `ip`: the first address, when it is a network.
pub(super) fn address(value: &Value) -> Result<IpAddr, Doubt> {
    let text = match call(value) {
        Some(("ip", [Value::String(text)])) => text.split('/').next(),
        _ => None,
    };
    text.and_then(|text| text.parse().ok()).ok_or_else(|| unread(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_the_solver_writes_them() {
        let span = json!({"__extn": {"fn": "duration", "arg": "901000ms"}});
        let epoch = json!({"__extn": {"fn": "datetime", "arg": "1970-01-01"}});
        let later = json!({"__extn": {"fn": "offset", "args": [epoch, span]}});
        let network = json!({"__extn": {"fn": "ip", "arg": "10.255.0.0/16"}});
        assert_eq!(duration(&span).unwrap(), Duration::from_secs(901));
        assert_eq!(moment(&later).unwrap(), Moment::from_unix_millis(901_000));
        assert_eq!(address(&network).unwrap(), IpAddr::from([10, 255, 0, 0]));
    }

    #[test]
    fn what_no_broker_has_is_refused() {
        let value = |text: &str| json!({"__extn": {"fn": "duration", "arg": text}});
        for text in ["-1ms", "1h", "9999999999999999999999ms"] {
            assert!(duration(&value(text)).is_err(), "{text}");
        }
        assert!(moment(&json!("1970-01-01")).is_err());
        assert!(address(&value("1ms")).is_err());
    }
}
