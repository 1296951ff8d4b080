//! Builds the message of a test from header fields and contents.

use super::named;
use crate::config::problem::Problems;
use crate::config::reader;
use crate::config::yaml::{Node, Value};
use crate::message::is_field_name;

/// Builds the message. `body`, `html` and `attachments` are the contents, all other keys are fields. A list repeats a
/// field.
pub(super) fn build(node: &Node, problems: &mut Problems) -> Option<Vec<u8>> {
    let mut head = String::new();
    let (mut body, mut html, mut attachments) = (None, None, Vec::new());
    for (key, value) in named(node, "a message: header fields with values (a mapping)", problems) {
        match key.text.as_str() {
            "body" => body = Some(value.as_text().unwrap_or_default()),
            "html" => html = Some(value.as_text().unwrap_or_default()),
            "attachments" => {
                attachments = reader::texts(value, "a file name, or a list of file names", problems)?;
            }
            name if is_field_name(name) => {
                for value in values(value) {
                    head.push_str(&format!("{name}: {}\n", value.replace(['\r', '\n'], " ")));
                }
            }
            name => {
                problems.error(key.span, format!("`{}` is no header field name", crate::clean::short(name, 60)));
            }
        }
    }
    Some(with_contents(head, body, html, &attachments).into_bytes())
}

fn values(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::Seq(items) => items.iter().filter_map(Node::as_text).collect(),
        _ => vec![node.as_text().unwrap_or_default()],
    }
}

fn with_contents(head: String, body: Option<&str>, html: Option<&str>, attachments: &[String]) -> String {
    let text = |kind: &str, text: &str| format!("Content-Type: text/{kind}; charset=utf-8\n\n{text}\n");
    let has_type = head.to_lowercase().lines().any(|line| line.starts_with("content-type:"));
    if has_type || (html.is_none() && attachments.is_empty()) {
        return match has_type {
            true => format!("{head}\n{}\n", body.unwrap_or_default()),
            false => format!("{head}{}", text("plain", body.unwrap_or_default())),
        };
    }
    let mut parts = Vec::new();
    if html.is_none() || body.is_some() {
        parts.push(text("plain", body.unwrap_or_default()));
    }
    parts.extend(html.map(|html| text("html", html)));
    for name in attachments {
        let kind = kind_of(name);
        parts.push(format!("Content-Type: {kind}\nContent-Disposition: attachment; filename=\"{name}\"\n\nx\n"));
    }
    let parts: String = parts.iter().map(|part| format!("--part\n{part}")).collect();
    format!("{head}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=part\n\n{parts}--part--\n")
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next().map(str::to_lowercase).as_deref() {
        Some("pdf") => "application/pdf",
        Some("ics") => "text/calendar",
        Some("zip") => "application/zip",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}
