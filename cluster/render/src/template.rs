//! Templates in the language of Jinja, with the functions that people know from confd.
//!
//! | function | value |
//! | --- | --- |
//! | `services("web")` | announcements, sorted: `service`, `machine`, `id`, `endpoint` (`address` and `port` in one), `address`, `port`, `protocol`, `tags`, `by` |
//! | `getv("/a")`, `getv("/a", "default")` | the value of a key |
//! | `get("/a")` | the same as `key` and `value` |
//! | `gets("/a/*")`, `getvs("/a/*")` | all that match, with their keys, or only values |
//! | `exists("/a")` | whether there is such a key |
//! | `ls("/a")`, `lsdir("/a")` | names directly below, or only those with something below |
//! | `json(text)` | the object or list that the text is |
//! | `base(key)`, `dir(key)`, `split(text, ",")` | the last part, all before it, the parts |
//!
//! The rest is Jinja's own: `for`, `if`, `join`, `sort`, `replace`, `length`. A line that holds nothing but a block leaves no line behind.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use diagnostics::{Diagnostic, Mark};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};

use crate::view::View;

/// Steps after which a template is believed to run for ever; a thousand services take some ten thousand.
const FUEL: u64 = 5_000_000;

/// Renders `text`, the template at `path`.
///
/// # Errors
/// What is wrong, with the place in the template.
pub fn render(path: &Path, text: &str, view: View) -> Result<String, Box<Diagnostic>> {
    let name = path.display().to_string();
    let environment = environment(Arc::new(view));
    let rendered = environment.template_from_named_str(&name, text).and_then(|template| template.render(context! {}));
    rendered.map_err(|error| Box::new(diagnostic(&name, text, &error)))
}

fn environment(view: Arc<View>) -> Environment<'static> {
    let mut environment = Environment::new();
    // A misspelt name must not become an empty place in a configuration.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // Jinja's own is Python's `True`, which no configuration knows.
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));

    let pair = |key: &str, value: &str| context! { key => key, value => value };
    let v = Arc::clone(&view);
    environment.add_function("get", move |key: &str| v.get(key).map(|value| pair(key, value)).map_err(wrong));
    let v = Arc::clone(&view);
    environment.add_function("gets", move |pattern: &str| {
        v.matching(pattern).map(|found| found.into_iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>()).map_err(wrong)
    });
    let v = Arc::clone(&view);
    environment.add_function("getv", move |key: &str, default: Option<Value>| match (v.find(key).map_err(wrong)?, default) {
        (Some(value), _) => Ok(Value::from(value)),
        (None, Some(default)) => Ok(default),
        (None, None) => v.get(key).map(Value::from).map_err(wrong),
    });
    let v = Arc::clone(&view);
    environment.add_function("getvs", move |pattern: &str| {
        v.matching(pattern).map(|found| found.into_iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>()).map_err(wrong)
    });
    let v = Arc::clone(&view);
    environment.add_function("exists", move |key: &str| v.find(key).map(|value| value.is_some()).map_err(wrong));
    let v = Arc::clone(&view);
    environment.add_function("ls", move |key: &str| owned(v.below(key, false)));
    let v = Arc::clone(&view);
    environment.add_function("lsdir", move |key: &str| owned(v.below(key, true)));
    let v = view;
    environment.add_function("services", move |service: Option<&str>| {
        v.services(service).map(|found| found.into_iter().map(Value::from_serialize).collect::<Vec<_>>()).map_err(wrong)
    });
    for name in ["json", "jsonArray"] {
        environment.add_function(name, |text: &str| {
            serde_json::from_str::<serde_json::Value>(text)
                .map(Value::from_serialize)
                .map_err(|error| wrong(format!("{text:?} is not JSON: {error}")))
        });
    }
    environment.add_function("base", |key: &str| key.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned());
    environment.add_function("dir", |key: &str| match key.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((stem, _)) => stem.to_owned(),
        None => ".".to_owned(),
    });
    environment.add_function("split", |text: &str, at: &str| owned(text.split(at).collect()));
    environment
}

fn owned(parts: Vec<&str>) -> Vec<String> {
    parts.into_iter().map(str::to_owned).collect()
}

fn wrong(error: impl Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

/// What is wrong, and under which part of the template a caret belongs.
fn diagnostic(file: &str, text: &str, error: &Error) -> Diagnostic {
    let span = error.range().filter(|span| span.end <= text.len() && span.start < span.end);
    let mark = match (&span, error.line()) {
        (Some(span), _) => Some(Mark::of_span(text, span)),
        (None, Some(line)) => Some(Mark::of_line(text, line, "")),
        (None, None) => None,
    };
    let expression = span.and_then(|span| text.get(span)).unwrap_or_default().trim();
    let kind = error.kind();
    let (message, label) = match (kind, error.detail()) {
        (ErrorKind::UndefinedError, _) => (format!("`{expression}` has no value"), "not defined here, or without such a part".to_owned()),
        (ErrorKind::OutOfFuel, _) => ("the template does not come to an end".to_owned(), format!("stopped after {FUEL} steps")),
        (ErrorKind::SyntaxError, detail) if text.contains("{{range") || text.contains("{{ range") || text.contains("{{end}}") => {
            let label = "this looks like a template of Go; here it is {% for %} and getv(\"/key\")".to_owned();
            (format!("syntax error: {}", detail.unwrap_or_default()), label)
        }
        (ErrorKind::InvalidOperation, Some(detail)) => (detail.to_owned(), String::new()),
        (kind, Some(detail)) => (format!("{kind}: {detail}"), String::new()),
        (kind, None) => (format!("{kind}: `{expression}`"), String::new()),
    };
    Diagnostic { message, file: file.to_owned(), mark, label }
}

#[cfg(test)]
mod tests {
    use announce::Entries;

    use super::*;
    use crate::resource::Resource;

    fn try_render(text: &str) -> Result<String, String> {
        let resource = "[template]\nsrc = \"a\"\ndest = \"/b\"\nservices = [\"web\"]\nkeys = [\"/app\"]\n";
        let resource = Resource::parse(Path::new("/x/a.toml"), resource, |_| true).unwrap();
        let entries: Entries = [
            ("/app/name", "shop"),
            ("/app/limits", "{\"clients\": 5, \"of\": [1, 2]}"),
            ("/app/up/b", "10.0.0.2:80"),
            ("/app/up/a", "10.0.0.1:80"),
            ("slipway/services/web/n2:web:80", "{\"address\":\"10.0.0.2\",\"port\":8080,\"tags\":[\"blue\"]}"),
            ("slipway/services/web/n1:web:80", "{\"address\":\"10.0.0.1\",\"port\":8080}"),
            ("slipway/services/db/n1:db:1", "{\"address\":\"10.0.0.1\",\"port\":1}"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        render(Path::new("/x/a.j2"), text, View::new(&resource, &entries)).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn the_functions_of_confd_are_there() {
        let table = [
            ("{{ getv('/app/name') }}", "shop"),
            ("{{ getv('/app/absent', 'x') }}", "x"),
            ("{{ get('/app/name').key }}={{ get('/app/name').value }}", "/app/name=shop"),
            ("{% for up in gets('/app/up/*') %}{{ base(up.key) }}={{ up.value }};{% endfor %}", "a=10.0.0.1:80;b=10.0.0.2:80;"),
            ("{{ getvs('/app/up/*')|join(',') }}", "10.0.0.1:80,10.0.0.2:80"),
            ("{{ exists('/app/name') }} {{ exists('/app/absent') }}", "true false"),
            ("{{ ls('/app')|join(' ') }} / {{ lsdir('/app')|join(' ') }}", "limits name up / up"),
            ("{{ json(getv('/app/limits')).clients }} {{ json(getv('/app/limits')).of[1] }}", "5 2"),
            ("{{ split(getv('/app/up/a'), ':')[1] }} {{ dir('/app/up/a') }}", "80 /app/up"),
            (
                "{% for s in services('web') %}\n{{ s.machine }} {{ s.address }}:{{ s.port }} {{ s.tags|join }}\n{% endfor %}\n",
                "n1 10.0.0.1:8080 \nn2 10.0.0.2:8080 blue\n",
            ),
            ("<a> & {{ '<b>' }}\n", "<a> & <b>\n"),
        ];
        for (text, expected) in table {
            assert_eq!(try_render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_names_file_line_and_variable() {
        let table: [(&str, &[&str]); 9] = [
            ("a\n{{ prot }}\n", &["/x/a.j2:2:", "prot", "has no value"]),
            ("{% for s in services('web') %}\n server {{ s.adress }}\n{% endfor %}\n", &["/x/a.j2:2:", "s.adress", "has no value"]),
            ("x {{ getv('/app/absent') }}\n", &["/x/a.j2:1:", "there is no key \"/app/absent\"", "getv("]),
            ("x {{ getv('/other') }}\n", &["/x/a.j2:1:", "\"/other\" is not followed", "`keys` in /x/a.toml"]),
            ("x {{ services('db') }}\n", &["/x/a.j2:1:", "\"db\" is not followed", "`services` in /x/a.toml"]),
            ("\n{% for s in %}\n", &["/x/a.j2:2:", "syntax error"]),
            ("{{range gets \"/app/*\"}}{{end}}\n", &["/x/a.j2:1:", "syntax error", "looks like a template of Go"]),
            ("{{ json(getv('/app/name')) }}\n", &["/x/a.j2:1:", "\"shop\" is not JSON"]),
            ("{{ gett('/a') }}\n", &["/x/a.j2:1:", "gett"]),
        ];
        for (text, parts) in table {
            let told = try_render(text).unwrap_err();
            for part in parts {
                assert!(told.contains(part), "{part:?} is not in:\n{told}");
            }
        }
    }

    #[test]
    fn a_template_without_an_end_is_stopped() {
        let error = try_render("{% for a in range(9000) %}{% for b in range(9000) %}{{ b }}{% endfor %}{% endfor %}").unwrap_err();
        assert!(error.starts_with("the template does not come to an end"), "{error}");
    }
}
