//! The labels of the pod, as the downward API writes them into a file: lines `key="value"`, the value as Go quotes it
//! (`strconv.Quote`).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::str::Chars;

/// All the metadata of an object of Kubernetes is shorter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The labels in a file; none without one. Blocks.
///
/// # Errors
/// It cannot be read, or is not such a file: whom orders are for must not be told from a part of the labels.
pub(super) fn read(file: Option<&Path>) -> Result<BTreeMap<String, String>, String> {
    let Some(file) = file else { return Ok(BTreeMap::new()) };
    let fail = |why: String| format!("{}: {why}", file.display());
    // Asked before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(file).map_err(|error| fail(error.to_string()))?.is_file() {
        return Err(fail("is not a file".to_owned()));
    }
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| fail(error.to_string()))?;
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    parse(&text).map_err(fail)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let label = line.split_once('=').and_then(|(key, value)| Some((key, unquoted(value)?)));
        let (key, value) = label
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("line {} is not key=\"value\"", number + 1))?;
        labels.insert(key.to_owned(), value);
    }
    Ok(labels)
}

/// What Go quoted; `None` for what it did not.
fn unquoted(text: &str) -> Option<String> {
    let mut inside = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let (mut bytes, mut place) = (Vec::new(), [0; 4]);
    while let Some(character) = inside.next() {
        match character {
            '"' => return None,
            '\\' => escaped(&mut inside, &mut bytes)?,
            other => bytes.extend_from_slice(other.encode_utf8(&mut place).as_bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What stands behind a backslash. `\x` gives a byte, which need not be a character on its own.
fn escaped(inside: &mut Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let character = match inside.next()? {
        'x' => {
            bytes.push(u8::try_from(number(inside, 2)?).ok()?);
            return Some(());
        }
        'u' => char::from_u32(number(inside, 4)?)?,
        'U' => char::from_u32(number(inside, 8)?)?,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        same @ ('\\' | '"') => same,
        _ => return None,
    };
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

/// So many hexadecimal digits.
fn number(inside: &mut Chars<'_>, digits: usize) -> Option<u32> {
    let text: String = inside.by_ref().take(digits).collect();
    let is_whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| u32::from_str_radix(&text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `strconv.Quote` does it.
    fn quoted(text: &str) -> String {
        let escape = |character: char| match character {
            '"' | '\\' => format!("\\{character}"),
            '\n' => "\\n".to_owned(),
            '\x07' => "\\a".to_owned(),
            other if (other as u32) < 0x20 || other == '\x7f' => format!("\\x{:02x}", other as u32),
            other if other.is_alphanumeric() || other.is_ascii() => other.to_string(),
            other if (other as u32) < 0x10000 => format!("\\u{:04x}", other as u32),
            other => format!("\\U{:08x}", other as u32),
        };
        format!("\"{}\"", text.chars().map(escape).collect::<String>())
    }

    proptest! {
        #[test]
        fn what_go_quotes_is_read(labels in prop::collection::btree_map("[a-z][a-z0-9./_-]{0,20}", "\\PC{0,10}|[ -~\n\x07]{0,10}", 0..6)) {
            let text: String = labels.iter().map(|(key, value)| format!("{key}={}\n", quoted(value))).collect();
            prop_assert_eq!(parse(&text), Ok(labels));
        }

        #[test]
        fn no_text_harms(text in "\\PC{0,40}|[a-z=\"\\\\xuU0-9]{0,20}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn labels_are_read_whole_or_not_at_all() {
        let labels = parse("app=\"service-a\"\nsquall.dev/inject=\"enabled\"\nempty=\"\"\n\n").unwrap();
        let found: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, [("app", "service-a"), ("empty", ""), ("squall.dev/inject", "enabled")]);
        assert_eq!(parse("a=\"\\xc3\\xa9\"").unwrap()["a"], "é", "two bytes are one character");
        for bad in [
            "app",
            "app=a",
            "app=\"a",
            "=\"a\"",
            "app=\"a\"b\"",
            "app=\"\\q\"",
            "app=\"\\x4\"",
            "app=\"\\xff\"",
            "app=\"\\",
        ] {
            assert!(parse(&format!("a=\"b\"\n{bad}\n")).unwrap_err().starts_with("line 2 is not"), "{bad}");
        }
        assert_eq!(read(None), Ok(BTreeMap::new()));
        assert!(read(Some(Path::new("/"))).unwrap_err().ends_with("is not a file"));
        assert!(read(Some(Path::new("/not/there"))).unwrap_err().starts_with("/not/there: "));
    }
}
