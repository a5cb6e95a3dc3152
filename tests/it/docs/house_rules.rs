//! The rules that keep the parts apart, read off the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 450;
/// Files in one folder, its subfolders not counted.
const MAX_FLAT_FILES: usize = 8;

/// A source file: its path below `src/` and its code, without comments, texts and tests.
struct Source {
    path: String,
    lines: usize,
    words: Vec<String>,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&src, &mut files);
    assert!(files.len() > 50);
    let below = |file: &Path| file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| Source::new(&below(file), &fs::read_to_string(file).unwrap())).collect()
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = without_comments_and_texts(text);
        let is_test = ["tests.rs", "fuzzing.rs", "models.rs"].iter().any(|name| path.ends_with(name))
            || path.contains("/tests/");
        let code = if is_test { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), lines: text.lines().count(), words: words(&code) }
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places
            .iter()
            .any(|place| self.path == *place || (place.ends_with('/') && self.path.starts_with(place)))
    }

    /// Whether the words follow one another in the code.
    fn has(&self, words: &[&str]) -> bool {
        self.words.windows(words.len()).any(|window| window == words)
    }

    /// What follows `crate::` anywhere in the code.
    fn parts_named(&self) -> impl Iterator<Item = &str> {
        self.words.windows(4).filter(|w| w[..3] == ["crate", ":", ":"]).map(|w| w[3].as_str())
    }

    /// The paths that begin with `crate::`, each as its names joined by `/`.
    fn paths_named(&self) -> impl Iterator<Item = String> {
        let begins = (0..self.words.len()).filter(|i| self.words[*i] == "crate");
        begins.map(|i| {
            let steps = self.words[i + 1..].chunks(3).take_while(|step| {
                step.len() == 3
                    && step[..2] == [":", ":"]
                    && step[2].starts_with(|c: char| c.is_ascii_lowercase())
            });
            steps.map(|step| step[2].as_str()).collect::<Vec<_>>().join("/")
        })
    }

    /// The module that the file is, its names joined by `/`.
    fn module(&self) -> &str {
        self.path.strip_suffix("/mod.rs").or_else(|| self.path.strip_suffix(".rs")).unwrap()
    }
}

/// `code` without its modules of tests.
fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]\nmod tests {");
    let first = parts.next().unwrap().to_owned();
    // Only at its end is a brace at the beginning of a line.
    parts.fold(first, |code, part| code + part.split_once("\n}").unwrap().1)
}

/// Identifiers, and every other character that is no space as a word of its own.
fn words(code: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut grows = false;
    for c in code.chars() {
        let is_name = c.is_alphanumeric() || c == '_';
        match words.last_mut() {
            Some(word) if is_name && grows => word.push(c),
            _ if !c.is_whitespace() => words.push(c.into()),
            _ => {}
        }
        grows = is_name;
    }
    words
}

/// `text` with its comments left out and its string and character literals emptied.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = ["r\"", "r#\"", "br\"", "br#\""].into_iter().find(|begin| {
            rest.starts_with(begin) && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        });
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(begin) = raw {
            let end = if begin.contains('#') { "\"#" } else { "\"" };
            begin.len() + rest[begin.len()..].find(end).unwrap() + end.len()
        } else if c == '"' {
            literal_len(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            literal_len(rest, '\'')
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    code
}

/// The length of the literal that `text` begins with, its quotes included.
fn literal_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    panic!("a literal has no end: {text:.40}")
}

/// The files that break the rule `broken`.
fn breaking(broken: impl Fn(&Source) -> bool) -> Vec<String> {
    sources().into_iter().filter(broken).map(|source| source.path).collect()
}

fn names_only(source: &Source, allowed: &[&str]) -> bool {
    source.parts_named().all(|part| allowed.contains(&part))
}

#[test]
fn spool_knows_nothing_of_the_network_and_export_nothing_of_disks() {
    let spool = ["batch", "config", "error", "item", "os", "spool"];
    assert_eq!(breaking(|s| s.is_in(&["spool/"]) && !names_only(s, &spool)), [""; 0]);
    let export = ["batch", "config", "error", "export", "os", "otlp"];
    assert_eq!(breaking(|s| s.is_in(&["export/"]) && !names_only(s, &export)), [""; 0]);
    assert_eq!(breaking(|s| s.is_in(&["otlp/"]) && !names_only(s, &["config"])), [""; 0]);
}

#[test]
fn sled_and_the_http_client_are_named_where_they_belong() {
    assert_eq!(breaking(|s| s.has(&["sled"]) && !s.is_in(&["spool/segments/writer.rs"])), [""; 0]);
    assert_eq!(breaking(|s| s.has(&["ureq"]) && !s.is_in(&["export/http.rs"])), [""; 0]);
}

#[test]
fn unsafe_code_is_at_the_map_the_c_boundary_and_the_fork_only() {
    let places = ["spool/journal/", "capi/", "os/"];
    let found = breaking(|s| s.has(&["unsafe"]) || s.has(&["unsafe_code"]));
    let outside: Vec<_> = found.iter().filter(|path| !Source::new(path, "").is_in(&places)).collect();
    assert_eq!(outside, [""; 0]);
    assert!(found.len() > 2, "the rule no longer sees what it is about: {found:?}");
}

#[test]
fn nothing_outside_of_tests_may_panic_on_purpose() {
    let panics = |s: &Source| {
        s.has(&[".", "unwrap", "("])
            || s.has(&[".", "expect", "("])
            || ["panic", "todo", "unimplemented", "unreachable"].iter().any(|name| s.has(&[name, "!"]))
    };
    assert_eq!(breaking(panics), [""; 0]);
}

#[test]
fn no_file_is_long() {
    assert_eq!(breaking(|s| s.lines > MAX_LINES), [""; 0]);
}

#[test]
fn the_spool_is_no_long_list_of_files() {
    let flat = breaking(|s| s.path.strip_prefix("spool/").is_some_and(|name| !name.contains('/')));
    assert!(flat.len() <= MAX_FLAT_FILES, "{flat:?}");
}

/// Which module names which, by `crate::` paths. A folder and what is in it may name each other.
fn named_by_module(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeSet<&str> = sources.iter().map(Source::module).collect();
    let module_of = |path: &str| {
        let mut path = path;
        while !modules.contains(path) {
            path = path.rsplit_once('/')?.0;
        }
        modules.get(path).copied()
    };
    let is_within =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    let named = |source: &Source| {
        let own = source.module();
        let paths: Vec<String> = source.paths_named().collect();
        let named = paths.iter().filter_map(|path| module_of(path));
        named.filter(|m| *m != own && !is_within(own, m) && !is_within(m, own)).collect()
    };
    sources.iter().map(|source| (source.module(), named(source))).collect()
}

/// The modules that lead back to themselves.
fn in_circles<'a>(named: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<&'a str> {
    let leads_back = |start: &&str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![*start];
        while let Some(module) = next.pop() {
            for to in named.get(module).into_iter().flatten() {
                if to == start {
                    return true;
                }
                if seen.insert(*to) {
                    next.push(to);
                }
            }
        }
        false
    };
    named.keys().copied().filter(|module| leads_back(module)).collect()
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let sources: Vec<Source> = sources().into_iter().filter(|s| !s.is_in(&["bin/"])).collect();
    assert_eq!(in_circles(&named_by_module(&sources)), [""; 0]);

    let source = |path: &str, names: &str| Source::new(path, names);
    let round = [
        source("a/mod.rs", "use crate::a::b::B;"),
        source("a/b.rs", "use crate::c::d::D;"),
        source("c/d.rs", "use crate::e;"),
        source("e.rs", "use crate::a::b::f;\nuse crate::g;"),
        source("g.rs", ""),
    ];
    assert_eq!(in_circles(&named_by_module(&round)), ["a/b", "c/d", "e"]);
}

#[test]
fn rules_see_what_they_forbid_and_nothing_else() {
    let seen = Source::new(
        "a.rs",
        "use crate::export::Answer;\nfn f() { x.unwrap(); todo!() }\nunsafe { sled::open() }",
    );
    assert_eq!(seen.parts_named().collect::<Vec<_>>(), ["export"]);
    assert!(
        seen.has(&[".", "unwrap", "("])
            && seen.has(&["todo", "!"])
            && seen.has(&["unsafe"])
            && seen.has(&["sled"])
    );

    let grouped = Source::new("a.rs", "use crate::{export, item};");
    assert!(!names_only(&grouped, &["item"]));

    let unseen = Source::new(
        "a.rs",
        concat!(
            "// unsafe sled\nfn sled_config<'a>(c: char) { f(\"unsafe \\\" sled\", '\"', '\\'', r#\"un\"safe\"#); }\n",
            "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap() }\n}\nfn g() {}\n"
        ),
    );
    assert!(
        !unseen.has(&["unsafe"]) && !unseen.has(&["sled"]) && !unseen.has(&["unwrap"]),
        "{:?}",
        unseen.words
    );
    assert!(unseen.has(&["sled_config"]) && unseen.has(&["fn", "g"]));
}
