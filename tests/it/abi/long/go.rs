//! The Go module and its plug for OpenTelemetry: put through their own tests with the library under test, shared and
//! static, and the example run.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use testkit::host::{Host, accepting, drain, ids_of, silent, status, total, wait_for_items};
use testkit::ingest::{Ingest, items_of};
use testkit::{TempDir, caller, have, lib_dir, root, skip, succeed, tool};

use crate::abi::long::shop::shop_is_killed_and_goes_on;

/// Whether all that Go needs for cgo is here, and is new enough.
pub fn have_go(test: &str) -> bool {
    let tools =
        [("go".to_owned(), "version"), ("pkg-config".into(), "--version"), (tool("CC", "cc"), "--version")];
    if !tools.iter().all(|(tool, flag)| have(tool, flag, test)) {
        return false;
    }
    // Older ones than 1.21 don't look at the version that go.mod asks for.
    let version = String::from_utf8(succeed(go("bindings/go", "env").arg("GOVERSION")).stdout).unwrap();
    let minor = version.trim().strip_prefix("go1.").and_then(|v| v.split('.').next()?.parse::<u32>().ok());
    minor.is_none_or(|minor| minor >= 23)
        || skip(test, &format!("go 1.23 or newer; this is {}", version.trim()))
}

/// An installation in the form of `cargo cinstall`'s, made of links to what is under test. Returns the folder of its
/// .pc.
fn installed() -> PathBuf {
    static MADE: Once = Once::new();
    let prefix = testkit::target_tmp().join("go");
    MADE.call_once(|| {
        // That of an earlier run.
        let _ = fs::remove_dir_all(&prefix);
        fs::create_dir_all(prefix.join("pkgconfig")).unwrap();
        symlink(lib_dir(), prefix.join("lib")).unwrap();
        symlink(root().join("include"), prefix.join("include")).unwrap();
        let pc = format!(
            "prefix={}\nexec_prefix=${{prefix}}\nlibdir=${{exec_prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
             Name: spanspool\nDescription: the library under test\nVersion: {}\n\
             Libs: -L${{libdir}} -lspanspool\nCflags: -I${{includedir}}\n\
             Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc\n",
            prefix.display(),
            env!("CARGO_PKG_VERSION"),
        );
        fs::write(prefix.join("pkgconfig/spanspool.pc"), pc).unwrap();
    });
    prefix.join("pkgconfig")
}

/// A flag that tells one build of the library from the next, and one target folder from another: Go's build cache looks
/// neither at C libraries and headers nor at what pkg-config says, only at the flags in the environment.
fn cache_key() -> String {
    let mut hash = DefaultHasher::new();
    let files = ["libspanspool.so", "libspanspool.a"].map(|name| lib_dir().join(name));
    for path in files.into_iter().chain([root().join("include/spanspool.h")]) {
        (path.metadata().unwrap().modified().unwrap(), path).hash(&mut hash);
    }
    format!("-DSPANSPOOL_TESTED=0x{:x}", hash.finish())
}

/// `go COMMAND` in a folder of the project, without the network.
fn go(folder: &str, command: &str) -> Command {
    let mut go = caller("go");
    go.arg(command).current_dir(root().join(folder));
    go.env("PKG_CONFIG_PATH", installed()).env("CGO_ENABLED", "1").env("GOTOOLCHAIN", "local");
    go.env("GOFLAGS", "-mod=mod -buildvcs=false").env("GOPROXY", "off").env("GOWORK", "off");
    go.env("CGO_CFLAGS", format!("-O2 -g {}", cache_key()));
    go
}

/// `go COMMAND` in a folder whose modules are of other makers: they are those of its sum file, and may ask for a newer
/// Go, which comes as a module, too.
pub fn go_with_modules(folder: &str, command: &str) -> Command {
    let mut go = go(folder, command);
    go.env("GOFLAGS", "-mod=readonly -buildvcs=false").env("GOTOOLCHAIN", "auto");
    go
}

/// Whether the modules that `folder` needs are here or can be fetched. Nothing else here uses the network.
pub fn have_modules(folder: &str, test: &str) -> bool {
    let mut list = go_with_modules(folder, "list");
    list.args(["-deps", "-test", "./..."]).env("GOPROXY", go_env("GOPROXY"));
    let output = list.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success()
        || skip(test, &format!("the modules of {folder}: {}", said.lines().last().unwrap_or_default()))
}

/// A setting of this machine's Go.
pub fn go_env(name: &str) -> String {
    String::from_utf8(succeed(Command::new("go").args(["env", name])).stdout).unwrap().trim().to_owned()
}

/// Runs `command` and shows what it says.
fn shown(command: &mut Command) {
    let output = succeed(command);
    io::stderr().write_all(&output.stdout).unwrap();
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn the_go_module() {
    if !have_go("the_go_module") {
        return;
    }
    let sources = ["bindings/go", "examples/go", "benches/go"].map(|folder| root().join(folder));
    let unformatted = succeed(Command::new("gofmt").arg("-l").args(sources)).stdout;
    assert_eq!(String::from_utf8_lossy(&unformatted), "");
    succeed(go("bindings/go", "vet").arg("./..."));
    succeed(go("bindings/go", "vet").args(["-tags", "static", "./..."]));
    succeed(go("examples/go", "vet").arg("./..."));
    // Without and with its detector of data races, which makes allocations of its own.
    shown(go("bindings/go", "test").args(["-count=1", "-bench=.", "-benchtime=2000x", "./..."]));
    shown(go("bindings/go", "test").args(["-count=1", "-race", "./..."]));
    // With the library inside, and no other to be found.
    let mut test = go("bindings/go", "test");
    shown(test.args(["-count=1", "-tags", "static", "./..."]).env_remove("LD_LIBRARY_PATH"));
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn the_go_module_for_opentelemetry() {
    let (test, plug, benches) = ("the_go_module_for_opentelemetry", "bindings/go/otelspool", "benches/go");
    if !have_go(test) || !have_modules(plug, test) || !have_modules(benches, test) {
        return;
    }
    for folder in [plug, benches] {
        succeed(go_with_modules(folder, "vet").arg("./..."));
    }
    succeed(go_with_modules(plug, "vet").args(["-tags", "static", "./..."]));
    shown(go_with_modules(plug, "test").args(["-count=1", "-bench=.", "-benchtime=2000x", "./..."]));
    shown(go_with_modules(plug, "test").args(["-count=1", "-race", "./..."]));
    let mut test = go_with_modules(plug, "test");
    shown(test.args(["-count=1", "-tags", "static", "./..."]).env_remove("LD_LIBRARY_PATH"));
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn go_program_with_opentelemetry_is_killed_and_goes_on() {
    let (test, plug) = ("go_program_with_opentelemetry_is_killed_and_goes_on", "bindings/go/otelspool");
    if !have_go(test) || !have_modules(plug, test) {
        return;
    }
    let dir = TempDir::new("go-opentelemetry");
    let (program, spool) = (dir.join("shop"), dir.join("spool"));
    succeed(go_with_modules(plug, "build").arg("-o").arg(&program).arg("./example"));
    let (receiver, orders) = shop_is_killed_and_goes_on(|receiver| {
        let url = format!("http://127.0.0.1:{}", receiver.port());
        Host::run(caller(&program).arg(&spool).env("OTEL_EXPORTER_OTLP_ENDPOINT", url))
    });
    let requests = receiver.requests();
    for path in ["/v1/traces", "/v1/logs"] {
        let bodies: Vec<&[u8]> =
            requests.iter().filter(|r| r.path == path).map(|r| r.body.as_slice()).collect();
        let text = String::from_utf8_lossy(&bodies.concat()).into_owned();
        for order in &orders {
            assert!(text.contains(order.as_str()), "{path} lacks {order}");
        }
    }
    assert!(requests.iter().any(|r| r.path == "/v1/metrics"));
}

/// What the service answers to a GET.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Runs the example until SIGTERM, with `requests` answered. Returns what it says at its end.
fn serve(program: &Path, spool: &Path, ingest: &Ingest, requests: usize) -> String {
    let mut service = Host::run(caller(program).arg(spool).arg(ingest.url()));
    let said = service.line();
    let address = said.strip_prefix("listening on ").unwrap();
    for n in 0..requests {
        let answer = get(address, &format!("/{n}"));
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("hello from /{n}")),
            "{answer}"
        );
    }
    succeed(Command::new("kill").args(["-TERM", &service.pid().to_string()]));
    let said = service.line();
    service.end();
    said
}

#[test]
#[ignore = "needs minutes and another toolchain: `just callers`"]
fn go_service_ends_gracefully() {
    if !have_go("go_service_ends_gracefully") {
        return;
    }
    let dir = TempDir::new("go-service");
    let (program, spool) = (dir.join("service"), dir.join("spool"));
    succeed(go("examples/go", "build").arg("-o").arg(&program).arg("."));

    let unheard = silent();
    let said = serve(&program, &spool, &unheard, 5);
    assert!(said.contains("stays in the spool"), "{said}");
    assert_eq!(total(&status(&spool), "pending"), 10, "five traces, each with its span");
    drop(unheard);

    let ingest = accepting();
    drain(&spool, &ingest.url());
    assert_eq!(serve(&program, &spool, &ingest, 5), "all delivered");
    wait_for_items(&ingest, 20);
    assert_eq!(ingest.requests().iter().flat_map(ids_of).count(), 20);
    let items: Vec<String> = ingest.requests().iter().flat_map(items_of).collect();
    for n in 0..5 {
        let path = format!(r#""data":{{"path":"/{n}"}}"#);
        assert_eq!(items.iter().filter(|item| item.contains(&path)).count(), 2, "{path}");
    }
    assert_eq!(total(&status(&spool), "pending"), 0);

    let output = caller(&program).arg(dir.join("other")).arg("not a url").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("'not a url'"), "{text}");
}
