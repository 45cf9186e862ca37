//! What may reach a terminal: other people's words made harmless, and columns that line up.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: &str = "  ";

/// Others' words on one line: whatever could drive the terminal, or make a text look like another one, is shown as its
/// code point.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            misleading if misleads(misleading) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(misleading));
            }
            plain => shown.push(plain),
        }
    }
    shown
}

/// The same, cut to `most` columns.
pub(super) fn cut(text: &str, most: usize) -> String {
    let text = escaped(text);
    if text.width() <= most {
        return text;
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if kept.width() >= most {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

/// Control characters move the cursor and colour the screen; characters without a width or with a direction of their own
/// reorder or hide what stands beside them ("Trojan Source").
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Rows under headings. What is put in is escaped here, so that no caller can forget it.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// One more row.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.into_iter().map(shown_cell).collect());
    }

    /// Has it no row?
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// The whole table, a line for a row.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect::<Vec<_>>().join("\n")
    }
}

/// An empty cell would look as if the row were shorter.
fn shown_cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text) }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width())));
        line.push_str(GAP);
    }
    line.trim_end().to_owned()
}

/// `name  value` lines for one thing, the values below one another.
#[derive(Debug)]
pub(super) struct Facts {
    lines: Vec<(&'static str, String)>,
}

impl Facts {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// One fact. An empty name continues the one above.
    pub(super) fn fact(&mut self, name: &'static str, value: &str) {
        self.lines.push((name, escaped(value)));
    }

    /// One fact, when there is one.
    pub(super) fn maybe(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// All lines.
    pub(super) fn render(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = self
            .lines
            .iter()
            .map(|(name, value)| format!("{name:<width$}{GAP}{value}").trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reason_cannot_drive_the_terminal_or_pass_for_another_line() {
        let attack = "\u{1b}[2J\u{1b}]0;owned\u{7}ok\r\nelv-1  active\u{9b}31m\u{8}\u{7f}";
        assert_eq!(
            escaped(attack),
            r"\u{1b}[2J\u{1b}]0;owned\u{7}ok\u{d}\nelv-1  active\u{9b}31m\u{8}\u{7f}"
        );
    }

    #[test]
    fn text_cannot_be_turned_round_or_hidden() {
        assert_eq!(
            escaped("give \u{202e}nimda\u{202c} to a\u{200b}nn"),
            r"give \u{202e}nimda\u{202c} to a\u{200b}nn"
        );
        for hidden in ['\u{61c}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{2028}', '\u{e0041}', '\u{ad}'] {
            assert!(!escaped(&hidden.to_string()).contains(hidden), "{hidden:?}");
        }
        assert_eq!(escaped("<b>Zoë</b> 山田 `x` & é"), "<b>Zoë</b> 山田 `x` & é");
    }

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table = Table::new(&["ID", "WHO", "REASON"]);
        table.row(["elv-1", "山田", "disk \u{1b}[31mfull"]);
        table.row(["elv-22", "", "x"]);
        assert_eq!(
            table.render(),
            "ID      WHO   REASON\nelv-1   山田  disk \\u{1b}[31mfull\nelv-22  -     x"
        );
    }

    #[test]
    fn a_long_cell_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(cut("disk is full", 12), "disk is full");
        assert_eq!(cut("disk is full!", 12), "disk is ful…");
        assert_eq!(cut("山田太郎", 5), "山田…");
        assert_eq!(cut("ab\u{1b}", 5), "ab\\u…");
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_holds_a_control_character(text in "(\\PC|\\pC){0,40}") {
            prop_assert!(!escaped(&text).chars().any(misleads));
            prop_assert!(cut(&text, 10).width() <= 10);
        }
    }
}
