//! Environment: OpenTelemetry's variables, in a process that has them.

use std::fs;
use std::process::Output;

use testkit::client::the_header;
use testkit::host::Host;
use testkit::ingest::{Answer, Ingest};
use testkit::wait::{PATIENCE, eventually};
use testkit::{TempDir, caller, compile_c, run};

use super::delivery::base;
use super::{item, names_in};

struct Program {
    dir: TempDir,
    program: std::path::PathBuf,
}

impl Program {
    fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        let program = compile_c("tests/c/enqueue_bytes.c", dir.path());
        let item = item("span");
        let framed = [&(item.len() as u32).to_le_bytes()[..], &item].concat();
        fs::write(dir.path().join("items"), framed).unwrap();
        Self { dir, program }
    }

    fn command(&self, variables: &[(&str, &str)], settings: &[&str]) -> std::process::Command {
        let mut command = caller(&self.program);
        let spool = format!("spool_dir={}", self.dir.path().join("spool").display());
        command.arg(self.dir.path().join("items")).args([&spool, "exporter=otlp", "schedule_delay_ms=1"]);
        command.args(settings).env("OPENAI_API_KEY", "sk-not-for-receivers").env("OPENAI_PROJECT_ID", "no");
        for (name, value) in variables {
            command.env(format!("OTEL_EXPORTER_OTLP_{name}"), value);
        }
        command
    }

    fn fails(&self, variables: &[(&str, &str)]) -> String {
        let Output { status, stderr, .. } =
            run::output_within(PATIENCE, &mut self.command(variables, &[]), "the program");
        assert!(!status.success());
        String::from_utf8(stderr).unwrap()
    }
}

#[test]
fn a_process_sends_where_its_environment_says() {
    let receiver = Ingest::start(|_| Answer::status(200)).unwrap();
    let program = Program::new("otlp-environment");
    let (all, logs) = (base(&receiver), format!("{}/in", base(&receiver)));
    let headers = ("HEADERS", "api-key=ab%20c,x-other=1");
    for (variables, settings, path) in [
        (vec![("ENDPOINT", all.as_str()), headers, ("COMPRESSION", "gzip")], vec![], "/v1/traces"),
        (vec![("ENDPOINT", "http://127.0.0.1:9"), ("TRACES_ENDPOINT", &logs), headers], vec![], "/in"),
        (vec![("ENDPOINT", "http://127.0.0.1:9"), headers], vec![format!("endpoint={all}")], "/v1/traces"),
    ] {
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut host = Host::run(&mut program.command(&variables, &settings));
        assert_eq!(host.line(), "ready");
        eventually("it is sent", || !receiver.requests().is_empty());
        let request = receiver.take_requests().remove(0);
        assert_eq!((request.path.as_str(), names_in(&request)), (path, vec!["span".to_owned()]));
        assert_eq!(the_header(&request, "api-key"), "ab c");
        let gzip = variables.contains(&("COMPRESSION", "gzip")).then_some("gzip");
        assert_eq!(request.header("content-encoding"), gzip);
        assert_eq!((request.header("authorization"), request.header("openai-project")), (None, None));
        host.kill();
    }
}

#[test]
fn what_can_not_be_used_is_an_error_of_init() {
    let program = Program::new("otlp-bad-environment");
    let grpc = program.fails(&[("PROTOCOL", "grpc")]);
    for part in ["OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "http/protobuf", "4318"] {
        assert!(grpc.contains(part), "{grpc}");
    }
    let endpoint = program.fails(&[("ENDPOINT", "collector:4317")]);
    assert!(endpoint.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{endpoint}");
    let headers = program.fails(&[("TRACES_HEADERS", "sk-secret")]);
    assert!(
        headers.contains("OTEL_EXPORTER_OTLP_TRACES_HEADERS") && !headers.contains("secret"),
        "{headers}"
    );
    assert!(!program.dir.path().join("spool").exists(), "a spool was made");
}
