//! Just enough XML to answer as STS does: elements in elements, text in the innermost, nothing that a text could break.

/// A document that is being written.
pub(super) struct Xml(String);

impl Xml {
    /// A document whose one element is `name`, in STS's namespace.
    pub(super) fn document(name: &str, inside: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(format!("<{name} xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));
        inside(&mut xml);
        xml.close(name);
        xml.0
    }

    /// An element with others inside.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.open(name);
        inside(self);
        self.close(name);
    }

    /// An element with text inside.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| text.chars().for_each(|c| xml.push(c)));
    }

    /// The same, when there is a text.
    pub(super) fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn open(&mut self, name: &str) {
        self.0.extend(["<", name, ">"]);
    }

    fn close(&mut self, name: &str) {
        self.0.extend(["</", name, ">"]);
    }

    fn push(&mut self, c: char) {
        match c {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&apos;"),
            c if is_plain(c) => self.0.push(c),
            _ => self.0.push('\u{FFFD}'),
        }
    }
}

/// XML 1.0 has no way to write the others. Of the white space only the space: parsers change what they read of the rest.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_makes_the_document_unreadable() {
        let hostile = "a</Arn><b attr='1' x=\"2\"> &amp; ]]>\u{0}\u{1b}\r\n\u{FFFE}\u{85}ä";
        let document = Xml::document("R", |xml| {
            xml.element("E", |xml| xml.text("Arn", hostile));
            xml.text_if("None", None);
        });
        let text = "a&lt;/Arn&gt;&lt;b attr=&apos;1&apos; x=&quot;2&quot;&gt; &amp;amp; ]]&gt;";
        let lost = "\u{FFFD}".repeat(6);
        let namespace = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
        assert_eq!(document, format!("<R {namespace}><E><Arn>{text}{lost}ä</Arn></E></R>"));
    }
}
