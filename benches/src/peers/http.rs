//! Bare HTTP: prepared bodies, posted one after the other over one connection of ureq.

use std::time::Duration;

use crate::Result;

/// The wait after a failure.
const BACKOFF: Duration = Duration::from_secs(1);

/// Posts each body of JSON and reads each answer. What is not accepted is posted again after a second.
pub fn post_all(url: &str, bodies: &[Vec<u8>]) -> Result<()> {
    let json = [
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer sk-bench"),
        ("OpenAI-Beta", "traces=v1"),
    ];
    post_all_with(&json, url, bodies)
}

/// The same with these headers.
pub fn post_all_with(headers: &[(&str, &str)], url: &str, bodies: &[Vec<u8>]) -> Result<()> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    for body in bodies {
        while !post(&agent, headers, url, body)? {
            std::thread::sleep(BACKOFF);
        }
    }
    Ok(())
}

fn post(agent: &ureq::Agent, headers: &[(&str, &str)], url: &str, body: &[u8]) -> Result<bool> {
    let request =
        headers.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
    let mut answer = request.send(body)?;
    answer.body_mut().read_to_vec()?;
    Ok(answer.status().is_success())
}
