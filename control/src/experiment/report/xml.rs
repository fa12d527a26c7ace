//! Text within XML and HTML.

use std::borrow::Cow;

/// Text with the characters that XML 1.0 does not allow (section 2.2) replaced by U+FFFD: there is no way to write them.
pub(super) fn allowed(text: &str) -> Cow<'_, str> {
    let is_allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(is_allowed) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()
}

/// Text for an element or an attribute in quotes.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(allowed(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_replaced() {
        assert_eq!(
            allowed("a\u{0}b\u{1b}[31m\u{fffe}\r\n\t\u{1F600}"),
            "a\u{fffd}b\u{fffd}[31m\u{fffd}\r\n\t\u{1F600}"
        );
        assert_eq!(escaped("<a href=\"x\">'&'"), "&lt;a href=&quot;x&quot;&gt;&apos;&amp;&apos;");
    }
}
