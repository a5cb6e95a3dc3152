//! Bare HTTP: prepared bodies, posted one after the other over one connection of ureq.

use std::time::Duration;

use crate::Result;

/// The wait after a failure.
const BACKOFF: Duration = Duration::from_secs(1);

/// Posts each body and reads each answer. What is not accepted is posted again after a second.
pub fn post_all(url: &str, bodies: &[Vec<u8>]) -> Result<()> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    for body in bodies {
        while !post(&agent, url, body)? {
            std::thread::sleep(BACKOFF);
        }
    }
    Ok(())
}

fn post(agent: &ureq::Agent, url: &str, body: &[u8]) -> Result<bool> {
    let request = agent
        .post(url)
        .header("Content-Type", "application/json")
        .header("Authorization", "Bearer sk-bench")
        .header("OpenAI-Beta", "traces=v1");
    let mut answer = request.send(body)?;
    answer.body_mut().read_to_vec()?;
    Ok(answer.status().is_success())
}
