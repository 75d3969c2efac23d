use super::html::{Html, say, tag, text};
use super::map::map;
use super::{Artefact, Folder, Owner, Report};
use crate::diff::SetId;
use crate::manifest::UnitState;
use crate::progress::bytes;

const STYLE: &str = include_str!("style.css");

/// How many rows a long table shows before the reader unfolds the rest.
const ROWS: usize = 15;

/// The report as one self-contained page: no scripts, nothing loaded from elsewhere, light and dark.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = format!("{}-{} {}", report.image_id, report.variant, report.version);
    let sections = [
        head(report, &title),
        section("Where the bytes are", [map(report), owners(report), legend()]),
        section("Folders", [folders(&report.folders, report.totals.bytes)]),
        section("Largest files", [largest(report)]),
        section("What it exposes", [listening(report), set_id(&report.set_id_files), units(&report.enabled_units)]),
        section("Boot", [say("p", "note", "Kernel command line, without the root hash"), say("pre", "", &report.cmdline)]),
        section("Artefacts", [artefacts(&report.artefacts)]),
        section("Licences", [licences(report)]),
    ];
    let body = tag("main", &[], sections).into_string();
    let title = say("title", "", &title).into_string();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         {title}\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
}

fn head(report: &Report, title: &str) -> Html {
    let fact = |value: String, name: &str| tag("div", &[("class", "fact")], [say("b", "", value), say("span", "", name)]);
    let largest = report.artefacts.first();
    let facts = [
        Some(fact(bytes(report.totals.bytes), "unpacked")),
        largest.map(|artefact| fact(bytes(artefact.size), &artefact.name)),
        Some(fact(report.totals.packages.to_string(), "packages")),
        Some(fact(report.totals.files.to_string(), "files")),
        Some(fact(report.enabled_units.len().to_string(), "enabled units")),
        Some(fact(report.set_id_files.len().to_string(), "setuid or setgid")),
    ];
    let line = format!("{} · Linux {}", report.arch, report.kernel);
    let facts = tag("div", &[("class", "facts")], facts.into_iter().flatten());
    tag("header", &[], [say("h1", "", title), say("p", "note", line), facts])
}

fn section(title: &str, content: impl IntoIterator<Item = Html>) -> Html {
    tag("section", &[], std::iter::once(say("h2", "", title)).chain(content))
}

fn owners(report: &Report) -> Html {
    let row = |owner: &Owner| {
        let version = owner.version.clone().unwrap_or_default();
        let name = tag("td", &[], [text(&owner.name), text(" "), say("small", "", version)]);
        tag(
            "tr",
            &[],
            [
                name,
                bar(owner.bytes, report.owners.first().map_or(0, |owner| owner.bytes)),
                size(owner.bytes),
                percent(owner.bytes, report.totals.bytes),
            ],
        )
    };
    unfolding(&["Package", "", "Size", "Share"], report.owners.iter().map(row).collect())
}

fn legend() -> Html {
    say("p", "note", "Names in parentheses are steps of the build, not packages. Sizes are those of the files before compression.")
}

fn folders(folders: &[Folder], total: u64) -> Html {
    let largest = folders.first().map_or(0, |folder| folder.bytes);
    let row = |folder: &Folder, class: &str| {
        let name = tag("td", &[("class", class)], [say("code", "", &folder.path)]);
        tag("tr", &[], [name, bar(folder.bytes, largest), size(folder.bytes), percent(folder.bytes, total)])
    };
    let rows = folders.iter().filter(|folder| folder.bytes > 0).flat_map(|folder| {
        let inner = folder.folders.iter().filter(|inner| inner.bytes > 0).map(|inner| row(inner, "inner"));
        std::iter::once(row(folder, "outer")).chain(inner).collect::<Vec<_>>()
    });
    unfolding(&["Folder", "", "Size", "Share"], rows.collect())
}

fn largest(report: &Report) -> Html {
    let row = |file: &super::LargeFile| tag("tr", &[], [code(&file.path), say("td", "", &file.owner), size(file.bytes)]);
    unfolding(&["File", "From", "Size"], report.largest_files.iter().map(row).collect())
}

fn listening(report: &Report) -> Html {
    let row = |unit: &super::Listening| {
        let state = match unit.state {
            UnitState::Enabled => "enabled",
            UnitState::Disabled => "disabled",
            UnitState::Masked => "masked",
        };
        tag("tr", &[], [say("td", "", &unit.unit), code(&unit.addresses.join(", ")), tag("td", &[], [say("span", state, state)])])
    };
    tag("div", &[], [say("h3", "", "Sockets"), unfolding(&["Unit", "Listens on", "State"], report.listening.iter().map(row).collect())])
}

fn set_id(files: &[SetId]) -> Html {
    let row = |file: &SetId| {
        let owner = format!("{}:{}", file.uid, file.gid);
        tag("tr", &[], [code(&file.path), code(&file.mode), code(&owner), say("td", "", &file.owner)])
    };
    let table = unfolding(&["File", "Mode", "Owner", "From"], files.iter().map(row).collect());
    tag("div", &[], [say("h3", "", "Setuid and setgid files"), table])
}

fn units(names: &[String]) -> Html {
    let chips = names.iter().map(|name| say("li", "", name));
    tag("div", &[], [say("h3", "", "Enabled units"), tag("ul", &[("class", "chips")], chips)])
}

fn artefacts(artefacts: &[Artefact]) -> Html {
    let row = |artefact: &Artefact| {
        let digest = tag("td", &[("class", "digest")], [say("code", "", &artefact.sha256)]);
        let own = tag("tr", &[], [say("td", "", &artefact.name), size(artefact.size), digest]);
        let inner = artefact.sections.iter().map(|section| {
            let name = tag("td", &[("class", "inner")], [say("code", "", &section.name)]);
            tag("tr", &[], [name, size(section.size), say("td", "", "")])
        });
        std::iter::once(own).chain(inner).collect::<Vec<_>>()
    };
    unfolding(&["Name", "Size", "SHA-256"], artefacts.iter().flat_map(row).collect())
}

fn licences(report: &Report) -> Html {
    let row = |licence: &super::Licence| tag("tr", &[], [say("td", "n", licence.packages.to_string()), say("td", "", &licence.expression)]);
    unfolding(&["Packages", "Declared licences"], report.licences.iter().map(row).collect())
}

/// A table whose rows beyond [`ROWS`] are folded away.
fn unfolding(columns: &[&str], rows: Vec<Html>) -> Html {
    if rows.is_empty() {
        return say("p", "note", "None.");
    }
    let class = |name: &str| match name {
        "Size" | "Share" | "Packages" => "n",
        "" => "bar",
        _ => "",
    };
    let heads = columns.iter().map(|name| say("th", class(name), name));
    let head = tag("thead", &[], [tag("tr", &[], heads)]);
    let table = |rows: Vec<Html>, head: Html| tag("div", &[("class", "scroll")], [tag("table", &[], [head, tag("tbody", &[], rows)])]);
    let mut shown = rows;
    let hidden = shown.split_off(shown.len().min(ROWS));
    if hidden.is_empty() {
        return table(shown, head);
    }
    let summary = say("summary", "", format!("{} more", hidden.len()));
    [table(shown, head), tag("details", &[], [summary, table(hidden, Html::ours(""))])].into_iter().collect()
}

fn bar(part: u64, largest: u64) -> Html {
    let width = if largest == 0 { 0.0 } else { part as f64 * 100.0 / largest as f64 };
    tag("td", &[("class", "bar")], [tag("i", &[("style", &format!("width:{width:.2}%"))], [])])
}

fn size(count: u64) -> Html {
    say("td", "n", bytes(count))
}

fn percent(part: u64, whole: u64) -> Html {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    say("td", "n", format!("{percent:.1} %"))
}

fn code(content: &str) -> Html {
    tag("td", &[], [say("code", "", content)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::artefacts;
    use super::*;
    use crate::manifest::{Manifest, Reason, fixture};

    fn page(manifest: &Manifest) -> String {
        html(&Report::new(manifest, artefacts()))
    }

    #[test]
    fn the_page_holds_what_the_report_does() {
        let report = Report::new(&fixture::manifest(), artefacts());
        let page = html(&report);
        for file in &report.largest_files {
            assert!(page.contains(&file.path), "{}", file.path);
        }
        for text in
            ["slipway-vm 1.0.0", "/usr/bin/sudo", "4755", "[::]:22", "docker.socket", "slipway.efi", ".initrd", "panic=10", "libstdc++6"]
        {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let evil = r#""'></td></style><script>alert(1)</script><img src=x onerror=alert(2)>"#;
        let mut manifest = fixture::manifest();
        manifest.packages.insert(0, fixture::package(evil, evil, evil, Reason::Essential));
        manifest.files.insert(0, fixture::data(&format!("/{evil}/{evil}/{evil}"), u64::from(u32::MAX), fixture::from(evil)));
        manifest.files[0].mode = 0o4755;
        for unit in &mut manifest.units {
            unit.name = evil.to_owned();
            unit.listens = vec![evil.to_owned()];
        }
        for text in [
            &mut manifest.image_id,
            &mut manifest.variant,
            &mut manifest.version,
            &mut manifest.arch,
            &mut manifest.cmdline,
            &mut manifest.kernel,
        ] {
            *text = evil.to_owned();
        }
        let artefact = Artefact {
            name: evil.to_owned(),
            size: 1,
            sha256: evil.to_owned(),
            sections: vec![super::super::Section { name: evil.to_owned(), size: 1 }],
        };
        let page = html(&Report::new(&manifest, vec![artefact]));
        assert!(page.contains("&lt;script&gt;"));
        for markup in ["<script", "<img", "onerror=alert(2)>", "\"'>"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert_eq!(page.matches("</style>").count(), 1);
    }

    #[test]
    fn nothing_is_loaded_or_run() {
        let page = page(&fixture::manifest());
        for word in ["<script", "http://", "https://", "src=", "href=", "url(", "@import", "javascript:"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn every_element_is_closed_in_order() {
        let page = page(&fixture::manifest());
        let mut open = Vec::new();
        for markup in page.split('<').skip(2).filter_map(|rest| rest.split_once('>')).map(|(markup, _)| markup) {
            let name = markup.split(' ').next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{markup}"),
                None if name == "meta" => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn an_empty_image_still_has_a_page() {
        let empty = Manifest { packages: Vec::new(), files: Vec::new(), units: Vec::new(), ..fixture::manifest() };
        let page = html(&Report::new(&empty, Vec::new()));
        assert!(page.contains("None.") && !page.contains("NaN"));
    }
}
