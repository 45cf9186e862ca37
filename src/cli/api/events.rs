//! Server-sent events (WHATWG HTML §9.2): reading them, and going on after the last one when the connection breaks.

use std::time::Duration;

use anyhow::bail;
use reqwest::Response;

use super::{Api, Patience, Refusal};

/// An elevation with a long history is some ten kilobytes.
const LONGEST_EVENT: usize = 1024 * 1024;
/// A stream that does not even send a comment for so long is a dead connection.
const SILENCE: Duration = Duration::from_secs(90);

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Event {
    /// The last id that the stream named: where to go on after it.
    pub(in crate::cli) id: String,
    /// Its type.
    pub(in crate::cli) kind: String,
    /// Its data, lines joined.
    pub(in crate::cli) data: String,
}

/// Bytes in, events out.
#[derive(Debug, Default)]
struct EventReader {
    /// What has no line end yet.
    rest: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it ends no second line.
    after_return: bool,
    /// The event whose empty line has not come.
    kind: String,
    data: Option<String>,
    id: String,
    /// The id as of the last empty line. One that came with half an event would make us skip that event.
    last: String,
    /// How long the server wants us to wait before we come back.
    retry: Option<Duration>,
}

impl EventReader {
    /// Takes what came and gives the events that are complete by it.
    fn push(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_of_pair = std::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n';
            if second_of_pair {
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                let line = std::mem::take(&mut self.rest);
                events.extend(self.line(&String::from_utf8_lossy(&line)));
            } else {
                self.rest.push(byte);
            }
            if self.rest.len() + self.data.as_ref().map_or(0, String::len) > LONGEST_EVENT {
                bail!("an event is longer than {LONGEST_EVENT} bytes");
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            self.last.clone_from(&self.id);
            let (kind, data) = (std::mem::take(&mut self.kind), self.data.take()?);
            return Some(Event { id: self.id.clone(), kind, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            // A comment, or a field of tomorrow.
            _ => {}
        }
        None
    }
}

/// The event stream, across connections.
#[derive(Debug)]
pub(in crate::cli) struct Events<'a> {
    api: &'a Api,
    patience: Patience,
    connection: Option<(Response, EventReader)>,
    /// Goes with the next connection.
    last: Option<String>,
    failures: u32,
    waiting: std::collections::VecDeque<Event>,
}

impl<'a> Events<'a> {
    /// For a watch, which may last for days.
    const PATIENCE: Patience = Patience {
        tries: u32::MAX,
        first_wait: Duration::from_millis(500),
        longest_wait: Duration::from_secs(30),
    };

    /// From after the event `last`, or from now on.
    pub(in crate::cli) const fn new(api: &'a Api, last: Option<String>) -> Self {
        let waiting = std::collections::VecDeque::new();
        Self { api, patience: Self::PATIENCE, connection: None, last, failures: 0, waiting }
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Connects now, so that a refusal is heard at once.
    pub(in crate::cli) async fn connect(&mut self) -> anyhow::Result<()> {
        self.connection = Some((self.api.events(self.last.as_deref()).await?, EventReader::default()));
        Ok(())
    }

    /// The next event. Comes back by itself when the connection breaks, and tells `away` why and for how long it waits;
    /// ends only when the broker refuses.
    pub(in crate::cli) async fn next(
        &mut self,
        mut away: impl FnMut(&anyhow::Error, Duration),
    ) -> anyhow::Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            let Err(why) = self.receive().await else { continue };
            if why.is::<Refusal>() {
                return Err(why);
            }
            let asked = self.connection.take().and_then(|(_, reader)| reader.retry);
            self.failures = self.failures.saturating_add(1);
            let wait = self
                .patience
                .wait(self.failures)
                .max(asked.unwrap_or_default())
                .min(self.patience.longest_wait);
            away(&why, wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// What comes next on the connection, which is made when there is none.
    async fn receive(&mut self) -> anyhow::Result<()> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        let Some((response, reader)) = &mut self.connection else { return Ok(()) };
        let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
        let Ok(chunk) = chunk else { bail!("the event stream fell silent") };
        let Some(chunk) = chunk.map_err(reqwest::Error::without_url)? else {
            bail!("the event stream ended")
        };
        let events = reader.push(&chunk)?;
        if !reader.last.is_empty() {
            self.last = Some(reader.last.clone());
        }
        if !events.is_empty() {
            self.failures = 0;
        }
        self.waiting.extend(events);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String, String)> {
        let mut reader = EventReader::default();
        let events = chunks.iter().flat_map(|chunk| reader.push(chunk).unwrap());
        events.map(|event| (event.id, event.kind, event.data)).collect()
    }

    fn event(id: &str, kind: &str, data: &str) -> (String, String, String) {
        (id.to_owned(), kind.to_owned(), data.to_owned())
    }

    #[test]
    fn an_event_without_its_empty_line_is_none() {
        assert_eq!(read(&[b"id: 7\nevent: x\ndata: {}\n"]), []);
        assert_eq!(read(&[b"event: x\n\nid: 7\n\n: comment\n\n"]), []);
    }

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text = "id: 7\r\nevent: elevation.approved\r\ndata: {\"a\":\r\ndata: \"山\"}\r\n\r\ndata:x\rdata\r\r:hi\n\nid:8\ndata:  y\n\n";
        let whole = read(&[text.as_bytes()]);
        let expected = [
            event("7", "elevation.approved", "{\"a\":\n\"山\"}"),
            event("7", "", "x\n"),
            event("8", "", " y"),
        ];
        assert_eq!(whole, expected);
        for cut in 0..text.len() {
            let (one, two) = text.as_bytes().split_at(cut);
            assert_eq!(read(&[one, two]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn the_id_of_half_an_event_is_not_where_to_go_on() {
        let mut reader = EventReader::default();
        reader.push(b"id: 6\n: hello\n\nid: 7\ndata: {").unwrap();
        assert_eq!(reader.last, "6");
        reader.push(b"}\n\n").unwrap();
        assert_eq!(reader.last, "7");
    }

    #[test]
    fn a_stream_without_an_end_is_refused_and_not_kept() {
        let mut reader = EventReader::default();
        assert!(reader.push(&vec![b'x'; LONGEST_EVENT + 1]).is_err());
        let mut reader = EventReader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 1000], b"\n"].concat();
        assert!((0..2_000).any(|_| reader.push(&line).is_err()));
    }
}
