//! Others' words on the page. Policies and teams are their authors' text, and one of the authors is a vendor: nothing in it may
//! end a cell, begin a tag, a link or a picture, or look like a text that it is not.

use crate::cli::terminal::escaped;

/// On one line, with nothing in it that is not seen.
fn tame(text: &str) -> String {
    escaped(&text.replace(['\n', '\r', '\t'], " "))
}

/// As words: every mark means itself.
pub(super) fn words(text: &str) -> String {
    let mut shown = String::new();
    for character in tame(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => shown.extend(['\\', character]),
            plain => shown.push(plain),
        }
    }
    shown
}

/// As code in a table: its fence is longer than every run of backticks within, and no bar ends the cell.
pub(super) fn code(text: &str) -> String {
    let text = tame(text);
    let (mut shown, mut backslashes, mut backticks, mut longest) = (String::new(), 0, 0, 0);
    for character in text.chars() {
        if character == '|' {
            // A backslash before ours would be escaped by it, and leave the bar bare.
            shown.push_str(if backslashes % 2 == 0 { "\\" } else { "\\\\" });
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        backticks = if character == '`' { backticks + 1 } else { 0 };
        longest = longest.max(backticks);
        shown.push(character);
    }
    let fence = "`".repeat(longest + 1);
    // One space on either side is taken off again; nothing between two fences would be no code.
    let edge = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() { " " } else { "" };
    format!("{fence}{edge}{shown}{edge}{fence}")
}

/// Whom a scope means: words, and behind them perhaps an id between backticks.
pub(super) fn whom(who: &str) -> String {
    match who.split_once('`').and_then(|(before, id)| Some((before, id.strip_suffix('`')?))) {
        Some((before, id)) => format!("{}{}", words(before), code(id)),
        None => words(who),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_no_markup_and_end_no_cell() {
        assert_eq!(words("a|b\nc\u{202e}d"), "a\\|b c\\\\u{202e}d");
        let shown = "!\\[x\\](https://e/?a&amp;b) &lt;img&gt; \\*b\\* \\_i\\_ \\`c\\` \\\\\\|";
        assert_eq!(words("![x](https://e/?a&b) <img> *b* _i_ `c` \\|"), shown);
    }

    #[test]
    fn code_ends_where_it_is_meant_to() {
        for (text, shown) in [
            ("a", "`a`"),
            ("a`b", "``a`b``"),
            ("a``b` ", "```a``b` ```"),
            ("`", "`` ` ``"),
            ("``|<b>", "``` ``\\|<b> ```"),
            ("a|b", "`a\\|b`"),
            ("a\\|b", "`a\\\\\\|b`"),
            ("a\\\\|b", "`a\\\\\\|b`"),
            ("a\nb", "`a b`"),
            (" ", "`   `"),
        ] {
            assert_eq!(code(text), shown, "{text:?}");
        }
    }

    #[test]
    fn an_id_is_code_whatever_it_holds() {
        assert_eq!(whom("people in group `staff/a`"), "people in group `staff/a`");
        assert_eq!(whom("whoever is in group `a`|`b`"), "whoever is in group ``a`\\|`b``");
        assert_eq!(whom("anybody"), "anybody");
    }
}
