//! Who gets an answer, what they get besides, and that nothing is changed by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::cli::{run, spanspool};
use testkit::client::{enqueue, open_offline};
use testkit::host::{Host, NOBODY, settings};
use testkit::wait::eventually;
use testkit::{TempDir, caller, is_root, succeed};

use super::{Viewer, arguments};

fn empty_spool(dir: &TempDir) -> std::path::PathBuf {
    let spool = dir.join("spool");
    fs::create_dir(&spool).unwrap();
    spool
}

#[test]
fn the_page_and_all_its_files_are_served_under_a_policy() {
    let dir = TempDir::new("view-page");
    let viewer = Viewer::of(&empty_spool(&dir));
    assert!(
        viewer.token.len() == 32 && viewer.token.chars().all(|c| c.is_ascii_hexdigit()),
        "{}",
        viewer.token
    );
    let page = viewer.get("");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let files = testkit::root().join("src/bin/spanspool/view/page");
    let mut paths = vec![String::new()];
    let mut folders = vec![files.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("index.html") {
                paths.push(path.strip_prefix(&files).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths.iter().map(String::as_str).chain(["api/now", "api/none", "none"]) {
        let reply = viewer.get(path);
        assert_eq!(reply.status, if path.ends_with("none") { 404 } else { 200 }, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("set-cookie"), None, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
    }
    for (path, content_type) in
        [("app.js", "text/javascript; charset=utf-8"), ("css/theme.css", "text/css; charset=utf-8")]
    {
        assert_eq!(viewer.get(path).header("content-type"), Some(content_type));
    }
    let bytes: u64 = paths.iter().map(|path| viewer.get(path).body.len() as u64).sum();
    assert!(bytes < 200 << 10, "the page takes {bytes} bytes");
}

#[test]
fn without_the_token_or_under_another_host_nothing_is_answered() {
    let dir = TempDir::new("view-refusals");
    let spool = empty_spool(&dir);
    let viewer = Viewer::of(&spool);
    let (port, token) = (viewer.port, &viewer.token);
    let host = format!("127.0.0.1:{port}");
    let good = format!("/{token}/api/now");
    let status = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let reply = viewer.ask(method, path, headers);
        assert!(reply.status == 200 || !reply.text().contains("spool_dir"), "{}", reply.text());
        reply.status
    };
    assert_eq!(status("GET", &good, &[("Host", &host)]), 200);
    assert_eq!(status("GET", &good, &[("Host", &format!("localhost:{port}"))]), 200);

    let mut other = token.clone();
    other.replace_range(..1, if token.starts_with('0') { "1" } else { "0" });
    let upper = token.to_uppercase();
    for path in [
        "/",
        "//",
        "/api/now",
        "/app.js",
        "/favicon.ico",
        &format!("/{other}/api/now"),
        &format!("/{}/api/now", &token[1..]),
        &format!("/{token}0/api/now"),
        &format!("//{token}/api/now"),
        &format!("/x/{token}/api/now"),
        &format!("/{token}"),
        &format!("/api/now?{token}/"),
        "/../api/now",
    ] {
        assert_eq!(status("GET", path, &[("Host", &host)]), 404, "{path}");
    }
    if upper != *token {
        assert_eq!(status("GET", &format!("/{upper}/api/now"), &[("Host", &host)]), 404);
    }
    for path in [
        "../Cargo.toml",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "api/../app.js",
        "css/",
        "css",
        "page.rs",
        "app.js/",
        "App.js",
        "app.js%00",
        "index.html",
        "api/",
        "api",
        "api//now",
    ] {
        assert_eq!(status("GET", &format!("/{token}/{path}"), &[("Host", &host)]), 404, "{path}");
    }

    // A name that a page of another site makes lead to this machine.
    for headers in [
        &[("Host", "evil.example")][..],
        &[("Host", &format!("evil.example:{port}"))],
        &[("Host", "127.0.0.1")],
        &[("Host", "127.0.0.1:1")],
        &[("Host", &format!("127.0.0.1:{port}.evil.example"))],
        &[("Host", &format!("user@127.0.0.1:{port}"))],
        &[("Host", "")],
        &[("Host", &host), ("Host", "evil.example")],
        &[("Host", "evil.example"), ("Host", &host)],
        &[],
    ] {
        let status = status("GET", &good, headers);
        assert!(status == 421 || status == 400, "{headers:?}: {status}");
    }
    let absolute = format!("http://evil.example:{port}{good}");
    assert_eq!(status("GET", &absolute, &[("Host", &host)]), 421);

    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"] {
        let reply = viewer.ask(method, &good, &[("Host", &host), ("Content-Length", "0")]);
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")), "{method}");
        assert_eq!(reply.body.is_empty(), method == "HEAD", "{method}");
    }
    // A request that is too long ends with an answer, and the server goes on.
    assert_eq!(status("GET", &format!("/{}", "a".repeat(9000)), &[("Host", &host)]), 400);
    for query in
        ["api/traces?limit=x", "api/traces?version=-1", "api/span", "api/span?ref=..", "api/raw?ref=a-b-c"]
    {
        let reply = viewer.get(query);
        assert!(reply.status == 400 && reply.json()["error"].is_string(), "{query}: {}", reply.text());
    }
    for query in ["api/trace", "api/trace?key=0123456789abcdef", "api/trace?key=zz", "api/span?ref=00-1-0"] {
        let reply = viewer.get(query);
        assert!(reply.status == 404 && reply.json()["error"].is_string(), "{query}: {}", reply.text());
    }
    assert_eq!(status("GET", &good, &[("Host", &host)]), 200);
}

#[test]
fn it_listens_on_this_machine_only_and_on_the_port_that_is_asked_for() {
    let dir = TempDir::new("view-port");
    let spool = empty_spool(&dir);
    let viewer = Viewer::of(&spool);
    let port = format!("{:04X}", viewer.port);
    let listening = |table: &str| -> Vec<String> {
        let text = fs::read_to_string(table).unwrap_or_default();
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // State 0A: it listens.
        let own = rows.filter(|row| row.get(3) == Some(&"0A") && row[1].ends_with(&port));
        own.map(|row| row[1].to_owned()).collect()
    };
    assert_eq!(listening("/proc/net/tcp"), [format!("0100007F:{port}")]);
    assert_eq!(listening("/proc/net/tcp6"), [""; 0]);

    let chosen = viewer.port.to_string();
    let refused = run(&["view", "--spool-dir", spool.to_str().unwrap(), "--port", &chosen]).with(1);
    assert!(refused.err.contains("127.0.0.1") && refused.out.is_empty(), "{}", refused.err);
    drop(viewer);
    let again = Viewer::run(spanspool(&[]).args(arguments(&spool)).args(["--port", &chosen]));
    assert_eq!(again.port.to_string(), chosen);
    for wrong in ["0", "65536", "x"] {
        run(&["view", "--spool-dir", spool.to_str().unwrap(), "--port", wrong]).with(2);
    }
    run(&["view", "--spool-dir", &dir.argument("absent")]).with(1);
}

/// A browser that says what it was given, in the folder `dir`.
fn fake_browser(dir: &Path, said: &Path) {
    let opener = dir.join("xdg-open");
    fs::write(&opener, format!("#!/bin/sh\necho \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", said.display()))
        .unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_browser_is_given_an_address_that_works_once() {
    let dir = TempDir::new("view-open");
    let (spool, said) = (empty_spool(&dir), dir.join("said"));
    fake_browser(dir.path(), &said);
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let viewer = Viewer::run(spanspool(&[]).args(arguments(&spool)).arg("--open").env("PATH", path));
    eventually("the browser is started", || said.is_file());
    let address = fs::read_to_string(&said).unwrap();
    assert!(!address.contains(&viewer.token), "every user can read the arguments of a process");
    let host = format!("127.0.0.1:{}", viewer.port);
    let invitation = address.trim().strip_prefix(&format!("http://{host}")).unwrap();
    let first = viewer.ask("GET", invitation, &[("Host", &host)]);
    assert_eq!((first.status, first.header("location")), (303, Some(&*format!("/{}/", viewer.token))));
    assert_eq!(viewer.ask("GET", invitation, &[("Host", &host)]).status, 404);
    assert_eq!(viewer.get("").status, 200);

    // Without a browser the address that is printed has to do.
    let without =
        Viewer::run(spanspool(&[]).args(arguments(&spool)).arg("--open").env("PATH", dir.join("none")));
    assert_eq!(without.get("").status, 200);
}

/// Every path below `dir` with its size and the times of its last change and of its inode's.
fn stand(dir: &Path) -> String {
    let command = ["-c", "find \"$0\" -printf '%p %s %T@ %C@ %m\\n' | sort", dir.to_str().unwrap()];
    String::from_utf8(succeed(Command::new("sh").args(command)).stdout).unwrap()
}

#[test]
fn a_spool_of_a_dead_process_stays_as_it_is_to_the_last_bit() {
    let dir = TempDir::new("view-unchanged");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[("max_spool_bytes", "64MiB")]);
    enqueue(&client, 0..1000);
    testkit::client::let_go(client, &spool);
    let before = stand(&spool);
    let viewer = Viewer::of(&spool);
    let now = viewer.loaded();
    assert_eq!(now["loading"]["items"], 1000, "{now}");
    let traces = viewer.traces("");
    assert_eq!(viewer.spans_of(&traces[0]).len(), 1000);
    drop(viewer);
    run(&["view", "--spool-dir", spool.to_str().unwrap(), "--html", &dir.argument("spool.html")]).with(0);
    assert_eq!(stand(&spool), before);
}

#[test]
fn another_user_who_may_only_read_sees_everything() {
    if !is_root("another_user_who_may_only_read_sees_everything") {
        return;
    }
    let dir = TempDir::new("view-reader");
    let open = std::env::temp_dir().join(format!("spanspool-view-reader-{}", std::process::id()));
    fs::create_dir(&open).unwrap();
    let (program, spool, binary) = (Host::compile(&dir), open.join("spool"), open.join("spanspool"));
    fs::copy(testkit::program(), &binary).unwrap();
    let mut host = Host::start(&program, &settings(&spool, "http://127.0.0.1:9/", &["exporter=none"]));
    assert_eq!(host.ask("enqueue read 4"), "0 4");
    succeed(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(&open));
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = NOBODY.to_string();
    let mut command = caller("setpriv");
    command
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(&binary)
        .args(arguments(&spool));
    let viewer = Viewer::run(command.current_dir("/"));
    let now = viewer.loaded();
    assert_eq!((&now["loading"]["items"], &now["loading"]["note"]), (&4.into(), &serde_json::Value::Null));
    assert_eq!(now["lanes"][0]["owner_pid"], host.pid());
    assert_eq!(viewer.spans_of(&viewer.traces("")[0]).len(), 4);
    drop(viewer);
    fs::remove_dir_all(&open).unwrap();
}
