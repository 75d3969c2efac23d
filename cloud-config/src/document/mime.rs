//! MIME multipart documents, as cloud tools make them to join several parts.

use base64::Engine;

use super::{Kind, MAX_BYTES, Origin, Part, ReadError, add, gzip, sniff};

/// Most headers a part may have.
const MAX_HEADERS: usize = 64;

/// Headers of a document or part, and where the body begins.
struct Headers<'t> {
    fields: Vec<(String, String)>,
    body: &'t str,
    /// Lines before the body.
    lines: usize,
}

/// Whether `text` begins with headers that announce a multipart body.
pub(super) fn is_multipart(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("From ")).unwrap_or_default().to_ascii_lowercase();
    let begins = first.starts_with("content-type:") || first.starts_with("mime-version:");
    begins && headers(text).is_some_and(|headers| headers.content_type().starts_with("multipart/"))
}

/// Splits a multipart text and looks at each part.
pub(super) fn split(origin: &Origin, text: &str, depth: usize, parts: &mut Vec<Part>) -> Result<(), ReadError> {
    let broken = |line: usize, what| ReadError::Undecodable { file: origin.file.clone(), line: origin.first_line + line, what };
    let headers = headers(text).ok_or_else(|| broken(0, "a MIME document with headers and a blank line after them"))?;
    let boundary = headers.parameter("content-type", "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or_else(|| broken(0, "a MIME document with a boundary"))?;
    let delimiter = format!("--{boundary}");
    let mut current: Option<(usize, usize)> = None;
    let mut at = text.len() - headers.body.len();
    let mut number = 0;
    for (index, line) in headers.body.split_inclusive('\n').enumerate() {
        let line_number = headers.lines + index;
        let rest = line.trim_end().strip_prefix(&delimiter);
        if let Some(rest @ ("" | "--")) = rest {
            if let Some((start, first_line)) = current.take() {
                number += 1;
                let body = &text[start..at];
                let inner = Origin { first_line: origin.first_line + first_line, ..origin.clone() };
                part(&inner, strip_line_end(body), number, depth, parts)?;
            }
            if rest == "--" {
                return Ok(());
            }
            current = Some((at + line.len(), line_number + 1));
        }
        at += line.len();
    }
    Err(broken(text.lines().count().saturating_sub(1), "a whole MIME document: its closing boundary is missing"))
}

/// The line end before a boundary belongs to the boundary.
fn strip_line_end(body: &str) -> &str {
    let body = body.strip_suffix('\n').unwrap_or(body);
    body.strip_suffix('\r').unwrap_or(body)
}

fn part(origin: &Origin, text: &str, number: usize, depth: usize, parts: &mut Vec<Part>) -> Result<(), ReadError> {
    let broken = |what| ReadError::Undecodable { file: origin.file.clone(), line: origin.first_line, what };
    // A part that begins with a blank line has no headers; that is allowed.
    let headers = headers(text).ok_or_else(|| broken("a MIME part with a blank line after its headers"))?;
    let content_type = headers.content_type();
    if content_type.starts_with("multipart/") {
        if depth >= super::MAX_NESTING {
            return Err(ReadError::TooLarge { file: origin.file.clone(), what: "wrappings in each other", limit: super::MAX_NESTING });
        }
        return split(origin, text, depth + 1, parts);
    }
    let name = headers
        .parameter("content-disposition", "filename")
        .map_or_else(|| format!("part {number}"), |name| format!("part {number}, {name}"));
    let (origin, body) = match headers.field("content-transfer-encoding").unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "7bit" | "8bit" | "binary" => {
            let first_line = origin.first_line + headers.lines;
            (Origin { first_line, ..origin.clone() }, headers.body.as_bytes().to_vec())
        }
        "base64" => {
            let text: String = headers.body.split_ascii_whitespace().collect();
            let body = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| broken("base64"))?;
            (origin.decoded(&name), body)
        }
        "quoted-printable" => (origin.decoded(&name), unquote(headers.body).ok_or_else(|| broken("quoted-printable text"))?),
        _ => return Err(broken("in a transfer encoding that is known (7bit, 8bit, base64, quoted-printable)")),
    };
    if body.len() > MAX_BYTES {
        return Err(ReadError::TooLarge { file: origin.file, what: "bytes", limit: MAX_BYTES });
    }
    typed(&origin, &content_type, &body, depth, parts)
}

/// A part by its type: what it names wins over how the bytes begin.
fn typed(origin: &Origin, content_type: &str, body: &[u8], depth: usize, parts: &mut Vec<Part>) -> Result<(), ReadError> {
    let kind = match content_type {
        "text/cloud-config" => Kind::CloudConfig,
        "text/x-shellscript" => Kind::Script,
        "" | "text/plain" | "application/octet-stream" => return sniff(origin, body, depth + 1, parts),
        _ if gzip::is_gzip(body) => return sniff(origin, body, depth + 1, parts),
        other => match std::str::from_utf8(body).ok().and_then(|text| super::kind_of(text).map(|_| ())) {
            Some(()) => return sniff(origin, body, depth + 1, parts),
            None => return add(parts, Part::new(origin, Kind::Foreign(format!("a reader of `{other}`")), String::new())),
        },
    };
    if gzip::is_gzip(body) {
        return sniff(origin, body, depth + 1, parts);
    }
    add(parts, Part::new(origin, kind, super::utf8(origin, body)?.to_owned()))
}

/// Reads header fields up to the blank line; continuation lines are joined.
fn headers(text: &str) -> Option<Headers<'_>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        at += line.len();
        let line = line.trim_end();
        if line.is_empty() {
            return Some(Headers { fields, body: &text[at..], lines: index + 1 });
        }
        if fields.len() >= MAX_HEADERS {
            return None;
        }
        if line.starts_with([' ', '\t']) {
            fields.last_mut()?.1.push_str(line);
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        } else if !line.starts_with("From ") {
            return None;
        }
    }
    None
}

impl Headers<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn content_type(&self) -> String {
        self.field("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// A parameter of a field, without its quotes.
    fn parameter(&self, field: &str, name: &str) -> Option<String> {
        let parameters = self.field(field)?.split(';').skip(1);
        let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
        let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim().trim_matches('"').to_owned())
    }
}

/// Undoes quoted-printable: `=XX` for bytes, `=` at the end of a line joins it with the next.
fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let line_end = &line[content.len()..];
        let content = content.trim_end_matches([' ', '\t']);
        let (content, soft) = content.strip_suffix('=').map_or((content, false), |content| (content, true));
        let mut rest = content.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            if byte != b'=' {
                bytes.push(byte);
                rest = after;
                continue;
            }
            let digits = after.get(..2)?;
            bytes.push(hex::decode(digits).ok()?.first().copied()?);
            rest = &after[2..];
        }
        if !soft {
            bytes.extend_from_slice(line_end.as_bytes());
        }
    }
    Some(bytes)
}
