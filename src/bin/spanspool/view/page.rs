//! Page: the files of the page, each served under its own path, or all of them in one.

/// What a browser takes a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Html,
    Style,
    Script,
}

impl Kind {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
        }
    }
}

pub struct File {
    /// Below the token; empty for the page itself.
    pub path: &'static str,
    pub kind: Kind,
    pub text: &'static str,
}

macro_rules! files {
    ($($kind:ident $path:literal,)*) => {
        &[
            File { path: "", kind: Kind::Html, text: include_str!("page/index.html") },
            $(File { path: $path, kind: Kind::$kind, text: include_str!(concat!("page/", $path)) }),*
        ]
    };
}

/// A style counts more than those before it, and a script names only those before it.
pub static FILES: &[File] = files! {
    Style "css/theme.css",
    Style "css/frame.css",
    Style "css/now.css",
    Style "css/list.css",
    Style "css/trace.css",
    Style "css/span.css",
    Script "parts/json.js",
    Script "model/messages.js",
    Script "model/agents.js",
    Script "model/attributes.js",
    Script "model/tree.js",
    Script "model/critical.js",
    Script "model/otlp.js",
    Script "model/description.js",
    Script "model/kinds.js",
    Script "parts/text.js",
    Script "parts/dom.js",
    Script "parts/announce.js",
    Script "parts/chart.js",
    Script "parts/copy.js",
    Script "parts/format.js",
    Script "parts/keys.js",
    Script "parts/list.js",
    Script "parts/long-text.js",
    Script "parts/missing.js",
    Script "parts/retry.js",
    Script "parts/pages.js",
    Script "parts/panel.js",
    Script "parts/pulse.js",
    Script "parts/route.js",
    Script "parts/source.js",
    Script "parts/state.js",
    Script "views/conversation.js",
    Script "views/filter.js",
    Script "views/frame.js",
    Script "views/now.js",
    Script "views/rejection.js",
    Script "views/rejected.js",
    Script "views/scale.js",
    Script "views/span-content.js",
    Script "views/span-row.js",
    Script "views/span.js",
    Script "views/trace-head.js",
    Script "views/trace-row.js",
    Script "views/waterfall.js",
    Script "views/trace.js",
    Script "views/traces.js",
    Script "app.js",
};

/// The page as one file, in which nothing leads outside: its parts, with room for what comes between them.
pub struct OneFile {
    /// Up to the end of its head.
    pub before_head_ends: String,
    /// From there to the end of its body.
    pub before_body_ends: String,
    pub rest: String,
    pub style: String,
    pub script: String,
}

impl OneFile {
    pub fn new() -> Self {
        let mut lines = Vec::new();
        for line in page().lines() {
            let leads_to = |file: &&File| line.contains(&format!("\"{}\"", file.path));
            if !FILES.iter().filter(|file| file.kind != Kind::Html).any(|file| leads_to(&file)) {
                lines.push(line);
            }
        }
        let html = lines.join("\n");
        let (before_head_ends, rest) = html.split_once("</head>").unwrap_or((&html, ""));
        let (before_body_ends, rest) = rest.split_once("</body>").unwrap_or((rest, ""));
        Self {
            before_head_ends: before_head_ends.to_owned(),
            before_body_ends: format!("</head>{before_body_ends}"),
            rest: format!("</body>{rest}"),
            style: joined(Kind::Style, |line| Some(line)),
            script: joined(Kind::Script, without_modules),
        }
    }
}

fn page() -> &'static str {
    FILES.iter().find(|file| file.kind == Kind::Html).map_or("", |file| file.text)
}

fn joined(kind: Kind, line: fn(&str) -> Option<&str>) -> String {
    let files = FILES.iter().filter(|file| file.kind == kind);
    files.flat_map(|file| file.text.lines().filter_map(line)).map(|line| format!("{line}\n")).collect()
}

/// A line of a module as it stands where all are one: they import nothing, and export nothing.
fn without_modules(line: &str) -> Option<&str> {
    if line.starts_with("import ") {
        return None;
    }
    Some(line.strip_prefix("export ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_file_names_no_other() {
        let OneFile { before_head_ends, before_body_ends, rest, style, script } = OneFile::new();
        for text in [&before_head_ends, &before_body_ends, &rest] {
            assert!(!text.contains("src=") && !text.contains("stylesheet"), "{text}");
        }
        assert!(
            !style.is_empty()
                && !style.contains("</")
                && !style.contains("url(")
                && !style.contains("@import")
        );
        assert!(!script.is_empty() && !script.contains("</script") && !script.contains("<!--"));
        assert!(script.lines().all(|line| !line.starts_with("import") && !line.starts_with("export")));
    }
}
