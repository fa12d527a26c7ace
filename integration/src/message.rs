//! HTTP/1 answers, read from bytes without any help of hyper: what is on the wire is what a test sees.

use std::io::{self, BufRead, Read};

/// Names in lower case and values, in order.
pub type Fields = Vec<(String, String)>;

/// One HTTP/1 answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The whole status line.
    pub line: String,
    /// The status code.
    pub status: u16,
    /// Names in lower case, values as they came, in order.
    pub headers: Fields,
    /// Without framing.
    pub body: Vec<u8>,
    /// After the last chunk.
    pub trailers: Fields,
    /// Whether the body ended as its framing announced.
    pub complete: bool,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of a header.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The first value of a trailer.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text; other bytes become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON, with the whole answer.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.line, self.text()))
    }
}

/// Reads a head: start line and headers. `None` when the stream ends before its first byte.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Fields)>> {
    let Some(line) = read_line(reader)? else { return Ok(None) };
    Ok(Some((line, read_fields(reader)?)))
}

/// Reads one answer to a request of this method, past interim (1xx) answers but 101.
///
/// Errors: `UnexpectedEof` when the stream ends within the head. A body that is cut short is no error but leaves
/// [`Answer::complete`] false when the stream ended; errors of the stream within a body are returned.
pub fn read_answer(reader: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    loop {
        let (line, headers) = read_head(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad(&line))?;
        let mut answer = Answer { line, status, headers, ..Answer::default() };
        if status == 101 {
            answer.complete = true;
            return Ok(answer);
        }
        if status / 100 == 1 {
            continue;
        }
        let is_tunnel = method == "CONNECT" && status == 200;
        if method == "HEAD" || is_tunnel || status == 204 || status == 304 {
            answer.complete = true;
        } else {
            read_body(reader, &mut answer)?;
        }
        return Ok(answer);
    }
}

fn read_body(reader: &mut impl BufRead, answer: &mut Answer) -> io::Result<()> {
    if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return read_chunked(reader, answer);
    }
    match answer.header("content-length").map(str::to_owned) {
        Some(length) => {
            let length = length.parse::<u64>().map_err(|_| bad(&length))?;
            reader.take(length).read_to_end(&mut answer.body)?;
            answer.complete = answer.body.len() as u64 == length;
        }
        None => {
            reader.read_to_end(&mut answer.body)?;
            answer.complete = true;
        }
    }
    Ok(())
}

/// Reads a chunked body and its trailers.
pub fn read_chunked(reader: &mut impl BufRead, answer: &mut Answer) -> io::Result<()> {
    loop {
        let Some(line) = read_line(reader)? else { return Ok(()) };
        let size = u64::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16).map_err(|_| bad(&line))?;
        if size == 0 {
            answer.trailers = read_fields(reader)?;
            answer.complete = true;
            return Ok(());
        }
        let before = answer.body.len() as u64;
        reader.take(size).read_to_end(&mut answer.body)?;
        if answer.body.len() as u64 != before + size {
            return Ok(());
        }
        read_line(reader)?;
    }
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad(&line))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A line without its CRLF; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

fn bad(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1: {line:?}"))
}
