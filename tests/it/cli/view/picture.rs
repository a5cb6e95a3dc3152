//! The page as one file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;
use testkit::TempDir;
use testkit::cli::run;
use testkit::client::open_offline;

use super::{agents_span, agents_trace};

/// The data that the file `html` has for its page.
fn data_of(html: &str) -> Value {
    let (_, after) = html.split_once("<script type=\"application/json\" id=\"spool\">").unwrap();
    serde_json::from_str(after.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn one_file_holds_all_and_refers_to_nothing_outside() {
    let dir = TempDir::new("view-picture");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    let script = "</script><script>alert(1)</script><!--";
    for item in [
        agents_trace("trace_a", "Refunds"),
        agents_span("trace_a", script, None, 1),
        agents_span("trace_b", "2", None, 2).replace("\"in\"", "9223372036854775809"),
    ] {
        client.enqueue(item.as_bytes()).unwrap();
    }
    let file = dir.join("spool.html");
    fs::write(&file, "what was there").unwrap();
    let made =
        run(&["view", "--spool-dir", spool.to_str().unwrap(), "--html", file.to_str().unwrap()]).with(0);
    assert_eq!((&*made.out, &*made.err), ("", ""));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    let html = fs::read_to_string(&file).unwrap();
    let (head, _) = html.split_once("id=\"spool\"").unwrap();
    let policy = head.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap().1;
    let policy = policy.split_once('"').unwrap().0;
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("'self'"), "{policy}");
    let data = data_of(&html);
    let page = html.replace(
        &html[html.find("id=\"spool\"").unwrap()..html.rfind("<script type=\"module\">").unwrap()],
        "",
    );
    for reference in
        ["src=\"", "href=\"http", "href=\"//", "href=\"css", "@import", "url(", "\nimport ", "\nexport "]
    {
        assert!(!page.contains(reference), "{reference}");
    }
    // The data ends where the page says, and nowhere else.
    assert_eq!(html.matches("</script>").count(), 2, "its data and its script");

    assert_eq!((&data["now"]["live"], &data["now"]["loading"]["note"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(data["traces"]["total"], 2);
    let trace =
        data["traces"]["traces"].as_array().unwrap().iter().find(|trace| trace["id"] == "trace_a").unwrap();
    let detail = &data["details"][trace["key"].as_str().unwrap()];
    assert_eq!(detail["spans"][0]["id"], script);
    let span = |detail: &Value| {
        data["spans"][detail["spans"][0]["ref"].as_str().unwrap()].as_str().unwrap().to_owned()
    };
    let item: Value = serde_json::from_str(&span(detail)).unwrap();
    assert_eq!(item["item"]["id"], script);
    assert!(data["spans"][detail["ref"].as_str().unwrap()].as_str().unwrap().contains("Refunds"));
    let other =
        data["details"].as_object().unwrap().values().find(|detail| detail["id"] == "trace_b").unwrap();
    assert!(span(other).contains(":9223372036854775809"));
    drop(client);
}

#[test]
fn one_trace_is_written_by_itself() {
    let dir = TempDir::new("view-one-trace");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    for n in 0..3 {
        client.enqueue(agents_span(&format!("trace_{n}"), "1", None, n).as_bytes()).unwrap();
    }
    let file = dir.argument("trace.html");
    let arguments = ["view", "--spool-dir", spool.to_str().unwrap(), "--html", &file, "--trace"];
    run(&[&arguments[..], &["trace_1"]].concat()).with(0);
    let data = data_of(&fs::read_to_string(&file).unwrap());
    assert_eq!(
        (&data["traces"]["total"], &data["traces"]["traces"][0]["id"]),
        (&1.into(), &"trace_1".into())
    );
    assert_eq!(
        (data["details"].as_object().unwrap().len(), data["spans"].as_object().unwrap().len()),
        (1, 1)
    );

    let before = fs::read(&file).unwrap();
    let unknown = run(&[&arguments[..], &["trace_9"]].concat()).with(1);
    assert!(unknown.err.contains("no trace"), "{}", unknown.err);
    assert_eq!(fs::read(&file).unwrap(), before);
    run(&["view", "--spool-dir", spool.to_str().unwrap(), "--trace", "trace_1"]).with(2);
    run(&["view", "--spool-dir", spool.to_str().unwrap(), "--html", "/dev/null/x"]).with(1);
    drop(client);
}

#[test]
fn a_link_leads_to_the_file_and_a_device_stays_one() {
    let dir = TempDir::new("view-link");
    let (spool, link) = (dir.join("spool"), dir.join("link"));
    drop(open_offline(&spool, &[]));
    let write = || run(&["view", "--spool-dir", spool.to_str().unwrap(), "--html", &dir.argument("link")]);
    symlink("file", &link).unwrap();
    fs::write(dir.join("file"), "before").unwrap();
    write().with(0);
    assert!(fs::read_to_string(dir.join("file")).unwrap().starts_with("<!"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    fs::remove_file(&link).unwrap();
    symlink("/dev/full", &link).unwrap();
    let full = write().with(1);
    assert!(full.err.contains("No space left"), "{}", full.err);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn what_is_too_much_for_a_file_is_said() {
    let dir = TempDir::new("view-big-picture");
    let spool = dir.join("spool");
    let client = open_offline(&spool, &[]);
    for n in 0..12_000 {
        client.enqueue(agents_span(&format!("trace_{n}"), "1", None, n % 3000).as_bytes()).unwrap();
    }
    let long = "x".repeat(60_000);
    for n in 0..1500 {
        let item = agents_span("long", &n.to_string(), None, 3001).replace("\"in\"", &format!("\"{long}\""));
        client.enqueue(item.as_bytes()).unwrap();
    }
    let file = dir.join("spool.html");
    run(&["view", "--spool-dir", spool.to_str().unwrap(), "--html", file.to_str().unwrap()]).with(0);
    let html = fs::read_to_string(&file).unwrap();
    assert!(html.len() < 100 << 20, "{} bytes", html.len());
    let data = data_of(&html);
    let note = data["now"]["loading"]["note"].as_str().unwrap();
    for part in ["2,001 older traces left out", "spans", "shown without spans"] {
        assert!(note.contains(part), "{note}");
    }
    drop(client);
}
